"""What a connection sends: header blocks that get short, and messages as far as flow control allows."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

from clients.benchmark.transport.wire import frames
from clients.benchmark.transport.wire.frames import Code, ProtocolError, Setting
from clients.benchmark.transport.wire.hpack import Encoder, Field
from clients.benchmark.transport.wire.runs import Wheel
from clients.benchmark.transport.wire.streams import Integers


@dataclass
class _Unsent:
    """The rest of a message, and what its stream's window still allows."""

    octets: memoryview
    window: int


class Sender:
    """Queues the requests of a connection in `outgoing`; `fields` are the header fields of each."""

    def __init__(self, fields: Sequence[Field], outgoing: bytearray) -> None:
        self._fields, self._outgoing = fields, outgoing
        self._encoder = Encoder()
        # The header block of every further request, while nothing changes what it means.
        self._steady: bytes | None = None
        # By stream, in the order in which they began.
        self._unsent: dict[int, _Unsent] = {}
        self._window = self._initial_window = frames.DEFAULT_WINDOW
        self._max_frame_bytes = frames.LEAST_MAX_FRAME_BYTES

    def request(self, stream: int, message: bytes) -> None:
        """Queue a request, as much of it as flow control allows."""
        block = self._steady
        if block is None:
            block = self._encoder.encode(self._fields)
            self._settle()
        self._outgoing += frames.headers_frames(block, stream, self._max_frame_bytes)
        unsent = _Unsent(memoryview(message), self._initial_window)
        if not self._send(stream, unsent):
            self._unsent[stream] = unsent

    def many(self, wheel: Wheel, positions: Integers, stream: int) -> memoryview | None:
        """The bytes of the requests at these positions of a wheel, not queued; None where they must go one by one."""
        within = wheel.longest <= self._initial_window and wheel.longest <= self._max_frame_bytes
        if wheel.block != self._steady or self._unsent or not within:
            return None
        framed = wheel.frames(positions, stream)
        if framed is None or framed[1] > self._window:
            return None
        self._window -= framed[1]
        return framed[0]

    def predicted_block(self) -> bytes:
        """The header block that a wheel must have: that of every request but the first, as things are now."""
        encoder = deepcopy(self._encoder)
        encoder.encode(self._fields)
        return encoder.encode(self._fields)

    def forget(self, stream: int) -> bool:
        """Send nothing more on a stream; whether something was unsent."""
        return self._unsent.pop(stream, None) is not None

    def set(self, identifier: int, value: int) -> None:
        """Heed a setting of the peer's."""
        if identifier == Setting.HEADER_TABLE_SIZE:
            self._encoder.resize(value)
            self._steady = None
        elif identifier == Setting.MAX_FRAME_SIZE:
            self._max_frame_bytes = value
        elif identifier == Setting.INITIAL_WINDOW_SIZE:
            # It counts for open streams too, and may make their windows negative (RFC 9113, section 6.9.2).
            for unsent in self._unsent.values():
                unsent.window += value - self._initial_window
                if unsent.window > frames.GREATEST_WINDOW:
                    raise ProtocolError("a setting makes the window of a stream too large", Code.FLOW_CONTROL_ERROR)
            self._initial_window = value

    def widen(self, increment: int) -> None:
        """The peer takes so many bytes more on the connection."""
        if not increment:
            raise ProtocolError("a WINDOW_UPDATE by nothing")
        self._window += increment
        if self._window > frames.GREATEST_WINDOW:
            raise ProtocolError("the connection's window grew too large", Code.FLOW_CONTROL_ERROR)

    def widen_stream(self, stream: int, increment: int) -> bool:
        """The peer takes so many bytes more on a stream; whether its window is not too large now."""
        unsent = self._unsent.get(stream)
        if unsent is None:
            return True
        unsent.window += increment
        return unsent.window <= frames.GREATEST_WINDOW

    def send_unsent(self) -> bool:
        """Queue what flow control now allows; whether that was anything."""
        before = len(self._outgoing)
        sent = []
        for stream, unsent in self._unsent.items():
            if self._window <= 0:
                break
            if unsent.window > 0 and self._send(stream, unsent):
                sent.append(stream)
        for stream in sent:
            del self._unsent[stream]
        return len(self._outgoing) > before

    def _send(self, stream: int, unsent: _Unsent) -> bool:
        """Queue as much of a message as flow control allows; whether that was all."""
        size = max(0, min(len(unsent.octets), unsent.window, self._window))
        whole = size == len(unsent.octets)
        if size or whole:
            self._outgoing += frames.data_frames(unsent.octets[:size], stream, self._max_frame_bytes, end=whole)
            self._window -= size
            unsent.window -= size
            unsent.octets = unsent.octets[size:]
        return whole

    def _settle(self) -> None:
        """Keep the block of every further request, if that changes nothing."""
        trial = deepcopy(self._encoder)
        block = trial.encode(self._fields)
        if trial.version == self._encoder.version:
            self._steady = block
