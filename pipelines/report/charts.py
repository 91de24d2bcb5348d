"""Charts as SVG that stretches with the page; what is to be read stands beside it as HTML, in the page's own size of letters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipelines.report.markup import Markup, element, join
from pipelines.report.values import ticks

Point = tuple[float, float]

# How near two labels beside each other may be, in percent of the chart's height.
_LABEL_GAP = 8.0


@dataclass(frozen=True)
class Axis:
    """A range of values that spans the chart, and the marks on it with what stands there."""

    low: float
    high: float
    marks: Sequence[tuple[float, str]]

    def percent(self, value: float) -> float:
        """Where a value lies between the axis' ends, in percent; values outside lie at the end."""
        return round(100 * min(max((value - self.low) / (self.high - self.low), 0), 1), 3)

    def from_top(self, value: float) -> float:
        """The same from the other end: SVG and CSS count down the page."""
        return round(100 - self.percent(value), 3)


@dataclass(frozen=True)
class Line:
    """A value that is the same all over the chart, or a place of it: a target, an attempt's end, a percentile."""

    value: float
    label: str
    kind: str


@dataclass(frozen=True)
class Dot:
    """A measured value with its interval; a hollow one is marked as not good enough."""

    at: Point
    interval: tuple[float, float] | None
    hollow: bool
    title: str


@dataclass(frozen=True)
class Chart:
    """Everything in one frame: curves, dots, bars as (from, to, height), lines across and lines down."""

    title: str
    horizontal: Axis
    vertical: Axis
    kind: str
    curve: Sequence[Point] = ()
    dots: Sequence[Dot] = ()
    bars: Sequence[tuple[float, float, float, str]] = ()
    across: Sequence[Line] = ()
    down: Sequence[Line] = ()
    note: str = ""


def axis(values: Iterable[float], most_marks: int, zero: bool = False, exact: bool = False) -> Axis:
    """An axis that holds all the values with round marks; `zero` starts it at 0, `exact` ends it at the greatest value."""
    found = list(values)
    low, high = (0.0 if zero else min(found)), max(found)
    if high <= low:
        low, high = low - abs(low) * 0.1, high + abs(high) * 0.1 or 1.0
    margin = 0.0 if exact else (high - low) * 0.08
    low, high = low - (0.0 if zero else margin), high + margin
    marks = ticks(low, high, most_marks)
    decimals = max((len(f"{mark:.10g}".partition(".")[2]) for mark in marks), default=0)
    return Axis(low, high, [(mark, f"{mark:,.{decimals}f}") for mark in marks])


def draw(chart: Chart) -> Markup:
    """The chart as a figure."""
    return element(
        "figure",
        element("figcaption", element("b", chart.title), f" {chart.note}" if chart.note else None),
        element("div", _picture(chart), _texts(chart), class_=f"plot {chart.kind}"),
    )


def _picture(chart: Chart) -> Markup:
    x, y = chart.horizontal.percent, chart.vertical.from_top
    shapes: list[Markup] = [_stroke("grid", f"M0 {y(mark)}H100") for mark, _ in chart.vertical.marks]
    shapes += [_stroke(line.kind, f"M{x(line.value)} 0V100") for line in chart.down]
    for start, end, height, title in chart.bars:
        shapes.append(
            element(
                "rect",
                element("title", title),
                class_="bar",
                x=x(start),
                y=y(height),
                width=round(x(end) - x(start), 3),
                height=chart.vertical.percent(height),
            )
        )
    shapes += [_stroke(line.kind, f"M0 {y(line.value)}H100") for line in chart.across]
    if chart.curve:
        shapes.append(_stroke("curve", "M" + "L".join(f"{x(across)} {y(up)}" for across, up in chart.curve)))
    for dot in chart.dots:
        across, up = x(dot.at[0]), y(dot.at[1])
        if dot.interval:
            shapes.append(_stroke("interval", f"M{across} {y(dot.interval[0])}V{y(dot.interval[1])}"))
        shapes.append(_stroke("dot", f"M{across} {up}h0", dot.title))
        if dot.hollow:
            shapes.append(_stroke("hollow", f"M{across} {up}h0", dot.title))
    return element("svg", *shapes, viewBox="0 0 100 100", preserveAspectRatio="none", role="img", aria_label=chart.title)


def _texts(chart: Chart) -> Markup:
    beside = _spread([(chart.vertical.from_top(line.value), line) for line in chart.across])
    return join(
        *(_text("y", "top", chart.vertical.from_top(mark), text) for mark, text in chart.vertical.marks),
        *(_text("x", "left", chart.horizontal.percent(mark), text) for mark, text in chart.horizontal.marks),
        *(_text(f"across {line.kind}", "top", place, line.label) for place, line in beside),
        *(_text("down", "left", chart.horizontal.percent(line.value), line.label) for line in chart.down),
    )


def _spread(labels: Iterable[tuple[float, Line]]) -> list[tuple[float, Line]]:
    """Labels moved down as far as it takes that none covers another, then all moved up if the last left the chart."""
    placed: list[tuple[float, Line]] = []
    for place, line in sorted(labels, key=lambda label: label[0]):
        placed.append((max(place, placed[-1][0] + _LABEL_GAP) if placed else place, line))
    excess = max(0.0, placed[-1][0] - 100) if placed else 0.0
    return [(round(place - excess, 3), line) for place, line in placed]


def _stroke(kind: str, path: str, title: str | None = None) -> Markup:
    return element("path", element("title", title) if title else None, class_=kind, d=path)


def _text(kind: str, side: str, percent: float, text: str) -> Markup:
    return element("span", text, class_=kind, style=f"{side}:{round(percent, 3)}%")
