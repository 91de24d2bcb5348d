"""The page of a comparison: the factors with their intervals, and both percentile curves in one frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from clients.benchmark.report import charts, run_charts
from clients.benchmark.report.charts import Axis, Chart, Dot
from clients.benchmark.report.markup import Markup, tag
from clients.benchmark.report.page import page, section, table, when
from clients.benchmark.report.words import between, figure
from clients.benchmark.statistics.comparison import Change, Comparison
from clients.benchmark.statistics.histogram import Histogram

_LOOKS = {"better": "good", "worse": "bad", "no difference": "same"}

_HEAD = ("figure", "before", "after", "factor", "verdict")


def as_html(before: dict[str, Any], after: dict[str, Any], compared: Comparison) -> str:
    """The page of two records and what changed between them."""
    histograms = [(name, Histogram.from_record(record["latency_counts"])) for name, record in (("before", before), ("after", after))]
    told = [f"{name}: {record['load']}, {when(record)}" for name, record in (("before", before), ("after", after))]
    said = [change for change in compared.changes if change.ratio is not None]
    return page(
        f"{before['model']}: before and after",
        [
            tag("p", "; ".join(told), class_="lead"),
            *(tag("p", tag("b", "Mind: "), doubt, class_="notice") for doubt in compared.doubts),
            section("What changed", _forest(said) if said else None, table(_HEAD, _rows(compared))),
            section("Latency", run_charts.percentile_curve(histograms)),
        ],
    )


def _rows(compared: Comparison) -> Iterator[Sequence[object]]:
    for change in compared.changes:
        values = ["-" if value is None else f"{figure(value)} {change.unit}" for value in (change.before, change.after)]
        factor = "" if change.ratio is None else f"{change.ratio:.3g} {between(change.low, change.high)}"
        yield change.name, *values, factor, tag("span", change.verdict, f" ({change.why})" if change.why else None, class_=change.verdict)


def _forest(changes: Sequence[Change]) -> Markup:
    bounds = [bound for change in changes for bound in (change.low, change.high, change.ratio) if bound]
    horizontal = _ratio_axis(min(bounds), max(bounds))
    places = [len(changes) - index - 0.5 for index in range(len(changes))]
    return charts.draw(
        Chart(
            "After / before",
            "factor with its 95 % interval; throughput is better to the right, latency to the left",
            horizontal,
            Axis(0, len(changes), [(place, change.name) for place, change in zip(places, changes, strict=True)]),
            dots=[_dot(change, place) for place, change in zip(places, changes, strict=True)],
            down=[(1.0, "no change")],
            kind="forest",
        )
    )


def _dot(change: Change, place: float) -> Dot:
    interval = (change.low or 1, change.high or 1)
    return Dot((change.ratio or 1, place), f"{change.name}: {change.verdict}", _LOOKS[change.verdict], interval=interval)


def _ratio_axis(low: float, high: float) -> Axis:
    """Around 1, in which half and double are equally far away."""
    wide = max(high, 1 / low, 1.05) * 1.02
    marks = [0.1, 0.2, 0.5, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.25, 2.0, 5.0, 10.0]
    return Axis(1 / wide, wide, [(mark, f"{mark:g}") for mark in marks if 1 / wide <= mark <= wide], charts.logarithmic)
