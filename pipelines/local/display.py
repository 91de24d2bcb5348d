"""How a run shows: lines for a log or a pipe, a live tree for a terminal (see `tree`)."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TextIO

from pipelines.local import nodes
from pipelines.local.nodes import Node

_EVERY_S = 10.0
_TAIL_BYTES = 4096
_TOLD_LINES = 10
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
_WORDS = {"Succeeded": "done", "Failed": "failed", "Error": "error", "Skipped": "skipped", "Omitted": "omitted"}
_SHOWN = ("Pod", "Suspend", "HTTP", "Skipped")


class Display(Protocol):
    """What the runner tells while a run goes on; none of it may raise or wait."""

    def started(self, name: str, folder: Path, resumed: bool, notes: Sequence[str]) -> None:
        """A run begins, or goes on."""

    def changed(self, node: Node) -> None:
        """A node is new or has changed; nodes of an earlier start come first."""

    def tick(self) -> None:
        """Some time has passed."""

    def interrupted(self) -> None:
        """A signal came; pods are being stopped."""

    def ended(self, phase: str, message: str, exit_code: int) -> None:
        """The run has ended, or was interrupted."""


def display_for(stream: TextIO | None = None) -> Display:
    """The tree where the stream (standard error) is a terminal, else lines."""
    stream = stream or sys.stderr
    if stream.isatty() and os.environ.get("TERM") != "dumb":
        from pipelines.local.tree import Tree

        return Tree(stream)
    return Lines(stream)


class Quiet:
    """Shows nothing."""

    def started(self, name: str, folder: Path, resumed: bool, notes: Sequence[str]) -> None:
        """Nothing."""

    def changed(self, node: Node) -> None:
        """Nothing."""

    def tick(self) -> None:
        """Nothing."""

    def interrupted(self) -> None:
        """Nothing."""

    def ended(self, phase: str, message: str, exit_code: int) -> None:
        """Nothing."""


class Lines:
    """A line for each start and end, and now and then one for the progress of what runs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._folder = Path()
        self._known = Labels()
        self._phases: dict[str, str] = {}
        self._running: dict[str, tuple[Node, float, str]] = {}
        self._interrupted = False

    def started(self, name: str, folder: Path, resumed: bool, notes: Sequence[str]) -> None:
        """Say what runs, and where its files are."""
        self._folder = folder
        self._say(f"{name}: {'goes on' if resumed else 'started'} in {folder}")
        for note in notes:
            self._say(f"note: {note}")

    def changed(self, node: Node) -> None:
        """Say that a node has started or ended."""
        self._known.add(node)
        before, now = self._phases.get(node["id"]), node["phase"]
        self._phases[node["id"]] = now
        if before == now or (before is None and now in nodes.COMPLETED and node["type"] != "Skipped"):
            return
        if node["type"] == "Retry" and nodes.failed(node):
            self._say(f"{self._known.label(node)}: {outcome(node)}")
            self._tell_log(self._known.last_attempt(node))
        elif node["type"] in _SHOWN:
            self._tell(node, now)

    def tick(self) -> None:
        """Say how far running pods are, each at most every ten seconds and only news."""
        now = time.monotonic()
        for identity, (node, told, line) in list(self._running.items()):
            if now - told >= _EVERY_S:
                latest = last_line(self._log(node))
                self._running[identity] = (node, now, latest)
                if latest and latest != line:
                    self._say(f"{self._known.label(node)}: {latest}")

    def interrupted(self) -> None:
        """Say what happens now."""
        self._interrupted = True
        self._say("interrupted: stopping what runs; once more kills it")

    def ended(self, phase: str, message: str, exit_code: int) -> None:
        """Say how it ended, and what to do."""
        self._say(closing(phase, message, exit_code, self._folder))

    def _tell(self, node: Node, phase: str) -> None:
        label = self._known.label(node)
        if phase == "Running":
            self._running[node["id"]] = (node, time.monotonic(), "")
            self._say(f"{label}: started")
            return
        self._running.pop(node["id"], None)
        retried = bool((node.get("nodeFlag") or {}).get("retried"))
        if phase in nodes.FULFILLED:
            reason = last_line(self._log(node)) if retried and phase in nodes.FAILED else ""
            self._say(f"{label}: {outcome(node)}" + (f": {reason}" if reason else ""))
        if phase in nodes.FAILED and not retried:
            self._tell_log(node)

    def _tell_log(self, node: Node | None) -> None:
        if node is None or node["type"] != "Pod":
            return
        for line in last_lines(self._log(node), _TOLD_LINES):
            self._say(f"    {line}")
        self._say(f"    log: {self._log(node)}")

    def _log(self, node: Node) -> Path:
        return log_of(self._folder, node)

    def _say(self, line: str) -> None:
        print(line, file=self._stream, flush=True)


class Labels:
    """How nodes are called: their display names, with those of the nodes around them in front."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}

    def add(self, node: Node) -> None:
        """Know a node from now on."""
        self._nodes[node["id"]] = node

    def label(self, node: Node) -> str:
        """The names on the way to a node; the workflow's own entry is left out where there is more."""
        names = [attempt_label(node)]
        around = self._nodes.get(node.get("boundaryID", ""))
        while around is not None and around.get("boundaryID"):
            names.append(around["displayName"])
            around = self._nodes.get(around["boundaryID"])
        return "/".join(reversed(names))

    def last_attempt(self, node: Node) -> Node | None:
        """The newest attempt of a Retry node."""
        children = [self._nodes[child] for child in node.get("children") or () if child in self._nodes]
        return next((child for child in reversed(children) if (child.get("nodeFlag") or {}).get("retried")), None)


def attempt_label(node: Node) -> str:
    """A node's display name; of an attempt, that of what is tried, with the attempt's number from the second on."""
    name = str(node["displayName"])
    match = re.fullmatch(r"(.*)\((\d+)\)", name) if (node.get("nodeFlag") or {}).get("retried") else None
    if match is None:
        return name
    return match[1] if match[2] == "0" else f"{match[1]}, attempt {int(match[2]) + 1}"


def log_of(folder: Path, node: Node) -> Path:
    """Where a pod's log is."""
    return folder / "nodes" / str(node["id"]) / "main.log"


def outcome(node: Node) -> str:
    """How a node ended, in words."""
    phase, message = str(node["phase"]), node.get("message", "")
    took = f" in {took_text(nodes.duration_s(node))}" if phase in nodes.COMPLETED and node["type"] != "Skipped" else ""
    return _WORDS.get(phase, phase) + took + (f": {message}" if message else "")


def took_text(seconds: float) -> str:
    """A time for people."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def closing(phase: str, message: str, exit_code: int, folder: Path) -> str:
    """The last line of a run."""
    if exit_code > 128:
        return f"stopped; the same command goes on from here ({folder})"
    told = f": {message}" if message else ""
    return f"{phase}{told} ({folder})"


def last_line(log: Path) -> str:
    """The last line of a log, of a progress bar its last state."""
    lines = last_lines(log, 1)
    return lines[0] if lines else ""


def last_lines(log: Path, count: int) -> list[str]:
    """The last lines of a log that are not empty, without control characters."""
    try:
        with open(log, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    lines = (_ANSI.sub("", part) for line in text.split("\n") for part in line.rstrip("\r").split("\r")[-1:])
    return [line.rstrip() for line in lines if line.strip()][-count:]
