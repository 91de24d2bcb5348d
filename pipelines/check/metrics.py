"""Metrics: names that Prometheus does not take, and values that are not there in real time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.check.findings import Path, Problem
from pipelines.check.model import Flow

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def problems(flow: Flow) -> Iterator[Problem]:
    """What is wrong with the metrics of a workflow and its templates."""
    held = [(flow.spec, flow.path), *((target.template, target.path) for target in flow.every)]
    for holder, path in held:
        for number, metric in enumerate(holder.get("metrics", {}).get("prometheus", [])):
            yield from _metric(metric, (*path, "metrics", "prometheus", number))


def _metric(metric: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    named = [(metric.get("name", ""), (*path, "name"))]
    named += [(label.get("key", ""), (*path, "labels", number, "key")) for number, label in enumerate(metric.get("labels", []))]
    for name, where in named:
        if name and not _NAME.fullmatch(name):
            yield Problem(
                "bad-metric", where, f"{name!r} is no name of a metric or label", "write letters, digits and _, the first no digit"
            )
    gauge = metric.get("gauge", {})
    if gauge.get("realtime") and "resourcesDuration." in gauge.get("value", ""):
        message = "what a step used is known at its end only, not in real time"
        yield Problem("bad-metric", (*path, "gauge", "value"), message, "write realtime: false, or use {{duration}}")
    if not any(kind in metric for kind in ("gauge", "counter", "histogram")):
        yield Problem("bad-metric", path, "a metric is a gauge, a counter or a histogram", "write one of them")
