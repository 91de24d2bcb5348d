"""The calls under way: a table by tag, so that many begin and end in a few steps."""

from __future__ import annotations

import numpy as np

from clients.benchmark.transport.wire.streams import Integers

_FEWEST = 4096
# Tags are given out in order, from one part of the table after the other; no more calls than a part has can begin at once.
_PART = 512


class Calls:
    """Each call has a tag from `begin` until `end`. Instants are nanoseconds."""

    def __init__(self) -> None:
        self.under_way = 0
        # By what is known of a call (number, due, sent, place, begun) and tag. A tag is free where none has begun: 0. A call that
        # was not handed over yet counts as sent when it began.
        self._table = np.zeros((5, _FEWEST), np.int64)
        self._next = 0
        self._look()

    def begin(self, numbers: Integers, places: Integers, due_ns: Integers | int, now_ns: int) -> Integers:
        """Tags for new calls, int64 [k], k <= 512, as are `numbers` and `places`; good until the next call of this."""
        count = len(numbers)
        if self._next % _PART == 0 or self._next % _PART + count > _PART:
            self._turn()
        first, until = self._next, self._next + count
        self._next = until
        self.under_way += count
        self._numbers[first:until] = numbers
        self._due_ns[first:until] = due_ns
        self._sent_ns[first:until] = now_ns
        self._places[first:until] = places
        self._begun_ns[first:until] = now_ns
        return self._tags[first:until]

    def note_sent(self, tags: Integers, now_ns: int) -> None:
        """The bytes of these calls were handed over."""
        self._sent_ns[tags] = now_ns

    def numbers_and_places(self, tags: Integers) -> tuple[Integers, Integers]:
        """Of calls under way."""
        return self._numbers[tags], self._places[tags]

    def end(self, tags: Integers) -> Integers:
        """These calls have ended: int64 [4, k], their numbers, when they were due and sent, and their places."""
        ended = self._told.take(tags, axis=1)
        self._begun_ns[tags] = 0
        self.under_way -= len(tags)
        return ended

    def begun_before(self, instant_ns: int) -> Integers:
        """The tags of calls under way that began before an instant."""
        return np.flatnonzero((self._begun_ns > 0) & (self._begun_ns < instant_ns))

    @property
    def oldest_ns(self) -> int:
        """When the oldest call under way began; far in the future where there is none."""
        begun_ns = self._begun_ns[self._begun_ns > 0]
        return int(begun_ns.min(initial=np.iinfo(np.int64).max))

    def _turn(self) -> None:
        """Go on in the next part of the table in which no call is under way, or in a larger table."""
        size = len(self._tags)
        start = -(-self._next // _PART) * _PART
        for step in range(0, size, _PART):
            part = (start + step) % size
            if not self._begun_ns[part : part + _PART].any():
                self._next = part
                return
        self._table = np.concatenate([self._table, np.zeros_like(self._table)], axis=1)
        self._next = size
        self._look()

    def _look(self) -> None:
        """Name the rows of the table, which is faster than to find them each time."""
        self._tags = np.arange(self._table.shape[1])
        self._told = self._table[:4]
        self._numbers, self._due_ns, self._sent_ns, self._places, self._begun_ns = self._table
