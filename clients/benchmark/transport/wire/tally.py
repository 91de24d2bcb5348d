"""Equal answers, counted by place before a sink hears of them."""

from __future__ import annotations

import numpy as np

from clients.benchmark.transport import Sink
from clients.benchmark.transport.wire.runs import Octets
from clients.benchmark.transport.wire.streams import Integers

# Answers known by place are compared all at once while they fit into this.
_MOST_KNOWN_BYTES, _MOST_KNOWN_PLACES = 256 * 1024 * 1024, 1 << 20
# Else the last answers of so many places are compared.
_MOST_LAST = 1 << 16
_AGAIN = 32_768


class Tally:
    """Tells a sink of a place's answers when another answer comes there, and of the rest by `tell`."""

    def __init__(self, sink: Sink, places: int) -> None:
        self._sink, self._places = sink, places
        # By place: the answer, how often it came since it was last told, and when first.
        self._last: dict[int, tuple[bytes, int, int]] = {}
        # The same for answers that come many at once, which are of one length: by place.
        self._known: Octets = np.zeros((0, 0), np.uint8)
        self._unknown: set[int] = set()
        self._counts, self._firsts_ns = np.zeros((2, places), np.int64)
        # Places whose known answer came again, not counted yet.
        self._again = np.zeros(_AGAIN, np.int64)
        self._again_count = 0

    def one(self, place: int, body: bytes, now_ns: int) -> None:
        """One answer."""
        last, count, first_ns = self._last.get(place, (b"", 0, now_ns))
        if count and last != body:
            self._sink.answer(place, last, count, first_ns)
            count, first_ns = 0, now_ns
        self._last[place] = body, count + 1, first_ns
        if len(self._last) > _MOST_LAST:
            self._tell_last()

    def many(self, places: Integers, bodies: Octets, now_ns: int) -> None:
        """Answers of equal length, uint8 [k, bytes], to the requests at `places`, int64 [k]."""
        size = bodies.shape[1]
        if self._known.shape != (self._places, size):
            if self._known.size:
                self._tell_known()
                self._known = np.zeros((0, 0), np.uint8)
            if size * self._places > _MOST_KNOWN_BYTES or self._places > _MOST_KNOWN_PLACES:
                for place, body in zip(places.tolist(), bodies, strict=True):
                    self.one(place, body.tobytes(), now_ns)
                return
            self._known = np.zeros((self._places, size), np.uint8)
            self._unknown = set(range(self._places))
        if (self._unknown and not self._unknown.isdisjoint(places.tolist())) or self._known[places].tobytes() != bodies.tobytes():
            self._learn(places, bodies, now_ns)
        else:
            if self._again_count + len(places) > _AGAIN:
                self._count()
            self._again[self._again_count : self._again_count + len(places)] = places
            self._again_count += len(places)

    def _learn(self, places: Integers, bodies: Octets, now_ns: int) -> None:
        """Answers some of which are not the known ones."""
        self._count()
        for place, body in zip(places.tolist(), bodies, strict=True):
            if place in self._unknown or (self._known[place] != body).any():
                self._tell_place(place)
                self._unknown.discard(place)
                self._known[place], self._firsts_ns[place] = body, now_ns
            self._counts[place] += 1

    def tell(self) -> None:
        """Tell the sink what it has not been told yet."""
        self._tell_known()
        self._tell_last()

    def _tell_last(self) -> None:
        for place, (body, count, first_ns) in self._last.items():
            self._sink.answer(place, body, count, first_ns)
        self._last = {}

    def _count(self) -> None:
        if not self._again_count:
            return  # the rest costs as much as there are places
        self._counts += np.bincount(self._again[: self._again_count], minlength=self._places)
        self._again_count = 0

    def _tell_known(self) -> None:
        self._count()
        for place in np.flatnonzero(self._counts).tolist():
            self._tell_place(place)

    def _tell_place(self, place: int) -> None:
        count = int(self._counts[place])
        if count:
            self._sink.answer(place, self._known[place].tobytes(), count, int(self._firsts_ns[place]))
            self._counts[place] = 0
