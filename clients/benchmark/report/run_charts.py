"""The charts of one run, from its record: latency and throughput over time, the histogram, the percentile curve."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from clients.benchmark.report import charts
from clients.benchmark.report.charts import Chart, Curve
from clients.benchmark.report.markup import Markup, tag
from clients.benchmark.report.words import figure
from clients.benchmark.statistics.histogram import Histogram, middles_ns
from clients.benchmark.statistics.series import Series, coarse_middles_ns
from clients.serving.tensors import Array

# So many points are as many as a chart shows.
_POINTS = 64
# A percentile of a moment is drawn where so many calls make it one.
_LEAST = {0.5: 1, 0.99: 100}


def of(record: dict[str, Any]) -> Iterator[Markup]:
    """Those of a run."""
    series = Series.from_record(record["series"])
    if series.used > 1:
        yield from _over_time(series)
    latency = Histogram.from_record(record["latency_counts"])
    yield percentile_curve([("latency", latency)])
    yield _histogram(record)


def percentile_curve(histograms: Sequence[tuple[str, Histogram]]) -> Markup:
    """Latency by the share of the calls that were at least as fast; each nine more is as far as the one before."""
    most = max(1 - 1 / max(2, histogram.totals.count) for _, histogram in histograms)
    curves = [Curve(kind, list(_quantiles(histogram))) for kind, histogram in histograms]
    values = [up for curve in curves for _, up in curve.points]
    rows = [(f"{100 * level:.6g} %", *(figure(_at(curve, level)) for curve in curves)) for level, _ in charts.nines_axis(most).marks]
    return charts.draw(
        Chart(
            "Percentiles",
            "latency in ms, by the share of calls that took no longer",
            charts.nines_axis(max(most, 0.9)),
            charts.log_axis(values),
            curves=curves,
            table=_numbers(("share of calls", *(f"{kind}, ms" for kind, _ in histograms)), rows),
        )
    )


def _over_time(series: Series) -> Iterator[Markup]:
    size = -(-series.used // _POINTS)
    places = list(range(0, series.used - series.used % size, size))
    counts = [series.counts[place : place + size].sum(axis=0) for place in places]
    width_s = size * series.width_ns / 1e9
    times = [(index + 0.5) * width_s for index in range(len(counts))]
    lines = [(f"p{100 * level:g}", [_moment_ms(count, level) for count in counts]) for level in _LEAST]
    lines.append(("slowest", [_moment_ms(count, 1.0) for count in counts]))
    curves = [Curve(kind, [(time, up) for time, up in zip(times, values, strict=True) if up]) for kind, values in lines]
    values = [up for curve in curves for _, up in curve.points]
    if not values:
        return
    horizontal = charts.time_axis(len(counts) * width_s)
    rows = [(figure(time), *(_told(line[index]) for _, line in lines)) for index, time in enumerate(times)]
    head = ("seconds", *(f"{kind}, ms" for kind, _ in lines))
    yield charts.draw(
        Chart("Latency over time", "ms, by seconds", horizontal, charts.log_axis(values), curves=curves, table=_numbers(head, rows))
    )
    rates = [(time, float(count.sum()) / width_s) for time, count in zip(times, counts, strict=True)]
    failed = [int(series.failed[place : place + size].sum()) for place in places]
    curves = [Curve("answered", rates)]
    if any(failed):
        curves.append(Curve("failed", [(time, count / width_s) for time, count in zip(times, failed, strict=True)]))
    rows = [(figure(time), figure(rate), str(count)) for (time, rate), count in zip(rates, failed, strict=True)]
    vertical = charts.linear_axis(max(up for curve in curves for _, up in curve.points), 4)
    table = _numbers(("seconds", "requests/s", "failed"), rows)
    yield charts.draw(Chart("Throughput over time", "requests/s, by seconds", horizontal, vertical, curves=curves, kind="low", table=table))


def _histogram(record: dict[str, Any]) -> Markup:
    bins = record["histogram"]
    edges = [bins[0]["from_ms"], *(part["to_ms"] for part in bins)]
    horizontal = charts.log_axis(max(edge, 1e-6) for edge in edges)
    percentiles = [(name, value) for name, value in record["latency_ms"].items() if name in ("p50", "p90", "p99", "p99.9") and value]
    rows = [(figure(part["from_ms"]), figure(part["to_ms"]), f"{part['count']:,}") for part in bins if part["count"]]
    return charts.draw(
        Chart(
            "Histogram",
            "calls by latency in ms",
            horizontal,
            charts.linear_axis(max(part["count"] for part in bins), 4),
            bars=[(part["from_ms"], part["to_ms"], part["count"], _title(part)) for part in bins if part["count"]],
            down=[(value, name) for name, value in percentiles],
            table=_numbers(("from, ms", "to, ms", "calls"), rows),
        )
    )


def _title(part: dict[str, Any]) -> str:
    return f"{figure(part['from_ms'])} to {figure(part['to_ms'])} ms: {part['count']:,}"


def _quantiles(histogram: Histogram) -> Iterator[tuple[float, float]]:
    """The curve's points: each bucket's share and latency, as far as the next point would be another."""
    used = np.flatnonzero(histogram.counts)
    levels = np.cumsum(histogram.counts[used]) / max(1, histogram.totals.count)
    top = 1 - 1 / max(2, histogram.totals.count)
    yield 0.0, max(histogram.totals.min_ns, 1) / 1e6
    drawn = -1.0
    for level, value in zip(levels.tolist(), (middles_ns(used) / 1e6).tolist(), strict=True):
        place = charts.nines(min(level, top))
        if place - drawn >= 0.01:
            drawn = place
            yield min(level, top), value
    yield top, histogram.totals.max_ns / 1e6


def _at(curve: Curve, level: float) -> float:
    return next((up for across, up in curve.points if across >= level - 1e-12), curve.points[-1][1])


def _moment_ms(counts: Array, level: float) -> float | None:
    cumulative = np.cumsum(counts)
    calls = int(cumulative[-1])
    if calls < _LEAST.get(level, 1):
        return None
    return float(coarse_middles_ns()[np.searchsorted(cumulative, max(1, np.ceil(calls * level - 1e-9)))]) / 1e6


def _told(value: float | None) -> str:
    return "-" if value is None else figure(value)


def _numbers(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    """The numbers behind a chart, folded away."""
    cells = [tag("tr", *(tag("td", cell) for cell in row)) for row in rows]
    table = tag("table", tag("thead", tag("tr", *(tag("th", name, scope="col") for name in head))), tag("tbody", *cells))
    return tag("details", tag("summary", "the numbers"), tag("div", table, class_="scroll"))
