"""A result as JSON's types, for programs: the figures, all that was counted, and how, where and with what it was measured."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from clients.benchmark.judging import telling
from clients.benchmark.settings import Settings
from clients.benchmark.statistics.figures import name_of
from clients.benchmark.statistics.intervals import CONFIDENCE, Interval
from clients.benchmark.statistics.requirements import Verdict
from clients.benchmark.summary import Result

FORMAT = 2
_PACKAGES = ("tiphys", "grpcio", "numpy", "protobuf")
# Where secrets are is nobody's business.
_PRIVATE = {"metadata_file", "token_file", "token_env", "ca_file", "cert_file", "key_file"}


def record(result: Result, verdicts: Sequence[Verdict] = ()) -> dict[str, Any]:
    """The result: what was not measured, or not often enough, is None. Latencies are milliseconds unless a name says nanoseconds."""
    figures = result.figures
    percentiles = {name_of(percentile): interval for percentile, interval in figures.percentiles.items()}
    intervals = {"throughput_rows_per_s": figures.rows_per_s, "requests_per_s": figures.requests_per_s, **percentiles}
    latency = result.latency_ms
    return {
        "format": FORMAT,
        "kind": "run",
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
        "failed_measured": figures.failed,
        "rows": result.rows,
        "accuracy": result.accuracy,
        "accuracy_rows": result.accuracy_rows,
        "quality": telling.record(result.judgement),
        "throughput_rows_per_s": result.throughput_rows_per_s,
        "requests_per_s": result.requests_per_s,
        "latency_ms": {
            "mean": latency.mean,
            **{name: interval and interval.value for name, interval in percentiles.items()},
            "min": latency.min,
            "max": latency.max,
        },
        "confidence": CONFIDENCE,
        "intervals": {name: _bounds(interval) for name, interval in intervals.items()},
        "lateness_ms": {
            "mean": figures.lateness.mean_ns / 1e6,
            **{name: figures.lateness.quantile_ns(level) / 1e6 for name, level in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))},
        },
        "drift": [{**vars(drift), "steady": drift.steady} for drift in figures.drifts],
        "requirements": [vars(verdict) for verdict in verdicts],
        "histogram": [{"from_ms": part.from_ms, "to_ms": part.to_ms, "count": part.count} for part in result.histogram],
        "server_side": result.watched.record(),
        "warnings": list(result.warnings),
        "notes": list(result.notes),
        "started": result.started,
        "duration_s": result.duration_s,
        "settings": _settings(result.settings),
        "software": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
        "machine": machine(),
        "latency_counts": figures.latency.to_record(),
        "lateness_counts": figures.lateness.to_record(),
        "series": figures.series.to_record(),
    }


def as_json(content: dict[str, Any]) -> str:
    """JSON with a key of the record in each line: to be read by people, and not a line for each number."""
    lines = (f"{json.dumps(key)}: {json.dumps(value, default=str)}" for key, value in content.items())
    return "{\n  " + ",\n  ".join(lines) + "\n}\n"


def machine() -> dict[str, Any]:
    """What the client ran on: nothing that names it or its owner."""
    return {
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cpu": _cpu(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.system(),
        "kernel": platform.release(),
    }


def _cpu() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return platform.processor() or None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)


def _version(package: str) -> str | None:
    from importlib import metadata  # costs a tenth of the client's start, and is needed at the end only

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _settings(settings: Settings) -> dict[str, Any]:
    """Files by their names only."""
    values = {field.name: getattr(settings, field.name) for field in fields(settings) if field.name not in _PRIVATE}
    return {name: value.name if isinstance(value, Path) else value for name, value in values.items()}


def _bounds(interval: Interval | None) -> list[float | None] | None:
    return None if interval is None else [interval.low, interval.high]
