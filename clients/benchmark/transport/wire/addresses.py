"""Where a server is, and sockets that begin to connect to it; TLS offers HTTP/2 only."""

from __future__ import annotations

import os
import socket
import ssl
import tempfile

from clients.benchmark.transport import Endpoint, Tls

_UNIX = "unix:"


class Target:
    """The server of an endpoint. Raises OSError where its name cannot be resolved, or its TLS material cannot be read."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.address = endpoint.address
        self._context = _context(endpoint.tls) if endpoint.tls else None
        if self.address.startswith(_UNIX):
            self.host, self.authority = "localhost", "localhost"
            path = self.address.removeprefix(_UNIX)
            self._places: list[tuple[int, object]] = [(socket.AF_UNIX, f"/{path.lstrip('/')}" if path.startswith("//") else path)]
            return
        host, _, port = self.address.rpartition(":")
        self.host, self.authority = host.strip("[]"), self.address
        found = socket.getaddrinfo(self.host, int(port), type=socket.SOCK_STREAM)
        self._places = [(family, address) for family, _, _, _, address in found]

    @property
    def scheme(self) -> str:
        """What the requests say of the way they come."""
        return "https" if self._context else "http"

    @property
    def places(self) -> int:
        """How many addresses the server has."""
        return len(self._places)

    def open(self, place: int) -> socket.socket:
        """A socket that is not connected yet, for one of the server's addresses; it never blocks."""
        family, _ = self._places[place]
        opened = socket.socket(family, socket.SOCK_STREAM)
        opened.setblocking(False)
        if family != socket.AF_UNIX:
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return opened

    def connect(self, opened: socket.socket, place: int) -> int:
        """Begin to connect, or look how far it is. Returns an errno, 0 when connected."""
        return opened.connect_ex(self._places[place][1])  # type: ignore[arg-type]

    def secure(self, opened: socket.socket) -> ssl.SSLSocket | None:
        """The connected socket under TLS, before the handshake; None where the endpoint has no TLS."""
        if self._context is None:
            return None
        return self._context.wrap_socket(opened, server_hostname=self.host, do_handshake_on_connect=False)


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["h2"])
    if tls.authorities is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(cadata=tls.authorities.decode())
    if tls.certificate is not None:
        # The library reads a certificate and its key from a file only: one that nobody else can read, and not for long.
        handle, path = tempfile.mkstemp()
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(tls.certificate + b"\n" + (tls.key or b""))
            context.load_cert_chain(path)
        finally:
            os.unlink(path)
    return context
