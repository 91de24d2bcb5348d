"""Whether a run was steady: a trend over time, and its two halves. Reported, never a reason to withhold the figures."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from clients.benchmark.statistics.intervals import BATCHES, batches
from clients.benchmark.statistics.series import Series, coarse_middles_ns
from clients.serving.tensors import Array

# A drift is one that chance would hardly make, and that is large enough to matter to somebody.
_CHANCE, _MATTERS = 0.01, 0.05


@dataclass(frozen=True)
class Drift:
    """How one figure went over the run: `name` with its unit, its mean in the `first` and `second` half, the `change` from the
    one to the other (0.1: a tenth more), and how often chance alone makes as clear a trend (`p_value`)."""

    name: str
    first: float
    second: float
    change: float
    p_value: float

    @property
    def steady(self) -> bool:
        """Whether no trend was found that is both clear and larger than a twentieth."""
        return self.p_value >= _CHANCE or abs(self.change) < _MATTERS

    def __str__(self) -> str:
        went = "rose" if self.change > 0 else "fell"
        return f"{self.name} {went} by {abs(self.change):.0%}: {self.first:.3g} in the run's first half, {self.second:.3g} in its second"


def drifts(series: Series) -> tuple[Drift, ...]:
    """The drift of throughput and of the median latency; nothing where the run is too short for BATCHES whole intervals."""
    whole = series.counts[: series.used]
    batched = batches(whole)
    if batched is None:
        return ()
    width_s = len(whole) // BATCHES * series.width_ns / 1e9
    figures = [("requests/s", batched.sum(axis=1) / width_s), ("p50 in ms", np.array(list(_medians_ms(batched))))]
    return tuple(drift(name, values) for name, values in figures if len(values) >= BATCHES // 2)


def drift(name: str, values: Array) -> Drift:
    """That of some values in the order of time."""
    half = len(values) // 2
    first, second = float(values[:half].mean()), float(values[-half:].mean())
    return Drift(name, first, second, second / first - 1 if first else 0.0, trend_p_value(values))


def trend_p_value(values: Array) -> float:
    """How likely values in random order show as clear a trend: Mann and Kendall's test, two-sided, ties accounted for."""
    count = len(values)
    score = sum(int(np.sign(values[later] - values[sooner])) for sooner, later in combinations(range(count), 2))
    ties = np.unique(values, return_counts=True)[1]
    variance = (count * (count - 1) * (2 * count + 5) - float((ties * (ties - 1) * (2 * ties + 5)).sum())) / 18
    if not variance:
        return 1.0
    distance = max(0, abs(score) - 1) / math.sqrt(variance)
    return math.erfc(distance / math.sqrt(2))


def _medians_ms(counts: Array) -> Iterator[float]:
    """The median latency of each batch that has any: counts [batches, COARSE_BUCKETS]."""
    middles = coarse_middles_ns() / 1e6
    for cumulative in np.cumsum(counts, axis=1):
        if cumulative[-1]:
            yield float(middles[np.searchsorted(cumulative, (cumulative[-1] + 1) // 2)])
