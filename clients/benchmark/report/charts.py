"""Charts by hand: the shapes as SVG that stretches with the page, the words beside it as HTML that does not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from clients.benchmark.report.markup import Markup, tag, together
from clients.benchmark.report.words import figure

Point = tuple[float, float]


def linear(value: float) -> float:
    """Equal steps are equally far apart."""
    return value


def logarithmic(value: float) -> float:
    """Equal factors are equally far apart."""
    return math.log10(value)


def nines(level: float) -> float:
    """0.9, 0.99 and 0.999 are equally far apart: each has a nine more."""
    return -math.log10(1 - level)


@dataclass(frozen=True)
class Axis:
    """From `low` to `high`; the marks are values and what stands there."""

    low: float
    high: float
    marks: Sequence[tuple[float, str]]
    scale: Callable[[float], float] = linear

    def percent(self, value: float) -> float:
        """Where a value lies from the axis' start, in percent; values outside lie at the ends."""
        low, high = self.scale(self.low), self.scale(self.high)
        return round(100 * min(max((self.scale(min(max(value, self.low), self.high)) - low) / (high - low), 0), 1), 3)

    def from_top(self, value: float) -> float:
        """The same from the other end: SVG and CSS count down the page."""
        return round(100 - self.percent(value), 3)


@dataclass(frozen=True)
class Curve:
    """A line through points; `kind` is its look, and its name in the legend."""

    kind: str
    points: Sequence[Point]


@dataclass(frozen=True)
class Dot:
    """A point with what it says, and a word beside it where there is room; a horizontal `interval` where it is known."""

    at: Point
    title: str
    kind: str
    label: str = ""
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Chart:
    """One frame. Bars are (from, to, height, title); `down` are places with their labels; `unit` names what the axes count."""

    title: str
    unit: str
    horizontal: Axis
    vertical: Axis
    curves: Sequence[Curve] = ()
    bars: Sequence[tuple[float, float, float, str]] = ()
    dots: Sequence[Dot] = ()
    down: Sequence[tuple[float, str]] = ()
    kind: str = ""
    table: Markup | None = None


def linear_axis(greatest: float, most: int = 5) -> Axis:
    """From 0 to at least the greatest value, with round marks."""
    greatest = greatest if greatest > 0 else 1.0
    step = 10.0 ** math.floor(math.log10(greatest / most))
    step = next(step * factor for factor in (1, 2, 5, 10, 20) if greatest / (step * factor) <= most)
    high = math.ceil(greatest / step - 1e-9) * step
    return Axis(0, high, [(index * step, f"{index * step:,.10g}") for index in range(round(high / step) + 1)])


def time_axis(end: float, most: int = 6) -> Axis:
    """From 0 to exactly the end, with round marks."""
    rounded = linear_axis(end, most)
    return Axis(0, max(end, 1e-9), [mark for mark in rounded.marks if mark[0] <= end])


def log_axis(values: Iterable[float]) -> Axis:
    """Round marks (1, 2 and 5 times powers of ten, or only some of them) around all the values, which are above 0."""
    found = list(values)
    low, high = min(found), max(found)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        powers = range(math.floor(math.log10(low)), math.floor(math.log10(high)) + 2)
        steps = [factor * 10.0**power for power in powers for factor in factors]
        start = max((step for step in steps if step <= low), default=low)
        end = min((step for step in steps if step >= high and step > start), default=max(high, start * 2))
        marks = [step for step in steps if start <= step <= end]
        if len(marks) <= 8:
            break
    return Axis(start, end, [(mark, figure(mark)) for mark in marks], logarithmic)


def nines_axis(most: float) -> Axis:
    """The median, 90 %, 99 % and so on, to the level that is asked for."""
    digits = max(1, math.ceil(nines(most) - 1e-9))
    marks = [(0.5, "50 %"), *((1 - 10.0**-count, f"{100 * (1 - 10.0**-count):.10g} %") for count in range(1, digits + 1))]
    return Axis(0, most, [mark for mark in marks if mark[0] <= most + 1e-12], nines)


def draw(chart: Chart) -> Markup:
    """The chart as a figure, with the numbers in a table for who cannot see it."""
    drawn = [curve for curve in chart.curves if curve.points]
    legend = tag("span", *(tag("i", curve.kind, class_=_name(curve.kind)) for curve in drawn), class_="legend")
    return tag(
        "figure",
        tag("figcaption", tag("b", chart.title), f" {chart.unit} ", legend if len(drawn) > 1 else None),
        tag("div", _shapes(chart), _labels(chart), class_=f"plot {chart.kind}".strip()),
        chart.table,
    )


def _shapes(chart: Chart) -> Markup:
    x, y = chart.horizontal.percent, chart.vertical.from_top
    shapes = [_path("grid", f"M0 {y(mark)}H100") for mark, _ in chart.vertical.marks]
    shapes += [_path("down", f"M{x(place)} 0V100") for place, _ in chart.down]
    for start, end, height, title in chart.bars:
        left, top = x(start), y(height)
        shapes.append(
            tag(
                "rect",
                tag("title", title),
                x=left,
                y=top,
                width=round(max(x(end) - left, 0.2), 3),
                height=round(100 - top, 3),
                class_="bar",
            )
        )
    for curve in chart.curves:
        if curve.points:
            shapes.append(_path(f"curve {_name(curve.kind)}", "M" + "L".join(f"{x(across)} {y(up)}" for across, up in curve.points)))
    for dot in chart.dots:
        across, up = x(dot.at[0]), y(dot.at[1])
        if dot.interval:
            shapes.append(_path(f"interval {dot.kind}", f"M{x(dot.interval[0])} {up}H{x(dot.interval[1])}", dot.title))
        shapes.append(_path(f"dot {dot.kind}", f"M{across} {up}h0", dot.title))
    return tag("svg", *shapes, viewBox="0 0 100 100", preserveAspectRatio="none", role="img", aria_label=f"{chart.title}, {chart.unit}")


def _labels(chart: Chart) -> Markup:
    x, y = chart.horizontal.percent, chart.vertical.from_top
    return together(
        *(tag("span", text, class_="y", style=f"top:{y(mark)}%") for mark, text in chart.vertical.marks),
        *(tag("span", text, class_="x", style=f"left:{x(mark)}%") for mark, text in _apart(chart.horizontal, chart.horizontal.marks, 14)),
        *(tag("span", text, class_="down", style=f"left:{x(place)}%") for place, text in _apart(chart.horizontal, chart.down, 10)),
        *(
            tag("span", dot.label, class_="beside" if x(dot.at[0]) < 80 else "before", style=f"left:{x(dot.at[0])}%;top:{y(dot.at[1])}%")
            for dot in chart.dots
            if dot.label
        ),
    )


def _apart(axis: Axis, labels: Sequence[tuple[float, str]], gap: float) -> list[tuple[float, str]]:
    """The labels that do not cover the one before."""
    kept: list[tuple[float, str]] = []
    for place, text in labels:
        if not kept or axis.percent(place) - axis.percent(kept[-1][0]) >= gap:
            kept.append((place, text))
    return kept


def _path(kind: str, path: str, title: str | None = None) -> Markup:
    return tag("path", tag("title", title) if title else None, class_=kind, d=path)


def _name(kind: str) -> str:
    """A word that a class may have."""
    return "".join(letter if letter.isalnum() else "-" for letter in kind)
