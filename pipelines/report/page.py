"""The page itself: head, key figures, and a section for each thing that the run has to tell of."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path

from pipelines.report import reading, serving, tables, tiles, timeline, training
from pipelines.report.markup import Markup, element, join
from pipelines.report.reading import Run
from pipelines.report.style import STYLE
from pipelines.report.values import duration, number


def write(run_folder: Path, workspace: Path, evidence: Path | None = None) -> Path:
    """Write RUN_FOLDER/report.html from RUN_FOLDER/status.json and what its outputs point to in the workspace; returns its path.

    `evidence` is the folder of the attempts' evidence, for a run whose training failed and so has no output that names it.
    Raises OSError or ValueError where status.json cannot be read. The page appears whole or not at all.
    """
    page = run_folder / "report.html"
    aside = page.with_name(f".{page.name}.{os.getpid()}")
    try:
        aside.write_text(render(reading.read(run_folder, workspace, evidence)), encoding="utf-8", errors="replace")
        os.replace(aside, page)
    finally:
        aside.unlink(missing_ok=True)
    return page


def render(run: Run) -> str:
    """The HTML of a run."""
    sections = [
        _section("Timeline", timeline.draw(run)),
        training.section(run.attempts),
        serving.section(run.benchmark),
        _section("Outputs", tables.table(("Step", "Output", "Value"), run.outputs)),
        _section("Parameters", tables.pairs(run.parameters.items())),
        _section("Nodes", tables.nodes(run)),
    ]
    head = join(
        Markup('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup('<meta name="color-scheme" content="light dark">'),
        element("title", f"{run.name}: {run.phase}"),
        element("style", Markup(STYLE)),
    )
    body = element("main", _header(run), *_notices(run), tiles.draw(run), *sections)
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>{body}</body></html>\n'


def _section(title: str, content: Markup | None) -> Markup | None:
    return element("section", element("h2", title), content) if content else None


def _header(run: Run) -> Markup:
    times = [f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}" for moment in (run.started, run.finished) if moment]
    lasted = f"{duration((run.finished - run.started).total_seconds())}, " if run.started and run.finished else ""
    return element(
        "header",
        element("h1", run.name),
        element("span", run.phase, class_=f"phase {timeline.KINDS.get(run.phase, 'idle')}"),
        element("p", f"{lasted}{' to '.join(times)} UTC") if times else None,
    )


def _notices(run: Run) -> Iterator[Markup]:
    if run.message:
        yield element("p", run.message, class_="notice bad")
    if any(evidence.get("synthetic") for evidence in run.attempts):
        best = next((value for evidence in run.attempts if (value := number(evidence.get("best_accuracy"))) is not None), None)
        told = " It was generated; these figures say nothing of real data."
        known = f" The best accuracy that any model can reach on it is {best:.4g}." if best is not None else None
        yield element("p", element("b", "Synthetic data."), told, known, class_="notice")
    for warning in serving.warnings(run.benchmark):
        yield element("p", element("b", "Benchmark: "), warning, class_="notice")
