"""All figures of a run, from what was counted: rates and percentiles with their intervals, lateness, drift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clients.benchmark.statistics.drift import Drift, drifts
from clients.benchmark.statistics.histogram import Histogram, middles_ns
from clients.benchmark.statistics.intervals import Interval, quantile_ms, rate_per_s
from clients.benchmark.statistics.series import Series

PERCENTILES = (50, 90, 95, 99, 99.9)
BINS = 40


@dataclass(frozen=True)
class Bin:
    """So many answers took from `from_ms` to `to_ms` milliseconds."""

    from_ms: float
    to_ms: float
    count: int


@dataclass(frozen=True)
class Figures:
    """`latency` and `lateness` (how late the client sent) count the answered calls, `series` has its whole intervals from
    the first measured instant on; `failed` more calls were measured and not answered. A percentile, in milliseconds, is
    None where there are too few samples for it; a bound of an interval where the samples do not bound it."""

    latency: Histogram
    lateness: Histogram
    series: Series
    failed: int
    rows_per_s: Interval
    requests_per_s: Interval
    percentiles: dict[float, Interval | None]
    drifts: tuple[Drift, ...]


def name_of(percentile: float) -> str:
    """p50, p99.9."""
    return f"p{percentile:g}"


def figures(latency: Histogram, lateness: Histogram, series: Series, failed: int, rows: int, first_ns: int, last_ns: int) -> Figures:
    """Those of calls that were measured from the first instant to the last, with so many rows."""
    whole = series.between(first_ns, last_ns)
    interval_s = max(1, last_ns - first_ns) / 1e9
    return Figures(
        latency=latency,
        lateness=lateness,
        series=whole,
        failed=failed,
        rows_per_s=rate_per_s(whole.rows, whole.width_ns, rows / interval_s),
        requests_per_s=rate_per_s(whole.calls, whole.width_ns, latency.totals.count / interval_s),
        percentiles={percentile: quantile_ms(percentile / 100, latency, whole) for percentile in PERCENTILES},
        drifts=drifts(whole),
    )


def bins(latency: Histogram) -> tuple[Bin, ...]:
    """The latencies in bins whose bounds grow by a constant factor, so that a long tail does not hide the bulk."""
    low, high = latency.totals.min_ns / 1e6, latency.totals.max_ns / 1e6
    if low == high or not low:
        return (Bin(low, high, latency.totals.count),)
    bounds = np.geomspace(low, high, BINS + 1)
    bounds[0], bounds[-1] = low, high
    used = np.flatnonzero(latency.counts)
    counts, _ = np.histogram(np.clip(middles_ns(used) / 1e6, low, high), bounds, weights=latency.counts[used])
    return tuple(Bin(float(lower), float(upper), int(count)) for lower, upper, count in zip(bounds[:-1], bounds[1:], counts, strict=True))
