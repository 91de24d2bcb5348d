"""What we say of what happened: figures that were measured, and what keeps them from being trusted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn

import numpy as np

from clients.benchmark.data.requests import Requests
from clients.benchmark.driving import Ended
from clients.benchmark.errors import Interrupted, NothingSucceeded
from clients.benchmark.judging import telling
from clients.benchmark.judging.judge import Judgement
from clients.benchmark.model import Model
from clients.benchmark.samples import Samples, wall_clock_s
from clients.benchmark.settings import Settings
from clients.serving.tensors import Array

PERCENTILES = (50, 90, 99)
BINS = 40
# With fewer, one slow answer moves every figure.
LEAST_MEASURED = 30
# Shares of the measured interval, from which on the client is part of what was measured.
BUSY_SHARE, LATE_SHARE = 0.5, 0.05


@dataclass(frozen=True)
class Bin:
    """So many answers took from `from_ms` to `to_ms` milliseconds."""

    from_ms: float
    to_ms: float
    count: int


@dataclass(frozen=True)
class Latency:
    """Milliseconds from when a request was due to its answer. A percentile is None where there are too few samples for it."""

    mean: float
    min: float
    max: float
    percentiles: dict[int, float | None]


@dataclass(frozen=True)
class Result:
    """What a run measured. The figures are those of the answered calls of the measured interval, which lasted `duration_s` seconds
    from `started` (ISO 8601), when the first request after the warm-up was due, to the end of the last one.

    `requests` is the number of calls made, of which the first `warm_up` are outside the interval; `failed` counts
    failed calls of the whole run by gRPC status. `measured` calls were timed, with `rows` rows. `accuracy` is over the
    `accuracy_rows` distinct rows that were answered, warm-up included. Where `warnings` is not empty the figures should
    not be trusted, or not without reading them; `notes` only explain.
    """

    server: str
    model: str
    signature: str
    version: int | None
    load: str
    batch_size: int
    requests: int
    warm_up: int
    failed: dict[str, int]
    measured: int
    rows: int
    accuracy: float | None
    accuracy_rows: int
    judgement: Judgement
    throughput_rows_per_s: float
    requests_per_s: float
    latency_ms: Latency
    histogram: tuple[Bin, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    started: str
    duration_s: float
    interrupted: bool


def samples_needed(percentile: int) -> int:
    """How many samples a percentile needs: enough that one at least lies above it (100 for p99)."""
    return math.ceil(100 / (100 - percentile))


def summarise(settings: Settings, model: Model, requests: Requests, samples: Samples, ended: Ended, judgement: Judgement) -> Result:
    """Sum up a run. Raises NothingSucceeded, or Interrupted, where no call was measured."""
    due_ns, sent_ns, end_ns, rows = samples.timed()
    if not len(rows):
        _refuse(settings, samples, ended)
    latencies_ms = (end_ns - due_ns) / 1e6
    first_ns = samples.first_ns or 0
    interval_ns = samples.last_ns - first_ns
    found = [
        *_troubles(settings, samples, ended, judgement, model),
        *_doubts(rows, busy=ended.busy, late=float((sent_ns - due_ns).mean() / latencies_ms.mean() / 1e6)),
    ]
    return Result(
        server=settings.server,
        model=settings.model,
        signature=settings.signature,
        version=judgement.versions[-1].number if judgement.versions else model.version,
        load=settings.load_text,
        batch_size=settings.batch_size,
        requests=samples.calls,
        warm_up=settings.warm_up_iteration,
        failed=dict(samples.failed_by_status),
        measured=len(rows),
        rows=int(rows.sum()),
        accuracy=judgement.quality.accuracy.value if judgement.quality and judgement.quality.accuracy else None,
        accuracy_rows=judgement.rows,
        judgement=judgement,
        throughput_rows_per_s=float(rows.sum() / interval_ns * 1e9),
        requests_per_s=len(rows) / interval_ns * 1e9,
        latency_ms=latency(latencies_ms),
        histogram=histogram(latencies_ms),
        warnings=tuple(text for holds, text in found if holds),
        notes=(*requests.notes, *judgement.notes, *_notes(settings, samples, rows, requests, judgement)),
        started=datetime.fromtimestamp(wall_clock_s(first_ns), UTC).isoformat(timespec="milliseconds"),
        duration_s=interval_ns / 1e9,
        interrupted=ended.interrupted,
    )


def latency(latencies_ms: Array) -> Latency:
    """Mean, extremes and percentiles of some latencies. A percentile is the smallest sample that so many are not above."""
    ordered = np.sort(latencies_ms)
    percentiles = {
        percentile: float(ordered[math.ceil(len(ordered) * percentile / 100) - 1]) if len(ordered) >= samples_needed(percentile) else None
        for percentile in PERCENTILES
    }
    return Latency(float(ordered.mean()), float(ordered[0]), float(ordered[-1]), percentiles)


def histogram(latencies_ms: Array) -> tuple[Bin, ...]:
    """The latencies in bins whose bounds grow by a constant factor, so that a long tail does not hide the bulk."""
    low, high = float(latencies_ms.min()), float(latencies_ms.max())
    if low == high:
        return (Bin(low, high, len(latencies_ms)),)
    bounds = np.geomspace(low, high, BINS + 1)
    bounds[0], bounds[-1] = low, high
    counts, _ = np.histogram(latencies_ms, bounds)
    return tuple(Bin(float(lower), float(upper), int(count)) for lower, upper, count in zip(bounds[:-1], bounds[1:], counts, strict=True))


def _refuse(settings: Settings, samples: Samples, ended: Ended) -> NoReturn:
    failures = _failures(samples)
    if ended.interrupted:
        raise Interrupted(f"interrupted after {samples.calls} requests, before one was measured{failures and f'; {failures}'}")
    raise NothingSucceeded(f"{settings.server}: no measured request to model {settings.model} was answered: {failures}")


def _failures(samples: Samples) -> str:
    if not samples.failed_by_status:
        return ""
    by_status = ", ".join(f"{status} {count}" for status, count in samples.failed_by_status.most_common())
    return f"{samples.failed_by_status.total()} of {samples.calls} requests failed ({by_status}; the first: {samples.first_failure})"


def _troubles(settings: Settings, samples: Samples, ended: Ended, judgement: Judgement, model: Model) -> list[tuple[bool, str]]:
    """What went wrong in the run, the gravest first: whether it did, and what to say."""
    of = "" if settings.calls is None else f" of {settings.calls:,}"
    progress = f"after {samples.calls:,}{of} requests"
    return [
        (ended.interrupted, f"interrupted {progress}"),
        (ended.gave_up, f"given up {progress}, because the server no longer answered"),
        (bool(samples.failed_by_status), _failures(samples)),
        *((True, text) for text in telling.warnings(judgement, model.version)),
    ]


def _doubts(rows: Array, busy: float, late: float) -> list[tuple[bool, str]]:
    """What makes the figures weak although nothing went wrong; `busy` and `late` are the client's shares of the measured interval."""
    return [
        (len(rows) < LEAST_MEASURED, f"only {len(rows)} requests were measured, a figure needs {LEAST_MEASURED}"),
        (busy >= BUSY_SHARE, f"the client itself was at work for {busy:.0%} of the measured time: the server may be faster than this"),
        (late >= LATE_SHARE, f"the client sent late: {late:.0%} of the latency passed before a call was sent"),
    ]


def _notes(settings: Settings, samples: Samples, rows: Array, requests: Requests, judgement: Judgement) -> list[str]:
    short = int((rows < settings.batch_size).sum())
    rounds = samples.calls / len(requests.rows)
    last = int(requests.rows[-1])
    found = [
        (judgement.unmeasured is not None, f"accuracy was not measured: {judgement.unmeasured}"),
        (rounds > 1, f"the run went {rounds:.1f} times through the {len(requests.rows):,} distinct requests"),
        (short > 0, f"short requests among the measured: {short:,}, because the file's last batch has {last:,} rows"),
    ]
    return [text for holds, text in found if holds]
