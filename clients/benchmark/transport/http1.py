"""HTTP/1.1 by asyncio's streams: as many connections as there are calls in flight, each kept for the next."""

from __future__ import annotations

import asyncio
import json
import ssl
from contextlib import suppress
from tempfile import NamedTemporaryFile
from typing import Any

from clients.benchmark.transport import Endpoint, Failure, Tls

# HTTP's status -> gRPC's, as gRPC gateways and TensorFlow Serving have them.
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    412: "FAILED_PRECONDITION",
    413: "RESOURCE_EXHAUSTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_HEAD_BYTES = 1 << 16

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _NotHttp(Exception):
    """What came is no HTTP."""


class _Closed(EOFError):
    """The connection was closed, and nothing came."""


class Connections:
    """Connections to one server, used by one asyncio loop."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._host, self._unix = _host(endpoint.address)
        self._context = None if endpoint.tls is None else _context(endpoint.tls)
        fields = [("host", self._host or "localhost"), ("content-type", "application/json"), *endpoint.metadata]
        self._fields = "".join(f"{name}: {value}\r\n" for name, value in fields)
        self._idle: list[Stream] = []

    async def request(self, verb: str, path: str, body: bytes) -> bytes | Failure:
        """The body of a successful answer, or the failure."""
        head = f"{verb} {path} HTTP/1.1\r\n{self._fields}content-length: {len(body)}\r\n\r\n".encode()
        try:
            async with asyncio.timeout(self._endpoint.deadline_s):
                return await self._request(head + body)
        except TimeoutError:
            return Failure("DEADLINE_EXCEEDED", f"no answer within {self._endpoint.deadline_s:g} s")
        except ssl.SSLError as error:
            return Failure("UNAVAILABLE", f"TLS: {error.reason or error}")
        except (OSError, EOFError) as error:
            return Failure("UNAVAILABLE", getattr(error, "strerror", None) or str(error))
        except _NotHttp as error:
            return Failure("UNIMPLEMENTED", str(error))

    async def close(self) -> None:
        """Close what is open."""
        while self._idle:
            _, writer = self._idle.pop()
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _request(self, message: bytes) -> bytes | Failure:
        if self._idle:
            try:
                return await self._exchange(self._idle.pop(), message)
            except _Closed:  # the server may close a connection that was kept: no request of ours has reached it
                pass
        return await self._exchange(await self._open(), message)

    async def _exchange(self, stream: Stream, message: bytes) -> bytes | Failure:
        reader, writer = stream
        kept = False
        try:
            writer.write(message)
            status, fields = await _head(reader)
            body = await _body(reader, fields, self._endpoint.max_message_bytes)
            kept = fields.get("connection", "").lower() != "close"
        finally:
            if kept:
                self._idle.append(stream)
            else:
                writer.close()
        return body if status == 200 else Failure(_STATUSES.get(status, "UNKNOWN"), _said(status, body))

    async def _open(self) -> Stream:
        if self._unix:
            return await asyncio.open_unix_connection(self._unix, limit=_HEAD_BYTES)
        host, _, port = self._host.rpartition(":")
        name = host.strip("[]")
        return await asyncio.open_connection(name, int(port), ssl=self._context, limit=_HEAD_BYTES)


def _host(address: str) -> tuple[str, str]:
    """HOST:PORT and the path of a unix socket, one of them empty."""
    return ("", address.removeprefix("unix:")) if address.startswith("unix:") else (address, "")


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=None if tls.authorities is None else tls.authorities.decode())
    if tls.certificate is not None:
        # Python reads a key from a file only.
        with NamedTemporaryFile() as file:
            file.write(tls.certificate + b"\n" + (tls.key or b""))
            file.flush()
            context.load_cert_chain(file.name)
    return context


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """Status and header fields, their names in small letters."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial and not error.partial.startswith(b"HTTP/1."):
            raise _NotHttp("what came is no HTTP/1.1; is this the REST port?") from None
        raise (EOFError if error.partial else _Closed)("the connection was closed before an answer came") from None
    except asyncio.LimitOverrunError:
        raise _NotHttp("what came has no head of HTTP/1.1; is this the REST port?") from None
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    if not version.startswith("HTTP/1.") or not rest[:3].isdecimal():
        raise _NotHttp("what came is no HTTP/1.1; is this the REST port?")
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    return int(rest[:3]), fields


async def _body(reader: asyncio.StreamReader, fields: dict[str, str], most: int | None) -> bytes:
    try:
        if fields.get("transfer-encoding", "").lower() == "chunked":
            return await _chunks(reader, most)
        length = int(fields.get("content-length", "0"))
        _check_size(length, most)
        return await reader.readexactly(length)
    except asyncio.IncompleteReadError:
        raise EOFError("the connection was closed amid an answer") from None
    except ValueError:
        raise _NotHttp("an answer without a length") from None


async def _chunks(reader: asyncio.StreamReader, most: int | None) -> bytes:
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        _check_size(len(body) + size, most)
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass
    return body


def _check_size(size: int, most: int | None) -> None:
    if most is not None and size > most:
        raise OSError(f"an answer of {size:,} bytes is larger than --max-message-size, {most:,}")


def _said(status: int, body: bytes) -> str:
    """The server's words, which TensorFlow Serving puts in JSON."""
    try:
        said: Any = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        said = body[:200].decode(errors="replace")
    return f"HTTP {status}: {said}" if said else f"HTTP {status}"
