"""A run on a terminal: the tree of its nodes, redrawn in place."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from pipelines.local import nodes
from pipelines.local.display import attempt_label, closing, last_line, last_lines, log_of, took_text
from pipelines.local.nodes import Node

_MARKS = {
    "Running": ("●", "cyan"),
    "Pending": ("○", "dim"),
    "Succeeded": ("✔", "green"),
    "Failed": ("✖", "red"),
    "Error": ("⚠", "red"),
    "Skipped": ("○", "dim"),
    "Omitted": ("○", "dim"),
}
_HIDDEN = ("StepGroup",)
_OF_LOOP = re.compile(r"\(\d+:.*\)$")
_TOLD_LINES = 10
# How much of the tree stays on the terminal after the end.
_LEFT_LINES = 100


class Tree:
    """Shows each node with its phase and time, and of running pods the last line of the log."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=False)
        self._nodes: dict[str, Node] = {}
        self._folder = Path()
        self._stopping = False
        self._drawn = 0.0

    def started(self, name: str, folder: Path, resumed: bool, notes: Sequence[str]) -> None:
        """Say what runs, and where its files are."""
        self._folder = folder
        self._say(f"{name} {'goes on' if resumed else 'started'} in {folder}", "bold")
        for note in notes:
            self._console.print(Text(f"note: {note}", style="dim"))
        self._live.start()

    def changed(self, node: Node) -> None:
        """Know a node; it is drawn at the next tick."""
        self._nodes[node["id"]] = node

    def tick(self) -> None:
        """Draw, the more seldom the longer it takes."""
        begun = time.monotonic()
        if begun >= self._drawn:
            self._live.update(self._picture(self._console.height - 2), refresh=True)
            self._drawn = time.monotonic() + 10 * (time.monotonic() - begun)

    def interrupted(self) -> None:
        """Show that pods are being stopped."""
        self._stopping = True

    def ended(self, phase: str, message: str, exit_code: int) -> None:
        """Leave the last picture, the end of the logs of failed pods, and how it ended."""
        self._live.update(self._picture(_LEFT_LINES), refresh=True)
        self._live.stop()
        for node in self._failed_pods():
            for line in last_lines(log_of(self._folder, node), _TOLD_LINES):
                self._say(f"    {line}")
            self._say(f"    log of {attempt_label(node)}: {log_of(self._folder, node)}")
        self._say(closing(phase, message, exit_code, self._folder), _MARKS.get(phase, ("", "bold"))[1])

    def _say(self, line: str, style: str = "") -> None:
        self._console.print(Text(line, style=style), soft_wrap=True)

    def _failed_pods(self) -> list[Node]:
        """The last pods that failed for good: of attempts the last, where none succeeded."""
        tried = {child: node for node in self._nodes.values() if node["type"] == "Retry" for child in node.get("children") or ()}
        found = [node for node in self._nodes.values() if node["type"] == "Pod" and nodes.failed(node)]
        return [
            node
            for node in found
            if (around := tried.get(node["id"])) is None or (nodes.failed(around) and self._last_attempt(around) is node)
        ][-3:]

    def _picture(self, height: int) -> Group:
        inside: dict[str, list[Node]] = {}
        for node in self._nodes.values():
            inside.setdefault(node.get("boundaryID", ""), []).append(node)
        lines = list(self._lines(inside, "", 0))
        if len(lines) > height:
            ordered = sorted(range(len(lines)), key=lambda place: (-lines[place][0], -place))
            kept, left = sorted(ordered[: height - 1]), Counter(lines[place][2] for place in ordered[height - 1 :])
            told = ", ".join(f"{count} {phase.lower()}" for phase, count in left.most_common())
            lines = [lines[place] for place in kept] + [(0, Text(f"  … {left.total()} more: {told}", style="dim"), "")]
        foot = [Text("stopping what runs; Ctrl-C once more kills it", style="yellow")] if self._stopping else []
        return Group(*(line for _, line, _ in lines), *foot)

    def _lines(self, inside: dict[str, list[Node]], boundary: str, depth: int) -> Iterator[tuple[int, Text, str]]:
        """Lines with how much they matter and their phase: where there is no room for all, what runs and what failed stays, loops go."""
        for node in inside.get(boundary, []):
            if node["type"] in _HIDDEN or (node.get("nodeFlag") or {}).get("retried"):
                continue
            usual = 0 if _OF_LOOP.search(node["displayName"]) else 1
            yield {"Running": 3, "Failed": 2, "Error": 2}.get(node["phase"], usual), self._line(node, depth), str(node["phase"])
            shown = self._last_attempt(node) or node
            if shown["type"] in ("Steps", "DAG", "Pod"):
                yield from self._lines(inside, shown["id"], depth + 1)

    def _last_attempt(self, node: Node) -> Node | None:
        children = (self._nodes.get(child) for child in reversed(node.get("children") or ()) if node["type"] == "Retry")
        return next((child for child in children if child and (child.get("nodeFlag") or {}).get("retried")), None)

    def _line(self, node: Node, depth: int) -> Text:
        mark, style = _MARKS.get(node["phase"], ("?", ""))
        line = Text("  " * depth, no_wrap=True, overflow="ellipsis")
        line.append(f"{mark} ", style=style)
        attempt = self._last_attempt(node) or node
        line.append(attempt_label(attempt) if node["phase"] == "Running" else str(node["displayName"]))
        if node["phase"] == "Running":
            line.append(f"  {took_text(time.time() - nodes.seconds(node['startedAt']))}", style="dim")
            progress = last_line(log_of(self._folder, attempt)) if attempt["type"] == "Pod" and attempt["phase"] == "Running" else ""
            line.append(f"  {progress or node.get('message', '')}", style="dim")
        elif node["phase"] in nodes.COMPLETED:
            line.append(f"  {took_text(nodes.duration_s(node))}", style="dim")
        if node["phase"] != "Running" and node.get("message"):
            line.append(f"  {node['message']}", style=style)
        return line
