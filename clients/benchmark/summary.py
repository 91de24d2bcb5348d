"""What we say of what happened: figures that were measured, and what keeps them from being trusted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn

import numpy as np

from clients.benchmark.data.requests import Requests
from clients.benchmark.driving import Ended
from clients.benchmark.errors import Interrupted, NothingSucceeded
from clients.benchmark.judging import telling
from clients.benchmark.judging.judgement import Judgement
from clients.benchmark.model import Model
from clients.benchmark.samples import Samples, wall_clock_s
from clients.benchmark.server_side import Watched
from clients.benchmark.settings import Settings
from clients.benchmark.statistics.figures import Bin, Figures, bins, figures

# With fewer, one slow answer moves every figure.
LEAST_MEASURED = 30
# A call that failed may keep one caller from the next answer for less than this; a server that was away is silent for longer.
LEAST_SILENCE_S = 0.25
# Shares of the measured interval, from which on the client is part of what was measured.
BUSY_SHARE, LATE_SHARE = 0.5, 0.05


@dataclass(frozen=True)
class Latency:
    """Milliseconds from when a request was due to its answer. A percentile is None where there are too few samples for it."""

    mean: float
    min: float
    max: float
    percentiles: dict[float, float | None]


@dataclass(frozen=True)
class Result:
    """What a run measured. The figures are those of the answered calls of the measured interval, which lasted `duration_s` seconds
    from `started` (ISO 8601), when the first request after the warm-up was due, to the end of the last one.

    `requests` is the number of calls made, of which the first `warm_up` are outside the interval; `failed` counts
    failed calls of the whole run by gRPC status. `measured` calls were timed, with `rows` rows. `accuracy` is over the
    `accuracy_rows` distinct rows that were answered, warm-up included. Where `warnings` is not empty the figures should
    not be trusted, or not without reading them; `notes` only explain.
    """

    settings: Settings
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
    figures: Figures
    watched: Watched
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    started: str
    duration_s: float
    interrupted: bool


def summarise(
    settings: Settings, model: Model, requests: Requests, samples: Samples, ended: Ended, judgement: Judgement, watched: Watched
) -> Result:
    """Sum up a run. Raises NothingSucceeded, or Interrupted, where no call was measured."""
    samples.settle()
    measured = samples.latency.totals.count
    if not measured:
        _refuse(settings, samples, ended)
    first_ns = samples.first_ns or 0
    rows = sum(rows * calls for rows, calls in samples.rows_of_calls.items())
    found = figures(samples.latency, samples.lateness, samples.series, samples.failed_timed, rows, first_ns, samples.last_ns)
    late = samples.lateness.totals.sum_ns / max(1, samples.latency.totals.sum_ns)
    said = [
        *_troubles(settings, samples, ended, judgement, model),
        *_doubts(measured, busy=0.0 if settings.load_is_open else ended.busy, late=late),
        _slow_disk(settings, samples),
    ]
    return Result(
        settings=settings,
        server=settings.server,
        model=settings.model,
        signature=settings.signature,
        version=judgement.versions[-1].number if judgement.versions else model.version,
        load=settings.load_text,
        batch_size=settings.batch_size,
        requests=samples.calls,
        warm_up=settings.warm_up_iteration,
        failed=dict(samples.failed_by_status),
        measured=measured,
        rows=rows,
        accuracy=judgement.quality.accuracy.value if judgement.quality and judgement.quality.accuracy else None,
        accuracy_rows=judgement.rows,
        judgement=judgement,
        throughput_rows_per_s=found.rows_per_s.value,
        requests_per_s=found.requests_per_s.value,
        latency_ms=_latency(found),
        histogram=bins(samples.latency),
        figures=found,
        watched=watched,
        warnings=tuple(text for holds, text in said if holds),
        notes=(*requests.notes, *judgement.notes, *_notes(settings, samples, requests, judgement), *watched.notes(samples.calls)),
        started=datetime.fromtimestamp(wall_clock_s(first_ns), UTC).isoformat(timespec="milliseconds"),
        duration_s=(samples.last_ns - first_ns) / 1e9,
        interrupted=ended.interrupted,
    )


def _latency(found: Figures) -> Latency:
    totals = found.latency.totals
    values = {percentile: None if interval is None else interval.value for percentile, interval in found.percentiles.items()}
    return Latency(found.latency.mean_ns / 1e6, totals.min_ns / 1e6, totals.max_ns / 1e6, values)


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
        (ended.lost > 0, f"{ended.lost} of the client's {settings.processes} processes ended without a result: their calls are missing"),
        (bool(samples.failed_by_status), _failures(samples)),
        *((True, text) for text in _silences(samples)),
        *((True, text) for text in telling.warnings(judgement, model.version)),
    ]


def _silences(samples: Samples) -> list[str]:
    """The longest time in which calls failed and none was answered, where it can be told from the intervals of the series."""
    series = samples.series
    calls, failed = series.calls[: series.used], series.failed[: series.used]
    longest, first = 0, 0
    for start in np.flatnonzero((calls == 0) & (np.concatenate([[1], calls[:-1]]) > 0)).tolist():
        answered = np.flatnonzero(calls[start:])
        length = int(answered[0]) if len(answered) else len(calls) - start
        if length > longest and failed[start : start + length].any():
            longest, first = length, start
    width_s = series.width_ns / 1e9
    if longest * width_s < LEAST_SILENCE_S:
        return []
    return [f"no call was answered for {longest * width_s:.2g} s, from second {first * width_s:.3g} on"]


def _doubts(measured: int, busy: float, late: float) -> list[tuple[bool, str]]:
    """What makes the figures weak although nothing went wrong; `busy` and `late` are the client's shares of the measured interval."""
    return [
        (measured < LEAST_MEASURED, f"only {measured} requests were measured, a figure needs {LEAST_MEASURED}"),
        (busy >= BUSY_SHARE, f"the client itself was at work for {busy:.0%} of the measured time: the server may be faster than this"),
        (late >= LATE_SHARE, f"the client sent late: {late:.0%} of the latency passed before a call was sent"),
    ]


def _slow_disk(settings: Settings, samples: Samples) -> tuple[bool, str]:
    """Whether calls had to wait for requests that did not fit the memory."""
    share = samples.waited_ns / settings.processes / max(1, samples.last_ns - (samples.first_ns or 0))
    return samples.waited > 0 and share >= LATE_SHARE, f"the client was the bottleneck: {_waits(samples)}; more --memory helps"


def _waits(samples: Samples) -> str:
    waited = f"{samples.waited:,} of {samples.calls:,} calls had to wait for the disk to give their request"
    return f"{waited}, {samples.waited_ns / 1e9:.2g} s in all"


def _notes(settings: Settings, samples: Samples, requests: Requests, judgement: Judgement) -> list[str]:
    short = sum(calls for rows, calls in samples.rows_of_calls.items() if rows < settings.batch_size)
    rounds = samples.calls / len(requests.rows)
    last = int(requests.rows[-1])
    found = [
        (samples.in_flight > 0, f"{samples.in_flight:,} calls were in flight when the run was stopped: they are in no figure"),
        (samples.waited > 0 and not _slow_disk(settings, samples)[0], _waits(samples)),
        (judgement.unmeasured is not None, f"accuracy was not measured: {judgement.unmeasured}"),
        (rounds > 1, f"the run went {rounds:.1f} times through the {len(requests.rows):,} distinct requests"),
        (short > 0, f"short requests among the measured: {short:,}, because the file's last batch has {last:,} rows"),
    ]
    return [text for holds, text in found if holds]
