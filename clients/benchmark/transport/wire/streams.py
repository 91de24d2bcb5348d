"""Which streams of a connection are open: a ring by stream id, so that thousands open and close in a few steps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

_FEWEST = 4096
# Slots are known to be free for the next streams up to this part of the ring, and looked at so many at a time.
_PARTS = 8
# An array without dimensions is a faster operand than a number.
_ONE = np.array(1)


class OpenStreams:
    """The open streams of a connection, each with the tag (int64) under which the caller knows its call. Ids only grow."""

    def __init__(self) -> None:
        self.count = 0
        # By slot: the stream that is open there (0: none), and its tag.
        self._streams = np.zeros(_FEWEST, np.int64)
        self._tags = np.zeros(_FEWEST, np.int64)
        self._size = _FEWEST
        self._mask = np.array(_FEWEST - 1)
        # Streams below this find a free slot.
        self._free_below = 1

    def open(self, stream: int, tags: Integers) -> None:
        """Open the streams `stream`, `stream + 2` and so on."""
        count = len(tags)
        while stream + 2 * count > self._free_below:
            self._look_ahead()
        first = stream >> 1 & self._size - 1
        until = first + count
        if until <= self._size:
            self._streams[first:until] = np.arange(stream, stream + 2 * count, 2)
            self._tags[first:until] = tags
        else:
            streams = np.arange(stream, stream + 2 * count, 2)
            slots = streams >> 1 & self._size - 1
            self._streams[slots], self._tags[slots] = streams, tags
        self.count += count

    def close(self, streams: Integers) -> Integers | None:
        """Close open streams, int64 [k], and give their tags; None, and nothing is closed, where one is not open or comes twice."""
        slots = streams >> _ONE & self._mask
        if self._streams[slots].tobytes() != streams.tobytes() or len(set(slots.tolist())) < len(slots):
            return None
        self._streams[slots] = 0
        self.count -= len(slots)
        tags: Integers = self._tags[slots]
        return tags

    def close_one(self, stream: int) -> int | None:
        """Close a stream and give its tag; None where it is not open."""
        slot = stream >> 1 & self._size - 1
        if not stream or self._streams[slot] != stream:
            return None
        self._streams[slot] = 0
        self.count -= 1
        return int(self._tags[slot])

    def __contains__(self, stream: int) -> bool:
        return bool(stream and self._streams[stream >> 1 & self._size - 1] == stream)

    def above(self, stream: int) -> Integers:
        """The ids of the open streams above one, in order."""
        return np.sort(self._streams[self._streams > stream])

    def tagged(self, tags: Integers) -> Integers:
        """The ids of the open streams with these tags."""
        return self._streams[(self._streams > 0) & np.isin(self._tags, tags)]

    def _look_ahead(self) -> None:
        """Make sure that the slots of the streams that come next are free: a stream that stays open may stand there."""
        part = self._size // _PARTS
        first = self._free_below >> 1 & self._size - 1
        while self._streams[first : first + part].any():
            self._grow()
            part = self._size // _PARTS
            first = self._free_below >> 1 & self._size - 1
        # Up to the end of the ring, where the part would go beyond it.
        self._free_below += 2 * min(part, self._size - first)

    def _grow(self) -> None:
        slots = np.flatnonzero(self._streams)
        streams, tags = self._streams[slots], self._tags[slots]
        self._size *= 2
        self._mask = np.array(self._size - 1)
        self._streams, self._tags = np.zeros(self._size, np.int64), np.zeros(self._size, np.int64)
        slots = streams >> 1 & self._size - 1
        self._streams[slots], self._tags[slots] = streams, tags
