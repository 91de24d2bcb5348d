"""Where a server is, and sockets that begin to connect to it; TLS offers HTTP/2 only."""

from __future__ import annotations

import os
import socket
import ssl
import tempfile
from functools import cached_property

from clients.benchmark.transport import Endpoint, Tls

_UNIX = "unix:"


class Target:
    """The server of an endpoint. `open` and `secure` raise OSError where its name cannot be resolved, or its TLS material not be used."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._tls = endpoint.tls
        self.address = endpoint.address
        self.is_unix = self.address.startswith(_UNIX)
        self._host, _, self._port = ("localhost", "", "") if self.is_unix else self.address.rpartition(":")
        # What the requests say of the server, and of the way they come.
        self.authority = "localhost" if self.is_unix else self.address
        self.scheme = "http" if self._tls is None else "https"

    @cached_property
    def places(self) -> list[tuple[int, object]]:
        """The server's addresses: family and address of each."""
        if self.is_unix:
            return [(socket.AF_UNIX, self.address.removeprefix(_UNIX).removeprefix("//"))]
        found = socket.getaddrinfo(self._host.strip("[]"), int(self._port), type=socket.SOCK_STREAM)
        return [(family, address) for family, _, _, _, address in found]

    def open(self, place: int) -> socket.socket:
        """A socket that is not connected yet, for one of the server's addresses; it never blocks."""
        family, _ = self.places[place]
        opened = socket.socket(family, socket.SOCK_STREAM)
        opened.setblocking(False)
        if not self.is_unix:
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return opened

    def connect(self, opened: socket.socket, place: int) -> int:
        """Begin to connect, or look how far it is. Returns an errno, 0 when connected."""
        return opened.connect_ex(self.places[place][1])  # type: ignore[arg-type]

    def secure(self, opened: socket.socket) -> ssl.SSLSocket | None:
        """The connected socket under TLS, before the handshake; None where the endpoint has no TLS."""
        if self._tls is None:
            return None
        return self._context.wrap_socket(opened, server_hostname=self._host.strip("[]"), do_handshake_on_connect=False)

    @cached_property
    def _context(self) -> ssl.SSLContext:
        assert self._tls is not None
        return _context(self._tls)


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
