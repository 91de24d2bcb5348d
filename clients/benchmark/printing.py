"""A result as text for people and as a record for programs; and how far a run is."""

from __future__ import annotations

import sys
import time
from typing import Any

from clients.benchmark.judging import telling
from clients.benchmark.settings import Settings
from clients.benchmark.summary import Latency, Result, samples_needed

_WIDTH = 30


def text(result: Result) -> str:
    """The result in lines; where it should not be trusted, the first says so."""
    version = "unknown version" if result.version is None else f"version {result.version}"
    failed = sum(result.failed.values())
    lines = [
        *([f"NOT TO BE TRUSTED: {'; '.join(result.warnings)}"] if result.warnings else []),
        f"model       {result.model}, {version}, signature {result.signature}, at {result.server}",
        f"requests    {result.measured:,} measured in {result.duration_s:.3g} s after {result.warm_up:,} of warm-up, {result.load}, "
        f"batch size {result.batch_size:,}, {failed:,} failed",
        *(f"{name:<12}{line}" for name, line in telling.lines(result.judgement)),
        f"average     {_ms(result.latency_ms.mean)} per request",
        *([f"latency     {_ms(result.latency_ms.mean)} (batch size 1)"] if result.batch_size == 1 else []),
        f"throughput  {_figure(result.throughput_rows_per_s)} rows/s, {_figure(result.requests_per_s)} requests/s",
        f"percentiles {_percentiles(result)}",
        f"extremes    min {_ms(result.latency_ms.min)}, max {_ms(result.latency_ms.max)}",
        *(f"note        {note}" for note in result.notes),
    ]
    return "\n".join(lines)


def record(result: Result) -> dict[str, Any]:
    """The result as JSON's types: what was not measured, or not often enough, is None."""
    return {
        "format": 1,
        "server": result.server,
        "model": result.model,
        "signature": result.signature,
        "version": result.version,
        "load": result.load,
        "batch_size": result.batch_size,
        "requests": result.requests,
        "warm_up": result.warm_up,
        "measured": result.measured,
        "failed": result.failed,
        "rows": result.rows,
        "accuracy": result.accuracy,
        "accuracy_rows": result.accuracy_rows,
        "quality": telling.record(result.judgement),
        "throughput_rows_per_s": result.throughput_rows_per_s,
        "requests_per_s": result.requests_per_s,
        "latency_ms": _latency_record(result.latency_ms),
        "histogram": [{"from_ms": part.from_ms, "to_ms": part.to_ms, "count": part.count} for part in result.histogram],
        "warnings": list(result.warnings),
        "notes": list(result.notes),
        "started": result.started,
        "duration_s": result.duration_s,
    }


class Bar:
    """A bar on a terminal's standard error; elsewhere, nothing."""

    def __init__(self, settings: Settings) -> None:
        self._total = settings.calls
        self._duration_s = (settings.duration_s or 0.0) + settings.warm_up_s
        self._began_s = time.monotonic()
        self._shown = sys.stderr.isatty()
        self._drawn = False

    def tell(self, done: int) -> None:
        """So many requests have ended."""
        if not self._shown:
            return
        self._drawn = True
        total, share = "", (time.monotonic() - self._began_s) / self._duration_s if self._duration_s else 0.0
        if self._total is not None:
            total, share = f" of {self._total:,}", max(share, done / self._total)
        filled = min(int(_WIDTH * share), _WIDTH)
        sys.stderr.write(f"\r[{'#' * filled}{'.' * (_WIDTH - filled)}] {done:,}{total} requests")
        sys.stderr.flush()

    def clear(self) -> None:
        """Leave the line to what is printed next."""
        if self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _latency_record(latency: Latency) -> dict[str, float | None]:
    percentiles = {f"p{percentile}": value for percentile, value in latency.percentiles.items()}
    return {"mean": latency.mean, **percentiles, "min": latency.min, "max": latency.max}


def _percentiles(result: Result) -> str:
    return ", ".join(
        f"p{percentile} {_percentile(result, percentile, value)}" for percentile, value in result.latency_ms.percentiles.items()
    )


def _percentile(result: Result, percentile: int, value: float | None) -> str:
    needed = samples_needed(percentile)
    return f"needs {needed} measured requests (-n {needed + result.warm_up})" if value is None else _ms(value)


def _ms(value: float) -> str:
    return f"{value:.3g} ms" if value < 1000 else f"{value:,.0f} ms"


def _figure(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"
