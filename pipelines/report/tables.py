"""Tables of a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import quote

from pipelines.report import timeline
from pipelines.report.markup import Markup, element
from pipelines.report.reading import Run
from pipelines.report.values import duration


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> Markup | None:
    """A table that scrolls by itself where the page is too narrow for it; None without rows."""
    body = [element("tr", *(element("td", cell) for cell in cells)) for cells in rows]
    if not body:
        return None
    head = element("tr", *(element("th", name) for name in heads))
    return element("div", element("table", element("thead", head), element("tbody", *body)), class_="scroll")


def pairs(rows: Iterable[tuple[object, object]]) -> Markup | None:
    """Names and values, without a head."""
    body = [element("tr", element("th", name), element("td", value)) for name, value in rows]
    return element("div", element("table", element("tbody", *body), class_="pairs"), class_="scroll") if body else None


def figures(rows: Iterable[tuple[str, str]]) -> Markup:
    """Names and short values, as many beside each other as the page is wide."""
    return element("dl", *(element("div", element("dt", name), element("dd", value)) for name, value in rows), class_="figures")


def nodes(run: Run) -> Markup | None:
    """Every node of the timeline: how it went, and where its log lies."""
    rows = []
    for row in run.rows:
        for node in row.nodes:
            begun = duration((node.started - run.started).total_seconds()) if node.started and run.started else ""
            took = duration((node.finished - node.started).total_seconds()) if node.started and node.finished else ""
            phase = element("span", node.phase, class_=f"phase {timeline.kind(node)}")
            # A path of the run's folder, never taken for a URL with a scheme of its own.
            log = element("a", node.log.name, href=f"./{quote(str(node.log))}") if node.log else ""
            offset, lasted = (element("span", text, class_="time") for text in (begun, took))
            rows.append((node.label, phase, offset, lasted, node.exit_code, node.message, log))
    return table(("Node", "Phase", "Started after", "Took", "Exit code", "Message", "Log"), rows)
