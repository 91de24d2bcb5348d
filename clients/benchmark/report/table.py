"""Runs as CSV, one in each line, for a spreadsheet."""

from __future__ import annotations

import csv
import io
from typing import Any

_PLAIN = ("started", "server", "model", "version", "load", "batch_size", "measured", "rows", "duration_s", "accuracy")
_RATES = ("throughput_rows_per_s", "requests_per_s")


def as_csv(record: dict[str, Any]) -> str:
    """A run, or all runs of a sweep or search: settings and figures; latencies in milliseconds, and each with its interval."""
    rows = [_row(run) for run in record.get("runs", [record])]
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _row(run: dict[str, Any]) -> dict[str, Any]:
    figures = {f"latency_{name}_ms": (name, value) for name, value in run["latency_ms"].items()}
    row = {**run.get("setting", {}), **{name: run[name] for name in _PLAIN}, "failed": sum(run["failed"].values())}
    for column, (name, value) in {**{name: (name, run[name]) for name in _RATES}, **figures}.items():
        row[column] = value
        if bounds := run["intervals"].get(name):
            row[f"{column}_low"], row[f"{column}_high"] = bounds
    return {**row, "warnings": "; ".join(run["warnings"])}
