"""How fast the served model answered."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from pipelines.report import charts
from pipelines.report.charts import Axis, Chart, Line
from pipelines.report.markup import Markup, element
from pipelines.report.reading import Json
from pipelines.report.tables import figures
from pipelines.report.values import number, significant

Bin = tuple[float, float, int]


def section(benchmark: Json | None) -> Markup | None:
    """The histogram and the figures; None where nothing was measured."""
    if benchmark is None:
        return None
    return element("section", element("h2", "Serving"), _histogram(benchmark), _figures(benchmark))


def latency(benchmark: Json, name: str) -> float | None:
    """One latency figure in milliseconds, or None where too few requests were measured to say."""
    figures = benchmark.get("latency_ms")
    return number(figures.get(name)) if isinstance(figures, dict) else None


def interval(benchmark: Json, name: str) -> str | None:
    """The bounds between which a figure lies, as far as the client could tell them; None where it could not."""
    intervals = benchmark.get("intervals")
    bounds = intervals.get(name) if isinstance(intervals, dict) else None
    if not isinstance(bounds, list) or len(bounds) != 2:
        return None
    low, high = map(number, bounds)
    return f"[{'?' if low is None else significant(low)}, {'?' if high is None else significant(high)}]"


def failures(benchmark: Json) -> int:
    """How many requests failed; the client counts them by status."""
    failed = benchmark.get("failed")
    if isinstance(failed, dict):
        return int(sum(number(count) or 0 for count in failed.values()))
    return int(number(failed) or 0)


def warnings(benchmark: Json | None) -> list[str]:
    """Why the figures should not be trusted, as the client has said."""
    found = (benchmark or {}).get("warnings")
    return [str(warning) for warning in found] if isinstance(found, list) else []


def _histogram(benchmark: Json) -> Markup | None:
    bins = _bins(benchmark.get("histogram"))
    if not bins:
        return None
    # The client's bins grow by a constant factor: drawn equally wide, their axis is a logarithmic one.
    edges = [bins[0][0], *(to_ms for _, to_ms, _ in bins)]
    every = max(1, round(len(bins) / 5))
    marks = [(float(index), significant(edge)) for index, edge in enumerate(edges) if index % every == 0]
    percentiles = [(name, latency(benchmark, name)) for name in ("p50", "p90", "p99")]
    chart = Chart(
        title="Latency",
        note="requests by milliseconds until the answer; bins grow by a constant factor",
        kind="latency",
        horizontal=Axis(0, len(bins), marks),
        vertical=charts.axis([0, *(count for _, _, count in bins)], 4, zero=True),
        bars=[(index, index + 1, count, _title(low, high, count)) for index, (low, high, count) in enumerate(bins)],
        down=[Line(_position(value, edges), name, "end") for name, value in percentiles if value is not None],
    )
    return charts.draw(chart)


def _title(low: float, high: float, count: int) -> str:
    return f"{significant(low)} to {significant(high)} ms: {count:,}"


def _bins(histogram: object) -> list[Bin]:
    found: list[Bin] = []
    for entry in histogram if isinstance(histogram, list) else []:
        low, high, count = (number(entry.get(name)) if isinstance(entry, dict) else None for name in ("from_ms", "to_ms", "count"))
        if low is None or high is None or count is None or high < low:
            return []
        found.append((low, high, int(count)))
    return found


def _position(value: float, edges: Sequence[float]) -> float:
    """Where a latency lies among the edges, as an index and a part of the bin."""
    for index, (low, high) in enumerate(itertools.pairwise(edges)):
        if value <= high:
            return index + max(0.0, (value - low) / (high - low) if high > low else 0.5)
    return len(edges) - 1


def _figures(benchmark: Json) -> Markup:
    latencies = [(name, latency(benchmark, name)) for name in ("mean", "p50", "p90", "p99", "min", "max")]
    rates = [
        (name, unit, number(benchmark.get(name))) for name, unit in (("throughput_rows_per_s", "rows/s"), ("requests_per_s", "requests/s"))
    ]
    accuracy, confidence = number(benchmark.get("accuracy")), number(benchmark.get("confidence"))
    plain = ("server", "model", "signature", "version", "batch_size", "requests", "rows")

    def within(name: str) -> str:
        bounds = interval(benchmark, name)
        return f" {bounds}" if bounds else ""

    return figures(
        [
            *((name, f"{significant(value)} ms{within(name)}") for name, value in latencies if value is not None),
            *((unit, f"{significant(value)}{within(name)}") for name, unit, value in rates if value is not None),
            *([("in brackets", f"{confidence * 100:.0f} % intervals")] if confidence is not None and benchmark.get("intervals") else []),
            *([("accuracy of the answers", f"{accuracy:.4f}")] if accuracy is not None else []),
            *((name.replace("_", " "), str(benchmark[name])) for name in plain if benchmark.get(name) is not None),
            ("failed", f"{failures(benchmark):,}"),
        ]
    )
