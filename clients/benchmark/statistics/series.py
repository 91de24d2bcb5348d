"""What happened when: the run cut into intervals, each with its calls, rows, failures and a histogram.

A run may last a second or a day: when there are too many intervals, each two neighbours become one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from clients.benchmark.statistics.histogram import BUCKETS, buckets_of, middles_ns
from clients.serving.tensors import Array

INTERVALS = 256
FIRST_WIDTH_NS = 1_000_000
# The intervals' histograms are coarser by this many bits, and begin at 2**10 ns: 128 buckets in a power of two, within 0.4 %.
_COARSER = 2
_BELOW = 10 << (9 - _COARSER)
COARSE_BUCKETS = (BUCKETS >> _COARSER) - _BELOW
COARSE_ERROR = 2.0**-8


def coarse_middles_ns() -> Array:
    """The values that stand for the coarse buckets, float64 [COARSE_BUCKETS]: within COARSE_ERROR of what they hold."""
    first = (np.arange(COARSE_BUCKETS) + _BELOW) << _COARSER
    return (middles_ns(first) + middles_ns(first + (1 << _COARSER) - 1)) / 2


class Series:
    """Intervals of `width_ns` from `origin_ns` on, at most INTERVALS of them.

    `counts` [INTERVALS, COARSE_BUCKETS] are the answered calls by latency, `rows` and `failed` [INTERVALS] their rows
    and the calls that failed. A call belongs to the interval in which it ended. Counting and widening go on while calls
    are due, and must not take long: only the buckets between the least and the greatest that were counted are widened.
    """

    def __init__(self, origin_ns: int, width_ns: int = FIRST_WIDTH_NS) -> None:
        self.origin_ns = origin_ns
        self.width_ns = width_ns
        self.counts: Array = np.zeros((INTERVALS, COARSE_BUCKETS), np.int32)
        self.rows: Array = np.zeros(INTERVALS, np.int64)
        self.failed: Array = np.zeros(INTERVALS, np.int64)
        self.used = 0
        # No other buckets hold anything than these: from the one, and up to the other, which is not held.
        self._first, self._end = COARSE_BUCKETS, 0

    def add(self, end_ns: Array, latency_ns: Array, rows: Array) -> None:
        """Count answered calls by when they ended: int64 [N] each."""
        if len(end_ns):
            places = self._places(end_ns)
            buckets = _coarse(latency_ns)
            self._reach(int(buckets.min()), int(buckets.max()) + 1)
            # A flat view, and ones of its own type: numpy takes a thirtieth of the time that it takes otherwise.
            np.add.at(self.counts.reshape(-1), places * COARSE_BUCKETS + buckets, np.ones(len(places), np.int32))
            np.add.at(self.rows, places, rows)

    def add_failed(self, end_ns: Array) -> None:
        """Count calls that failed by when they did: int64 [N]."""
        if len(end_ns):
            np.add.at(self.failed, self._places(end_ns), 1)

    def merge(self, other: Series) -> None:
        """Count what another has counted from the same instant on."""
        if other.origin_ns != self.origin_ns:
            raise ValueError("two series can be merged that begin at the same instant")
        self._widen_to(other.width_ns)
        other._widen_to(self.width_ns)
        self._reach(other._first, other._end)
        self.counts += other.counts
        self.rows += other.rows
        self.failed += other.failed
        self.used = max(self.used, other.used)

    def between(self, first_ns: int, last_ns: int) -> Series:
        """The intervals that lie wholly between two instants; for reading, not for counting further."""
        first = max(0, -(-(first_ns - self.origin_ns) // self.width_ns))
        last = max(first, min(self.used, (last_ns - self.origin_ns) // self.width_ns))
        part = Series(self.origin_ns + first * self.width_ns, self.width_ns)
        part.counts, part.rows, part.failed = (counted[first:last] for counted in (self.counts, self.rows, self.failed))
        part.used = last - first
        return part

    @property
    def calls(self) -> Array:
        """The answered calls of each interval, int64 [INTERVALS]."""
        calls: Array = self.counts.sum(axis=1, dtype=np.int64)
        return calls

    def to_record(self) -> dict[str, Any]:
        """JSON's types; each interval has its buckets, as in a histogram, sparse."""
        intervals = []
        for counts, rows, failed in zip(self.counts[: self.used], self.rows.tolist(), self.failed.tolist(), strict=False):
            buckets = np.flatnonzero(counts)
            intervals.append({"rows": rows, "failed": failed, "buckets": buckets.tolist(), "counts": counts[buckets].tolist()})
        return {"width_ns": self.width_ns, "intervals": intervals}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Series:
        """The series that a record holds, from 0 on. Raises ValueError, IndexError or KeyError where it holds none."""
        made = cls(0, int(record["width_ns"]))
        made.used = len(record["intervals"])
        made._reach(0, COARSE_BUCKETS)
        for place, interval in enumerate(record["intervals"]):
            buckets = np.array(interval["buckets"], np.int64)
            if len(buckets) and buckets.min() < 0:
                raise ValueError("a bucket cannot be negative")
            made.counts[place, buckets] = interval["counts"]
            made.rows[place], made.failed[place] = interval["rows"], interval["failed"]
        return made

    def _places(self, end_ns: Array) -> Array:
        """The interval of each instant; those before the first are counted in it."""
        last_ns = int(end_ns.max()) - self.origin_ns
        while last_ns >= INTERVALS * self.width_ns:
            self._widen_to(2 * self.width_ns)
        places: Array = np.maximum((end_ns - self.origin_ns) // self.width_ns, 0)
        self.used = max(self.used, int(places.max()) + 1)
        return places

    def _reach(self, first: int, end: int) -> None:
        self._first, self._end = min(self._first, first), max(self._end, end)

    def _widen_to(self, width_ns: int) -> None:
        while self.width_ns < width_ns:
            for counted in (self.counts[:, self._first : self._end], self.rows, self.failed):
                half = counted[0::2] + counted[1::2]
                counted[: len(half)], counted[len(half) :] = half, 0
            self.width_ns *= 2
            self.used = (self.used + 1) // 2


def _coarse(latency_ns: Array) -> Array:
    buckets: Array = np.maximum((buckets_of(latency_ns) >> _COARSER) - _BELOW, 0)
    return buckets
