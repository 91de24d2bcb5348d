"""One connection with its socket, which never blocks: from the first step of connecting to the last answer."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from clients.benchmark.transport.wire.addresses import Target
from clients.benchmark.transport.wire.connection import Connection
from clients.benchmark.transport.wire.frames import GREATEST_STREAM
from clients.benchmark.transport.wire.hpack import Field
from clients.benchmark.transport.wire.runs import Wheel
from clients.benchmark.transport.wire.streams import Integers

_AGAIN = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_UNDER_WAY = (errno.EINPROGRESS, errno.EALREADY, errno.EAGAIN, errno.EINTR)


class _Mark(NamedTuple):
    """Calls whose bytes lie between two offsets in what this line sends."""

    start: int
    end: int
    stream: int
    tags: Integers


class Line:
    """Connects at once; `connection.ready` says when it has, `connection.ended` when it is over.

    `handed_over` collects the tags (int64 [k] each) of calls all of whose bytes, or as many as flow control allowed at
    once, are with the kernel.
    """

    def __init__(self, target: Target, fields: Sequence[Field], max_message_bytes: int, until_ns: int) -> None:
        self.connection = Connection(fields, max_message_bytes)
        self.handed_over: list[Integers] = []
        # When to give up connecting, and when something was read last.
        self.until_ns = until_ns
        self.read_ns = 0
        self._target = target
        self._place = 0
        self._socket: socket.socket | ssl.SSLSocket | None = None
        self._connected = self._secured = False
        self._offset = 0
        self._marks: deque[_Mark] = deque()
        self.advance()

    def fileno(self) -> int:
        """For select."""
        return -1 if self._socket is None else self._socket.fileno()

    @property
    def wants_to_write(self) -> bool:
        """Whether there is something that the socket did not take yet."""
        return bool(self.connection.outgoing) or not self._connected

    def close(self) -> None:
        """Close the socket; what was queued for it and can go at once (GOAWAY, say) goes."""
        if self._secured:
            self.flush()
        if self._socket is not None:
            self._socket.close()

    def give_up(self, reason: str) -> None:
        """End the connection, if it has not ended: yields events for its calls."""
        if self.connection.ended:
            return
        unsent = next((mark.stream for mark in self._marks if mark.start >= self._offset), GREATEST_STREAM + 1)
        self.connection.lose(f"{self._target.address}: {reason}", unsent)

    # Connecting

    def advance(self) -> None:
        """Go on with connecting as far as is possible now."""
        try:
            if not self._connected:
                self._connect()
            if self._connected and not self._secured:
                self._secure()
        except _AGAIN:
            return
        except OSError as error:
            self.give_up(_reason(error))
            return
        if self._secured and not self.connection.ended:
            self.flush()

    def _connect(self) -> None:
        if self._socket is None:
            self._socket = self._target.open(self._place)
        code = self._target.connect(self._socket, self._place)
        if code in (0, errno.EISCONN):
            self._connected = True
        elif code not in _UNDER_WAY:
            if self._place + 1 == len(self._target.places):
                raise OSError(code, os.strerror(code))
            self._place += 1
            self._socket.close()
            self._socket = None
            self._connect()

    def _secure(self) -> None:
        assert self._socket is not None
        if not isinstance(self._socket, ssl.SSLSocket):
            secured = self._target.secure(self._socket)
            if secured is None:
                self._secured = True
                return
            self._socket = secured
        self._socket.do_handshake()
        if self._socket.selected_alpn_protocol() != "h2":
            raise OSError(errno.EPROTO, "TLS works, but the server does not offer HTTP/2 (ALPN h2)")
        self._secured = True

    # Bytes

    def read(self) -> bool:
        """Take what has come, a buffer full at most; whether that was anything."""
        if not self._secured:
            self.advance()
            return False
        assert self._socket is not None
        connection = self.connection
        try:
            count = self._socket.recv_into(connection.space())
            self.read_ns = time.perf_counter_ns()
        except _AGAIN:
            return False
        except OSError as error:
            self.read_ns = time.perf_counter_ns()
            self.give_up(_reason(error))
            return True
        if count:
            connection.received(count)
        else:
            self.give_up(connection.leaving or "the server closed the connection")
        return True

    def call(self, tag: int, message: bytes) -> None:
        """Make one call, for which there must be room; it goes with the next `flush`."""
        outgoing = self.connection.outgoing
        start = self._offset + len(outgoing)
        stream = self.connection.call(tag, message)
        self._marks.append(_Mark(start, self._offset + len(outgoing), stream, np.array([tag])))

    def call_many(self, tags: Integers, wheel: Wheel, positions: Integers) -> bool:
        """Make calls at once, for which there must be room, and send them; whether that was possible."""
        stream = self.connection.next_stream
        octets = self.connection.call_many(tags, wheel, positions)
        if octets is None:
            return False
        outgoing = self.connection.outgoing
        start = self._offset + len(outgoing)
        end = start + len(octets)
        if outgoing:
            outgoing += octets
            self._marks.append(_Mark(start, end, stream, tags))
            self.flush()
            return True
        assert self._socket is not None
        try:
            count = self._socket.send(octets)
        except OSError:
            # Nothing fits now; or the connection is lost, as `flush` will find.
            count = 0
        self._offset += count
        if start + count == end:
            self.handed_over.append(tags)
        else:
            outgoing += octets[count:]
            self._marks.append(_Mark(start, end, stream, tags))
        return True

    def flush(self) -> None:
        """Send what is queued, as far as the socket takes it."""
        if not self._secured or self._socket is None:
            return
        outgoing = self.connection.outgoing
        try:
            while outgoing:
                with memoryview(outgoing) as view:
                    count = self._socket.send(view)
                del outgoing[:count]
                self._offset += count
        except _AGAIN:
            pass
        except OSError as error:
            # What the peer said before it went away is worth more.
            while not self.connection.ended and self._secured and self.read():
                pass
            if not self.connection.ended:
                self.give_up(_reason(error))
        while self._marks and self._marks[0].end <= self._offset:
            self.handed_over.append(self._marks.popleft().tags)


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or error}; does the server use TLS on this port?"
    return error.strerror or str(error)
