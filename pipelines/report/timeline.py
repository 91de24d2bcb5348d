"""The steps of a run as bars over time, one row a step, one bar an attempt."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from pipelines.report.markup import Markup, element
from pipelines.report.reading import Node, Row, Run
from pipelines.report.values import duration, time_step

# As many rows as one can look at; and what makes a node's name one of a loop's item.
_MOST_ROWS = 60
_ITEM = re.compile(r"\(\d+:[^/]*\)")
# Argo's phases as the page colours them.
KINDS = {"Succeeded": "good", "Failed": "bad", "Error": "bad", "Running": "running"}


def draw(run: Run) -> Markup | None:
    """The timeline, or None where nothing has started."""
    start = run.started or min((node.started for row in run.rows for node in row.nodes if node.started), default=None)
    if start is None or run.finished is None:
        return None
    length_s = max((run.finished - start).total_seconds(), 0.1)
    step_s = time_step(length_s, 6)
    marks = [step_s * index for index in range(int(length_s / step_s + 1e-9) + 1)]
    axis = element(
        "div",
        *(element("span", _mark(mark), style=f"left:{100 * mark / length_s:.3f}%") for mark in marks),
        class_="axis",
    )
    rows = [_row(row, start, run.finished, length_s) for row in _folded(run.rows)]
    return element("div", *rows, axis, _legend(run), class_="timeline", style=f"--step:{100 * step_s / length_s:.3f}%")


def _folded(rows: Sequence[Row]) -> Sequence[Row]:
    """The rows, or, where they are too many, one for each loop with all of its items."""
    if len(rows) <= _MOST_ROWS:
        return rows
    loops: dict[str, list[Row]] = {}
    for row in rows:
        loops.setdefault(_ITEM.sub("", row.label), []).append(row)
    return [members[0] if len(members) == 1 else _of_loop(label, members) for label, members in loops.items()]


def _of_loop(label: str, members: Sequence[Row]) -> Row:
    phases = {row.phase for row in members}
    phase = next((phase for phase in ("Failed", "Error", "Running") if phase in phases), members[0].phase)
    return Row(f"{label}, {len(members)} items", phase, [node for row in members for node in row.nodes])


def _mark(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 60 else duration(seconds)


def kind(node: Node) -> str:
    """What a node's bar and phase look like."""
    known = KINDS.get(node.phase, "idle")
    return "again" if known == "bad" and node.retried else known


def _row(row: Row, start: datetime, end: datetime, length_s: float) -> Markup:
    ran = [(index, node, *_seconds(node, start, end)) for index, node in enumerate(row.nodes) if node.started and kind(node) != "idle"]
    count = f"{len(ran)} starts" if len(ran) > 1 else None
    told = duration(sum(lasted_s for _, _, _, lasted_s in ran)) if ran else row.phase.lower()
    bars = [_bar(node, index, from_s, lasted_s, length_s) for index, node, from_s, lasted_s in ran]
    return element(
        "div",
        element("div", row.label, element("small", count) if count else None, class_="label"),
        element("div", *bars, class_="track"),
        element("div", told, class_="spent"),
        class_="row",
    )


def _seconds(node: Node, start: datetime, end: datetime) -> tuple[float, float]:
    """When a node started, and how long it lasted, up to now if it has not ended."""
    started = node.started or start
    return (started - start).total_seconds(), max(0.0, ((node.finished or end) - started).total_seconds())


def _bar(node: Node, index: int, from_s: float, lasted_s: float, length_s: float) -> Markup:
    told = [f"{node.label}: {node.phase}", f"exit code {node.exit_code}" if node.exit_code else "", duration(lasted_s), node.message]
    return element(
        "span",
        str(index + 1) if node.retried or index else None,
        class_=kind(node),
        style=f"left:{100 * from_s / length_s:.3f}%;width:{100 * lasted_s / length_s:.3f}%",
        title=", ".join(filter(None, told)),
    )


_LEGEND = {"good": "succeeded", "again": "failed, started again", "bad": "failed", "running": "running"}


def _legend(run: Run) -> Markup:
    used = {kind(node) for row in run.rows for node in row.nodes}
    return element("p", *_entries(name for name in _LEGEND if name in used), class_="legend")


def _entries(names: Iterable[str]) -> list[Markup]:
    return [element("span", element("i", class_=name), _LEGEND[name]) for name in names]
