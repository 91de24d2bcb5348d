"""Many calls at once: requests framed ahead of the clock, and answers that look alike recognised together."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clients.benchmark.transport.wire.frames import HEADER_BYTES, Flag, Kind, header
from clients.benchmark.transport.wire.responses import PREFIX_BYTES
from clients.benchmark.transport.wire.streams import Integers

Octets = NDArray[np.uint8]

# Where a frame's header has its stream id.
_STREAM = slice(5, HEADER_BYTES)
# A wheel turns over this many requests at least, so that few distinct ones can be sent many at a time.
_LEAST_REQUESTS = 512


def message(body: bytes, *, compressed: bool = False) -> bytes:
    """A request as a gRPC message: with its five bytes in front."""
    return bytes([compressed]) + len(body).to_bytes(4, "big") + body


def _big_endian(numbers: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """To the byte order of the network, or from it."""
    return numbers.byteswap() if sys.byteorder == "little" else numbers


class Wheel:
    """Requests framed once (HEADERS and DATA each), one behind the other by place; sending patches stream ids.

    Few distinct requests are repeated, so that many can be sent at once: a position is a place and which repetition.
    """

    def __init__(self, messages: Iterable[bytes], block: bytes) -> None:
        self.block = block
        opening = header(len(block), Kind.HEADERS, Flag.END_HEADERS, 0) + block
        # One message after the other, so that no more than one of them is held twice.
        buffer, sizes = bytearray(), []
        for body in messages:
            buffer += opening + header(len(body), Kind.DATA, Flag.END_STREAM, 0) + body
            sizes.append(len(body))
        self.longest = max(sizes)
        self.distinct = len(sizes)
        self._repeated = -(-_LEAST_REQUESTS // self.distinct)
        buffer *= self._repeated
        self._octets: Octets = np.frombuffer(buffer, np.uint8)
        self._view = memoryview(buffer)
        lengths = np.array(sizes * self._repeated, np.int64) + len(opening) + HEADER_BYTES
        starts = np.concatenate([[0], np.cumsum(lengths)])
        self._starts: list[int] = starts.tolist()
        # What of a request's frames does not count for flow control.
        self._overhead = len(opening) + HEADER_BYTES
        # Where both stream ids of each request are in the octets.
        firsts = starts[:-1, None]
        self._ids = np.stack([firsts + np.arange(5, 9), firsts + len(opening) + np.arange(5, 9)], axis=1)
        self._in_order = np.arange(len(firsts))
        self._steps = np.arange(0, 2 * len(firsts), 2, dtype=np.uint32)

    def positions(self, numbers: Integers, places: Integers) -> Integers:
        """Where the requests of calls are, int64 [k]: one behind the other for calls in order, as far as it goes round."""
        if self._repeated == 1:
            return places
        lap, last_lap = int(numbers[0]) // self.distinct, int(numbers[-1]) // self.distinct
        if lap == last_lap:
            offset = lap % self._repeated * self.distinct
            return places + np.array(offset) if offset else places
        return places + numbers // self.distinct % self._repeated * self.distinct

    def frames(self, positions: Integers, stream: int) -> tuple[memoryview, int] | None:
        """The bytes of calls on streams `stream`, `stream + 2` and so on, and what they count for flow control.

        Good until the next call. None where a position comes twice.
        """
        count, starts = len(positions), self._starts
        if count > len(self._steps):
            return None
        first = int(positions[0])
        ids = _big_endian(self._steps[:count] + np.array(stream, np.uint32)).view(np.uint8).reshape(count, 1, 4)
        if positions.tobytes() == self._in_order[first : first + count].tobytes():
            self._octets[self._ids[first : first + count]] = ids
            octets = self._view[starts[first] : starts[first + count]]
        else:
            apart = positions.tolist()
            if len(set(apart)) < count:
                return None
            self._octets[self._ids[positions]] = ids
            octets = memoryview(b"".join([self._view[starts[position] : starts[position + 1]] for position in apart]))
        return octets, len(octets) - count * self._overhead


class Layout(NamedTuple):
    """What a response consists of: HEADERS, one DATA frame with one message, trailers; `version` is that of the header table."""

    headers: bytes
    message_bytes: int
    trailers: bytes
    version: int


class Run(NamedTuple):
    """Responses of one layout that lie one behind the other: their streams, int64 [k], and messages, uint8 [k, message_bytes] (a view)."""

    streams: Integers
    bodies: Octets
    length: int


class Template:
    """Recognises responses of a layout."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        opening = header(len(layout.headers), Kind.HEADERS, Flag.END_HEADERS, 0) + layout.headers
        data_bytes = PREFIX_BYTES + layout.message_bytes
        front = opening + header(data_bytes, Kind.DATA, 0, 0) + message(bytes(layout.message_bytes))[:PREFIX_BYTES]
        back = header(len(layout.trailers), Kind.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, 0) + layout.trailers
        self.start = front[:5]
        self.length = len(front) + layout.message_bytes + len(back)
        self._front, self._back = len(front), self.length - len(back)
        # Where each stream id is, and what of a response is always the same.
        self._ids = [position + _STREAM.start for position in (0, len(opening), self._back)]
        self._frame = np.dtype(
            {"names": ["headers", "data", "trailers"], "formats": [">u4"] * 3, "offsets": self._ids, "itemsize": self.length}
        )
        self._expected = front + bytes(layout.message_bytes) + back
        mask = np.full(self.length, 0xFF, np.uint8)
        mask[self._front : self._back] = 0
        for position in self._ids:
            mask[position : position + 4] = 0
        self._mask = mask
        # The same for as many responses as came together until now.
        self._masks, self._repeated = mask, self._expected

    def whole(self, octets: Octets) -> Run | None:
        """As many whole responses as `octets` begins with, if it does."""
        count = len(octets) // self.length
        if not count:
            return None
        octets = octets[: count * self.length]
        streams = self._streams(octets)
        while streams is None:
            # Most often a few at the end are other frames.
            count //= 2
            if not count:
                return None
            octets = octets[: count * self.length]
            streams = self._streams(octets)
        return Run(streams, octets.reshape(count, self.length)[:, self._front : self._back], len(octets))

    def begins(self, octets: Octets) -> bool:
        """Whether `octets`, shorter than a response, may be the beginning of one."""
        size = len(octets)
        return size < self.length and (octets & self._mask[:size]).tobytes() == self._expected[:size]

    def _streams(self, octets: Octets) -> Integers | None:
        """The streams of responses that fill `octets`, if that is what they are."""
        size = len(octets)
        if len(self._masks) < size:
            self._masks = np.tile(self._mask, 2 * size // self.length)
            self._repeated = self._masks.size // self.length * self._expected
        if (octets & self._masks[:size]).tobytes() != self._repeated[:size]:
            return None
        ids = octets.view(self._frame)
        headers = ids["headers"].tobytes()
        if not headers == ids["data"].tobytes() == ids["trailers"].tobytes():
            return None
        return _big_endian(np.frombuffer(headers, np.uint32)).astype(np.int64)
