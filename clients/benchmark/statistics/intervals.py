"""How sure a figure is: 95 % intervals that hold although one call's latency is like the last one's.

Calls are no independent draws: a slow second makes hundreds of them slow. So the run is cut into BATCHES equal times,
long enough that one says little of the next, and their scatter says how sure the whole is (batch means; Schmeiser,
"Batch size effects in the analysis of simulation output", 1982, found 10 to 30 of them right). The tests simulate how
often such an interval holds the true value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from clients.benchmark.statistics.histogram import Histogram
from clients.benchmark.statistics.series import Series, coarse_middles_ns
from clients.serving.tensors import Array

CONFIDENCE = 0.95
_TAIL = (1 - CONFIDENCE) / 2
_NORMAL = 1.9600
BATCHES = 16
# The 97.5 % quantile of Student's t with BATCHES - 1 degrees of freedom.
STUDENT = 2.1314


@dataclass(frozen=True)
class Interval:
    """A figure and where it lies with CONFIDENCE; a bound is None where the samples do not bound it."""

    value: float
    low: float | None
    high: float | None


def samples_needed(level: float) -> int:
    """How many samples a quantile needs: so many that its interval has an upper end (36 for p90, 368 for p99).

    The greatest sample is that end, and it is wrong only if all samples lie below the quantile.
    """
    return math.ceil(math.log(_TAIL) / math.log(level) - 1e-9) if level >= 0.5 else samples_needed(1 - level)


def ranks(samples: int, level: float) -> tuple[int, int]:
    """The ranks, from 1, of the two of so many independent samples between which a quantile lies with CONFIDENCE or more.

    A rank of 0 or samples + 1: not bounded on that side. How many samples lie below a quantile is binomial, whatever
    the distribution (David and Nagaraja, "Order Statistics", section 7.1).
    """
    successes, cumulative = _binomial(samples, level)
    # P(fewer than `low` samples are below) <= the tail, P(`high` or more are) <= the tail.
    low = int(successes[0]) + int(np.searchsorted(cumulative, _TAIL, "right"))
    high = int(successes[0]) + int(np.searchsorted(cumulative, 1 - _TAIL, "left")) + 1
    return min(low, samples), high if high <= samples else samples + 1


def _binomial(samples: int, level: float) -> tuple[Array, Array]:
    """The numbers of successes that are not next to impossible, and their cumulative probability."""
    spread = 12 * math.sqrt(samples * level * (1 - level)) + 40
    least, most = max(0, math.floor(samples * level - spread)), min(samples, math.ceil(samples * level + spread))
    successes = np.arange(least, most + 1)
    # From each number to the next the probability changes by a known ratio; so no factorial is needed.
    ratios = np.log((samples - successes[:-1]) / (successes[:-1] + 1)) + math.log(level / (1 - level))
    logarithms = np.concatenate([[0.0], np.cumsum(ratios)])
    probabilities = np.exp(logarithms - logarithms.max())
    return successes, np.cumsum(probabilities) / probabilities.sum()


def batches(totals: Array) -> Array | None:
    """The sums over BATCHES equal times, from those of a run's intervals [intervals, ...]; None where there are fewer.

    What is left over at the end is left out.
    """
    size = len(totals) // BATCHES
    return totals[: size * BATCHES].reshape(BATCHES, size, *totals.shape[1:]).sum(axis=1) if size else None


def rate_per_s(totals: Array, width_ns: int, value: float) -> Interval:
    """A rate with its interval over time, from the totals of the whole intervals of a run (rows or calls), [intervals]."""
    batched = batches(totals)
    if batched is None:
        return Interval(value, None, None)
    per_s = batched / (len(totals) // BATCHES * width_ns) * 1e9
    half = STUDENT * float(per_s.std(ddof=1)) / math.sqrt(BATCHES)
    return Interval(value, max(0.0, value - half), value + half)


def worth(samples: int, below: Array, calls: Array) -> float:
    """How many independent calls the samples of a run are worth for a quantile: its whole intervals have `calls` [intervals], and
    of them `below` that are not above it.

    Never more than there are; all of them where the run is too short to be cut into batches, or these hold nothing.
    """
    counted = int(calls.sum())
    level = below.sum() / max(1, counted)
    excess = batches(below - level * calls)
    if excess is None or not excess.any():
        return float(samples)
    # Student's t in place of the normal quantile, because the scatter itself is known from so few batches only.
    variance = BATCHES * float(excess.var(ddof=1)) * (STUDENT / _NORMAL) ** 2
    return float(samples * min(1.0, counted * level * (1 - level) / variance))


def quantile_ms(level: float, histogram: Histogram, series: Series) -> Interval | None:
    """A quantile of the latencies with its interval, in milliseconds; None where there are too few samples for it."""
    samples = histogram.totals.count
    if samples < samples_needed(level):
        return None
    value_ns = histogram.quantile_ns(level)
    counts = series.counts[: series.used]
    not_above = int(np.searchsorted(coarse_middles_ns(), value_ns, "right"))
    below = counts[:, :not_above].sum(axis=1, dtype=np.int64)
    independent = max(1, math.floor(worth(samples, below, below + counts[:, not_above:].sum(axis=1, dtype=np.int64))))
    low, high = ranks(independent, level)
    scale = samples / independent
    return Interval(
        value_ns / 1e6,
        histogram.at_rank(max(1, math.floor(low * scale))) / 1e6 if low else None,
        histogram.at_rank(min(samples, math.ceil(high * scale))) / 1e6 if high <= independent else None,
    )
