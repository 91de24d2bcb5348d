"""Two runs: better, worse or no difference, from their records."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clients.benchmark.statistics.figures import PERCENTILES, name_of
from clients.benchmark.statistics.intervals import BATCHES, CONFIDENCE, STUDENT, batches, samples_needed
from clients.benchmark.statistics.series import COARSE_ERROR, Series, coarse_middles_ns
from clients.serving.tensors import Array

Json = dict[str, Any]
_DRAWS, _SEED = 1000, 1
# The scatter of a mean of BATCHES draws, as Student's t has it, from that of the bootstrap.
_STRETCH = STUDENT / 1.96 * math.sqrt(BATCHES / (BATCHES - 1))
# What is smaller than this is no difference to anybody, however sure it is.
_NEGLIGIBLE = 0.01
# Settings that say where results go, or that no figure depends on.
_INDIFFERENT = {"seed", "expect", "save_answers", "server", "model"}


@dataclass(frozen=True)
class Change:
    """One figure, before and after, and `ratio` (after / before) with its interval; `verdict`: better, worse, no difference or
    cannot be said, and `why` not."""

    name: str
    unit: str
    before: float | None
    after: float | None
    ratio: float | None
    low: float | None
    high: float | None
    verdict: str
    why: str = ""


@dataclass(frozen=True)
class Comparison:
    """The changes of throughput and of each percentile, and what makes them doubtful."""

    changes: tuple[Change, ...]
    doubts: tuple[str, ...]


def compare(before: Json, after: Json) -> Comparison:
    """What changed from one record of a run to another.

    The intervals come from the scatter of each run's batches over time: they are drawn anew, with replacement, a thousand
    times (a bootstrap, seeded). What differs from run to run, and not within one, they cannot know.
    """
    runs = [_Batches.of(before), _Batches.of(after)]
    changes = []
    for name, unit, sign, level in _figures():
        values = [_value(record, name) for record in (before, after)]
        needed = 0 if level is None else samples_needed(level)
        if any(value is None for value in values):
            changes.append(_unsaid(name, unit, values, f"needs {needed:,} measured requests in both runs"))
        elif any(run is None for run in runs):
            changes.append(_unsaid(name, unit, values, f"needs runs of more than {BATCHES} ms"))
        else:
            drawn = [run.rates if level is None else run.quantiles(level) for run in runs if run]
            changes.append(_change(name, unit, sign, values, drawn))
    return Comparison(tuple(changes), tuple(_doubts(before, after)))


def _figures() -> Iterator[tuple[str, str, int, float | None]]:
    """Name, unit, whether more is better (1) or worse (-1), and the quantile's level."""
    yield "throughput", "rows/s", 1, None
    for percentile in PERCENTILES:
        yield name_of(percentile), "ms", -1, percentile / 100


def _value(record: Json, name: str) -> float | None:
    value: float | None = record["throughput_rows_per_s"] if name == "throughput" else record["latency_ms"][name]
    return value


@dataclass(frozen=True)
class _Batches:
    """The batches of a run, drawn anew: `rates` [1 + draws] is the throughput of each draw, `cumulative` [1 + draws, buckets] the
    calls up to each of the `middles`. The first row is the run itself."""

    rates: Array
    cumulative: Array
    middles: Array

    @classmethod
    def of(cls, record: Json) -> _Batches | None:
        """None where the run is too short."""
        series = Series.from_record(record["series"])
        counts, rows = batches(series.counts[: series.used]), batches(series.rows[: series.used])
        if counts is None or rows is None or not counts.sum():
            return None
        drawn = np.random.default_rng(_SEED).multinomial(BATCHES, [1 / BATCHES] * BATCHES, _DRAWS)
        weights = np.concatenate([np.ones((1, BATCHES), np.int64), drawn]).astype(np.float64)
        used = np.flatnonzero(counts.sum(axis=0))
        return cls(weights @ rows, np.cumsum(weights @ counts[:, used], axis=1), coarse_middles_ns()[used])

    def quantiles(self, level: float) -> Array:
        """The quantile of each draw; of one without calls, that of the run."""
        wanted = np.maximum(np.ceil(self.cumulative[:, -1:] * level - 1e-6), 1)
        places = np.minimum((self.cumulative < wanted).sum(axis=1), len(self.middles) - 1)
        found: Array = self.middles[np.where(self.cumulative[:, -1] > 0, places, places[0])]
        return found


def _change(name: str, unit: str, sign: int, values: Sequence[float | None], drawn: Sequence[Array]) -> Change:
    before, after = values
    assert before is not None
    assert after is not None
    first, second = (np.log(np.maximum(draws, draws[draws > 0].min())) for draws in drawn)
    # The draws of the two runs are independent of each other: one of them is turned round.
    deviations = _STRETCH * ((second[1:] - second[0]) - (first[1:] - first[0])[::-1])
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(deviations, [tail, 1 - tail])
    rough = 0.0 if name == "throughput" else COARSE_ERROR
    ratio = after / before
    bounds = float(ratio * math.exp(low) * (1 - rough)), float(ratio * math.exp(high) * (1 + rough))
    verdict = "no difference"
    if abs(ratio - 1) >= _NEGLIGIBLE and not bounds[0] <= 1 <= bounds[1]:
        verdict = "better" if (ratio > 1) == (sign > 0) else "worse"
    return Change(name, unit, before, after, ratio, *bounds, verdict)


def _unsaid(name: str, unit: str, values: Sequence[float | None], why: str) -> Change:
    return Change(name, unit, values[0], values[1], None, None, None, "cannot be said", why)


def _doubts(before: Json, after: Json) -> Iterator[str]:
    for name, record in (("before", before), ("after", after)):
        if record["warnings"]:
            yield f"{name} is not to be trusted: {'; '.join(record['warnings'])}"
        drifts = [drift["name"] for drift in record["drift"] if not drift["steady"]]
        if drifts:
            yield f"{name} was not steady: {', '.join(drifts)}"
    for name in ("server", "model", "signature"):
        if before[name] != after[name]:
            yield f"{name} differs: {before[name]}, then {after[name]}"
    for part in ("settings", "machine", "software"):
        names = [name for name in dict.fromkeys([*before[part], *after[part]]) if name not in _INDIFFERENT]
        found = [(name, before[part].get(name), after[part].get(name)) for name in names]
        told = [f"{name} {first}, then {second}" for name, first, second in found if first != second]
        if told:
            yield f"{part} {'differ' if part == 'settings' else 'differs'}: {'; '.join(told)}"
