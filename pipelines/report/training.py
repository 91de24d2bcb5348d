"""How training went: accuracy and loss by step, and each attempt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipelines.report import charts
from pipelines.report.charts import Axis, Chart, Dot, Line
from pipelines.report.markup import Markup, element
from pipelines.report.reading import Json
from pipelines.report.tables import table
from pipelines.report.values import number


def section(attempts: Sequence[Json]) -> Markup | None:
    """Both charts and the table of attempts; None where no evidence lies."""
    if not attempts:
        return None
    steps = [step for step in (*_numbers(attempts, "step"), *(at for at, _ in _history(attempts, "loss"))) if step]
    drawn = []
    if steps:
        horizontal = charts.axis(steps, 5, zero=True, exact=True)
        drawn = [_accuracy(attempts, horizontal), _loss(attempts, horizontal)]
    return element("section", element("h2", "Training"), *drawn, _table(attempts))


def fraction(value: float) -> str:
    """An accuracy or an end of its interval, as 0.7912."""
    return f"{value:.4f}"


def interval(evidence: Json) -> tuple[float, float] | None:
    """The interval of an attempt's accuracy, or None."""
    ends = evidence.get("interval")
    if not isinstance(ends, list) or len(ends) != 2:
        return None
    low, high = number(ends[0]), number(ends[1])
    return None if low is None or high is None else (low, high)


def _accuracy(attempts: Sequence[Json], horizontal: Axis) -> Markup | None:
    dots = [dot for evidence in attempts if (dot := _dot(evidence))]
    if not dots:
        return None
    across = _references(attempts[-1])
    curve = sorted({**dict(_history(attempts, "accuracy")), **{dot.at[0]: dot.at[1] for dot in dots}}.items())
    intervals = [end for dot in dots if dot.interval for end in dot.interval]
    chart = Chart(
        title="Accuracy by step",
        note=f"with its 95 % interval{'; hollow: below the target' if any(dot.hollow for dot in dots) else ''}",
        kind="accuracy",
        horizontal=horizontal,
        vertical=charts.axis([*intervals, *(line.value for line in across), *(accuracy for _, accuracy in curve)], 5),
        curve=curve,
        dots=dots,
        across=across,
        down=_ends(attempts),
    )
    return charts.draw(chart)


def _references(evidence: Json) -> list[Line]:
    """The target, and what the accuracy is to be compared with besides."""
    lines = [
        ("target", "target", "target"),
        ("majority_class_rate", "majority class", "floor"),
        ("best_accuracy", "best possible", "reference"),
    ]
    values = ((label, kind, number(evidence.get(name))) for name, label, kind in lines)
    return [Line(value, f"{label} {value:.4g}", kind) for label, kind, value in values if value is not None]


def _dot(evidence: Json) -> Dot | None:
    step, accuracy = number(evidence.get("step")), number(evidence.get("accuracy"))
    if step is None or accuracy is None:
        return None
    title = f"attempt {evidence.get('attempt')}: {evidence.get('verdict')}, accuracy {fraction(accuracy)} at step {step:,.0f}"
    return Dot((step, accuracy), interval(evidence), evidence.get("verdict") == "missed", title)


def _loss(attempts: Sequence[Json], horizontal: Axis) -> Markup | None:
    curve = _history(attempts, "loss")
    if len(curve) < 2:
        return None
    vertical = charts.axis((loss for _, loss in curve), 4)
    return charts.draw(Chart("Loss by step", horizontal, vertical, "loss", curve=curve, down=_ends(attempts)))


def _ends(attempts: Sequence[Json]) -> list[Line]:
    ends = ((number(evidence.get("step")), evidence.get("attempt")) for evidence in attempts)
    return [Line(step, f"{'' if index else 'attempt '}{attempt}", "end") for index, (step, attempt) in enumerate(ends) if step is not None]


def _history(attempts: Iterable[Json], name: str) -> list[tuple[float, float]]:
    """The values of that name by step; where attempts went over the same steps, the later one's."""
    found: dict[float, float] = {}
    for evidence in attempts:
        history = evidence.get("history")
        for entry in history if isinstance(history, list) else []:
            if isinstance(entry, dict):
                step, value = number(entry.get("step")), number(entry.get(name))
                if step is not None and value is not None:
                    found[step] = value
    return sorted(found.items())


def _numbers(attempts: Iterable[Json], name: str) -> list[float]:
    return [value for evidence in attempts if (value := number(evidence.get(name))) is not None]


def _table(attempts: Iterable[Json]) -> Markup | None:
    rows = []
    for evidence in attempts:
        accuracy, ends = number(evidence.get("accuracy")), interval(evidence)
        missed = "again" if evidence.get("verdict") == "missed" else "good"
        rows.append(
            (
                evidence.get("attempt", ""),
                element("span", evidence.get("verdict", ""), class_=f"phase {missed}"),
                _cell(number(evidence.get("step")), ",.0f"),
                _cell(accuracy, ".4f"),
                f"{fraction(ends[0])}\u00a0to\u00a0{fraction(ends[1])}" if ends else "",
                _cell(number(evidence.get("auc")), ".4f"),
                _cell(number(evidence.get("loss")), ".4f"),
                evidence.get("checkpoint") or "",
                evidence.get("reason") or "",
            )
        )
    return table(("Attempt", "Verdict", "Step", "Accuracy", "95 % interval", "AUC", "Loss", "Checkpoint", "Reason"), rows)


def _cell(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
