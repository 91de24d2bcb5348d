"""The calls under way, and what is told of them: arrays by tag, so that many begin and end in a few steps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clients.benchmark.transport import Sink
from clients.benchmark.transport.wire.runs import Octets
from clients.benchmark.transport.wire.streams import Integers

FREE, WAITING, SENT = 0, 1, 2
_FEWEST = 1024
# Answers known by place are compared all at once while they fit into this.
_MOST_KNOWN_BYTES = 256 * 1024 * 1024


class Calls:
    """Each call has a tag from `begin` until `end`. The attributes are arrays by tag; instants are nanoseconds, 0 for not yet."""

    def __init__(self) -> None:
        self._free: Integers = np.arange(_FEWEST)
        self._free_count = _FEWEST
        self.state: NDArray[np.uint8] = np.zeros(_FEWEST, np.uint8)
        self.moved: NDArray[np.uint8] = np.zeros(_FEWEST, np.uint8)
        self.numbers, self.places, self.due_ns, self.begun_ns, self.sent_ns, self.streams, self.lines = np.zeros((7, _FEWEST), np.int64)

    @property
    def under_way(self) -> int:
        """How many calls have begun and not ended."""
        return len(self.state) - self._free_count

    def begin(self, numbers: Integers, places: Integers, due_ns: Integers | int, now_ns: int) -> Integers:
        """Tags for new calls, int64 [k], as are `numbers` and `places`."""
        count = len(numbers)
        while count > self._free_count:
            self._grow()
        self._free_count -= count
        tags = self._free[self._free_count : self._free_count + count].copy()
        self.state[tags] = WAITING
        self.moved[tags] = 0
        self.numbers[tags], self.places[tags] = numbers, places
        self.due_ns[tags], self.begun_ns[tags], self.sent_ns[tags] = due_ns, now_ns, 0
        return tags

    def end(self, tags: Integers) -> None:
        """These calls have ended."""
        self.state[tags] = FREE
        self._free[self._free_count : self._free_count + len(tags)] = tags
        self._free_count += len(tags)

    def begun_before(self, instant_ns: int) -> Integers:
        """The tags of calls under way that began before an instant."""
        return np.flatnonzero((self.state != FREE) & (self.begun_ns < instant_ns))

    def _grow(self) -> None:
        size = len(self.state)
        unused = np.zeros(size - self._free_count, np.int64)
        self._free = np.concatenate([self._free[: self._free_count], np.arange(size, 2 * size), unused])
        self._free_count += size
        for name in ("state", "moved", "numbers", "places", "due_ns", "begun_ns", "sent_ns", "streams", "lines"):
            old = getattr(self, name)
            setattr(self, name, np.concatenate([old, np.zeros(size, old.dtype)]))


class Tally:
    """Counts equal answers by place, and tells them to a sink: each place's when another answer comes, and the rest by `tell`."""

    def __init__(self, sink: Sink, places: int) -> None:
        self._sink, self._places = sink, places
        # By place: the answer, how often it came since it was last told, and when first.
        self._last: dict[int, tuple[bytes, int, int]] = {}
        self._known: Octets | None = None
        self._is_known = np.zeros(places, np.bool_)
        self._counts, self._firsts_ns = np.zeros((2, places), np.int64)

    def one(self, place: int, body: bytes, now_ns: int) -> None:
        """One answer."""
        last, count, first_ns = self._last.get(place, (b"", 0, 0))
        if count and last == body:
            self._last[place] = last, count + 1, first_ns
            return
        if count:
            self._sink.answer(place, last, count, first_ns)
        self._last[place] = body, 1, now_ns

    def many(self, places: Integers, bodies: Octets, now_ns: int) -> None:
        """Answers of equal length, uint8 [k, bytes], to the requests at `places`, int64 [k]."""
        known = self._known
        if known is None or known.shape[1] != bodies.shape[1]:
            self._tell_known()
            size = bodies.shape[1]
            if size * self._places > _MOST_KNOWN_BYTES:
                self._each(places, bodies, now_ns)
                return
            self._known = known = np.zeros((self._places, size), np.uint8)
        same = self._is_known[places]
        if same.all() and bool((known[places] == bodies).all()):
            np.add.at(self._counts, places, 1)
            return
        same &= (known[places] == bodies).all(axis=1)
        np.add.at(self._counts, places[same], 1)
        for row in np.flatnonzero(~same).tolist():
            place = int(places[row])
            self._tell_place(place)
            known[place], self._is_known[place] = bodies[row], True
            self._counts[place], self._firsts_ns[place] = 1, now_ns

    def tell(self) -> None:
        """Tell the sink what it has not been told yet."""
        self._tell_known()
        for place, (body, count, first_ns) in self._last.items():
            self._sink.answer(place, body, count, first_ns)
        self._last = {}

    def _each(self, places: Integers, bodies: Octets, now_ns: int) -> None:
        for place, body in zip(places.tolist(), bodies, strict=True):
            self.one(place, body.tobytes(), now_ns)

    def _tell_known(self) -> None:
        for place in np.flatnonzero(self._counts).tolist():
            self._tell_place(place)
        self._is_known[:] = False

    def _tell_place(self, place: int) -> None:
        count = int(self._counts[place])
        if count and self._known is not None:
            self._sink.answer(place, self._known[place].tobytes(), count, int(self._firsts_ns[place]))
            self._counts[place] = 0
