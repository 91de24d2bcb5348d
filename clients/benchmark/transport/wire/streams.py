"""Which streams of a connection are open: a ring of arrays by stream id, so that thousands open and close in a few steps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

_FEWEST = 1024


class OpenStreams:
    """The open streams of a connection, each with the tag (int64) under which the caller knows its call."""

    def __init__(self) -> None:
        self.count = 0
        # By slot: the stream that is open there (0: none), and its tag.
        self._streams = np.zeros(_FEWEST, np.int64)
        self._tags = np.zeros(_FEWEST, np.int64)
        self._mask = _FEWEST - 1

    def open(self, streams: Integers, tags: Integers) -> None:
        """Add streams, ids int64 [k], that were not open before."""
        slots = streams >> 1 & self._mask
        while len(streams) > len(self._streams) or self._streams[slots].any():
            self._grow()
            slots = streams >> 1 & self._mask
        self._streams[slots] = streams
        self._tags[slots] = tags
        self.count += len(streams)

    def open_one(self, stream: int, tag: int) -> None:
        """Add one stream."""
        while self._streams[stream >> 1 & self._mask]:
            self._grow()
        slot = stream >> 1 & self._mask
        self._streams[slot], self._tags[slot] = stream, tag
        self.count += 1

    def close(self, streams: Integers) -> Integers | None:
        """Close open streams, int64 [k], and give their tags; None, and nothing is closed, where one is not open or comes twice."""
        slots = streams >> 1 & self._mask
        if not (self._streams[slots] == streams).all():
            return None
        order = np.arange(-len(slots), 0)
        self._streams[slots] = order
        if not (self._streams[slots] == order).all():
            self._streams[slots] = streams
            return None
        self._streams[slots] = 0
        self.count -= len(slots)
        tags: Integers = self._tags[slots]
        return tags

    def close_one(self, stream: int) -> int | None:
        """Close a stream and give its tag; None where it is not open."""
        slot = stream >> 1 & self._mask
        if not stream or self._streams[slot] != stream:
            return None
        self._streams[slot] = 0
        self.count -= 1
        return int(self._tags[slot])

    def __contains__(self, stream: int) -> bool:
        return bool(stream and self._streams[stream >> 1 & self._mask] == stream)

    def above(self, stream: int) -> Integers:
        """The ids of the open streams above one, in order."""
        return np.sort(self._streams[self._streams > stream])

    def _grow(self) -> None:
        """Twice as many slots: a stream that stays open while many come and go stands where a later one would."""
        slots = np.flatnonzero(self._streams)
        streams, tags = self._streams[slots], self._tags[slots]
        size = 2 * len(self._streams)
        self._streams, self._tags = np.zeros(size, np.int64), np.zeros(size, np.int64)
        self._mask = size - 1
        self._streams[streams >> 1 & self._mask] = streams
        self._tags[streams >> 1 & self._mask] = tags
