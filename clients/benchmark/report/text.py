"""A result in lines, for people."""

from __future__ import annotations

from collections.abc import Sequence

from clients.benchmark.judging import telling
from clients.benchmark.report import serving
from clients.benchmark.report.record import record
from clients.benchmark.report.words import between, figure, ms
from clients.benchmark.statistics.figures import name_of
from clients.benchmark.statistics.intervals import Interval, samples_needed
from clients.benchmark.statistics.requirements import Verdict
from clients.benchmark.summary import Result


def text(result: Result, verdicts: Sequence[Verdict] = ()) -> str:
    """The result; where it should not be trusted, the first line says so. In brackets: 95 % intervals."""
    version = "unknown version" if result.version is None else f"version {result.version}"
    failed = sum(result.failed.values())
    lines = [
        *([f"NOT TO BE TRUSTED: {'; '.join(result.warnings)}"] if result.warnings else []),
        f"model       {result.model}, {version}, signature {result.signature}, at {result.server}",
        f"requests    {result.measured:,} measured in {result.duration_s:.3g} s after {result.warm_up:,} of warm-up, {result.load}, "
        f"batch size {result.batch_size:,}, {failed:,} failed",
        *(f"{name:<12}{line}" for name, line in telling.lines(result.judgement)),
        f"average     {ms(result.latency_ms.mean)} per request",
        *([f"latency     {ms(result.latency_ms.mean)} (batch size 1)"] if result.batch_size == 1 else []),
        f"throughput  {_rate(result.figures.rows_per_s)} rows/s, {_rate(result.figures.requests_per_s)} requests/s",
        f"percentiles {_percentiles(result)}",
        f"extremes    min {ms(result.latency_ms.min)}, max {ms(result.latency_ms.max)}",
        *(f"not steady  {drift}" for drift in result.figures.drifts if not drift.steady),
        *_lateness(result),
        *_server(result),
        *(f"required    {verdict}" for verdict in verdicts),
        *(f"note        {note}" for note in result.notes),
    ]
    return "\n".join(lines)


def _rate(interval: Interval) -> str:
    bounds = "" if interval.low is None else f" {between(interval.low, interval.high)}"
    return f"{figure(interval.value)}{bounds}"


def _percentiles(result: Result) -> str:
    return ", ".join(_percentile(result, percentile, interval) for percentile, interval in result.figures.percentiles.items())


def _percentile(result: Result, percentile: float, interval: Interval | None) -> str:
    if interval is not None:
        return f"{name_of(percentile)} {ms(interval.value)} {between(interval.low, interval.high)}"
    needed = samples_needed(percentile / 100)
    how = f" (-n {needed + result.warm_up:,})" if result.settings.calls else ""
    return f"{name_of(percentile)} needs {needed:,} measured requests{how.replace(',', '')}"


def _lateness(result: Result) -> list[str]:
    """How late the client itself sent, which is part of the latency where calls are due at instants of their own."""
    if not result.settings.load().is_open:
        return []
    late = result.figures.lateness
    p50, p99, most = (ms(late.quantile_ns(level) / 1e6) for level in (0.5, 0.99, 1.0))
    return [f"sent late   p50 {p50}, p99 {p99}, max {most}"]


def _server(result: Result) -> list[str]:
    said = serving.line(record(result))
    return [] if said is None else [f"server      {said}"]
