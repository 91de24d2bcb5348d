"""Latencies in bounded memory: buckets that are linear within each power of two, as HdrHistogram's are.

The bits of a float64 are such buckets already: its exponent is the power of two, the leading bits of its mantissa the
place within. So the bucket of a latency is a shift of its bits, and whole arrays are counted at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clients.serving.tensors import Array

# 512 buckets in each power of two: the middle of a bucket is within 1/1024 of all that it holds.
_BITS = 9
RELATIVE_ERROR = 2.0 ** -(_BITS + 1)
# Up to 2**46 ns, 19 hours; what is longer is counted in the last bucket. `max` is exact whatever it is.
_OCTAVES = 46
BUCKETS = _OCTAVES << _BITS
_SHIFT = 52 - _BITS
_FIRST = 1023 << _BITS


def buckets_of(values_ns: Array) -> Array:
    """The bucket of each value, int64. Values are whole nanoseconds; those below 1 count as 1."""
    bits = np.maximum(values_ns, 1).astype(np.float64).view(np.int64)
    buckets: Array = np.minimum((bits >> _SHIFT) - _FIRST, BUCKETS - 1)
    return buckets


def bounds_ns(buckets: Array) -> tuple[Array, Array]:
    """The lower bounds (held) and upper bounds (not held) of buckets, float64."""
    first = np.asarray(buckets, np.int64) + _FIRST
    return (first << _SHIFT).view(np.float64), ((first + 1) << _SHIFT).view(np.float64)


def middles_ns(buckets: Array) -> Array:
    """The values that stand for what buckets hold: within RELATIVE_ERROR of each of it."""
    lower, upper = bounds_ns(buckets)
    return (lower + upper) / 2


def rank(samples: int, level: float) -> int:
    """Which of so many ordered samples, counted from 1, is the quantile: the smallest that a share `level` is not above."""
    return min(max(math.ceil(samples * level - 1e-9 * samples), 1), samples)


@dataclass(frozen=True)
class Totals:
    """What is exact whatever the buckets are; nanoseconds."""

    count: int = 0
    sum_ns: int = 0
    min_ns: int = 0
    max_ns: int = 0

    def plus(self, other: Totals) -> Totals:
        """Those of both."""
        if not self.count or not other.count:
            return self if self.count else other
        return Totals(self.count + other.count, self.sum_ns + other.sum_ns, min(self.min_ns, other.min_ns), max(self.max_ns, other.max_ns))


class Histogram:
    """Counts of latencies, int64 [BUCKETS]; `totals` (count, sum, least and greatest) are exact, quantiles within RELATIVE_ERROR."""

    def __init__(self) -> None:
        self.counts = np.zeros(BUCKETS, np.int64)
        self.totals = Totals()

    def add(self, values_ns: Array) -> None:
        """Count latencies, int64 nanoseconds [N]. Raises ValueError where one is negative: no call ends before it was due."""
        if not len(values_ns):
            return
        least = int(values_ns.min())
        if least < 0:
            raise ValueError(f"expected latencies of 0 ns or more, got {least}")
        np.add.at(self.counts, buckets_of(values_ns), 1)
        self.totals = self.totals.plus(Totals(len(values_ns), int(values_ns.sum()), least, int(values_ns.max())))

    def merge(self, other: Histogram) -> None:
        """Count what another has counted, as one process does for the others."""
        self.counts += other.counts
        self.totals = self.totals.plus(other.totals)

    @property
    def mean_ns(self) -> float:
        """The exact mean; NaN of nothing."""
        return self.totals.sum_ns / self.totals.count if self.totals.count else math.nan

    def at_rank(self, place: int) -> float:
        """The sample of this rank in order, counted from 1, in nanoseconds; infinite above the last."""
        if place > self.totals.count:
            return math.inf
        if place <= 1:
            return float(self.totals.min_ns)
        if place == self.totals.count:
            return float(self.totals.max_ns)
        bucket = int(np.searchsorted(np.cumsum(self.counts), place))
        return float(min(max(middles_ns(np.array([bucket]))[0], self.totals.min_ns), self.totals.max_ns))

    def quantile_ns(self, level: float, slower: int = 0) -> float:
        """The smallest latency that a share `level` of the calls did not exceed; `slower` further calls never ended: infinite."""
        if not self.totals.count + slower:
            return math.nan
        return self.at_rank(rank(self.totals.count + slower, level))

    def share_within(self, limit_ns: float) -> float:
        """The share of the samples that took no longer than this, within one bucket."""
        within = int(self.counts[: int(buckets_of(np.array([limit_ns]))[0]) + 1].sum())
        return within / self.totals.count if self.totals.count else math.nan

    def to_record(self) -> dict[str, Any]:
        """JSON's types: the totals and, sparse, the buckets that hold anything with their counts."""
        used = np.flatnonzero(self.counts)
        totals = {"count": self.totals.count, "sum_ns": self.totals.sum_ns, "min_ns": self.totals.min_ns, "max_ns": self.totals.max_ns}
        return {**totals, "bits": _BITS, "buckets": used.tolist(), "counts": self.counts[used].tolist()}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Histogram:
        """The histogram that a record holds. Raises ValueError or KeyError where it holds none."""
        made = cls()
        made.counts[_places(record["buckets"], record["bits"])] = record["counts"]
        made.totals = Totals(*(int(record[name]) for name in ("count", "sum_ns", "min_ns", "max_ns")))
        if made.counts.min() < 0 or made.counts.sum() != made.totals.count:
            raise ValueError(f"a histogram of {made.totals.count} samples has counts of {made.counts.sum()}")
        return made


def _places(buckets: Sequence[int], bits: int) -> Array:
    places = np.array(buckets, np.int64)
    if bits != _BITS or (len(places) and not (places.min() >= 0 and places.max() < BUCKETS)):
        raise ValueError(f"expected buckets of {_BITS} bits below {BUCKETS}")
    return places
