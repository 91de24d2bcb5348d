"""What a page tells, read from a run's folder and the workspace. Files that are missing or hold something else tell nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from pipelines.report.values import moment

Json = Mapping[str, Any]

_GROUPS = {"Steps", "StepGroup", "DAG", "TaskGroup", "Retry"}


@dataclass(frozen=True)
class Node:
    """One node of the workflow that did something: a pod, an attempt of a retry, a pause."""

    label: str
    phase: str
    started: datetime | None
    finished: datetime | None
    exit_code: str
    message: str
    log: Path | None
    retried: bool = False


@dataclass(frozen=True)
class Row:
    """A step of the timeline: its nodes, more than one where it was retried."""

    label: str
    phase: str
    nodes: Sequence[Node]


@dataclass(frozen=True)
class Run:
    """All of it. `outputs` are (step, name, value); `attempts` are the evidence files, in order; times are UTC."""

    name: str
    phase: str
    message: str
    started: datetime | None
    finished: datetime | None
    rows: Sequence[Row]
    parameters: Mapping[str, str]
    outputs: Sequence[tuple[str, str, str]]
    attempts: Sequence[Json]
    benchmark: Json | None


def read(run_folder: Path, workspace: Path, evidence: Path | None) -> Run:
    """A run, from its status.json in the shape of an Argo Workflow's .status. Raises OSError or ValueError where that is no such file.

    `evidence` is the folder of the attempts' evidence where no node names one, as in a run whose training failed.
    """
    status: Json = json.loads((run_folder / "status.json").read_text())
    nodes: list[Json] = sorted(status.get("nodes", {}).values(), key=lambda node: (node.get("startedAt") or "9", node["name"]))
    roots = [node["name"] for node in nodes if not node.get("boundaryID")]
    root = min(roots, key=len, default=run_folder.name)
    attempts = _attempts_of_retries(nodes)
    by_id = {node["id"]: node for node in nodes}
    return Run(
        name=root,
        phase=str(status.get("phase") or "Pending"),
        message=str(status.get("message") or ""),
        started=moment(status.get("startedAt")),
        finished=moment(status.get("finishedAt")) or _latest(nodes),
        rows=_rows(nodes, attempts, run_folder),
        parameters=_parameters(run_folder),
        outputs=[output for node in nodes if node["id"] not in attempts for output in _outputs(node, by_id)],
        attempts=_evidence([*_named("evidence", workspace, nodes), *([evidence] if evidence else [])]),
        benchmark=_benchmark(workspace, nodes),
    )


def _attempts_of_retries(nodes: Iterable[Json]) -> dict[str, Json]:
    """The retry node of each attempt, by the attempt's id. Argo names attempts NAME(0), NAME(1), ..."""
    retries = {node["name"]: node for node in nodes if node.get("type") == "Retry"}
    found = ((node["id"], retries.get(re.sub(r"\([0-9]+\)$", "", node["name"]))) for node in nodes if node["name"] not in retries)
    return {identity: retry for identity, retry in found if retry}


def _rows(nodes: Sequence[Json], attempts: Mapping[str, Json], run_folder: Path) -> list[Row]:
    by_id = {node["id"]: node for node in nodes}
    shown: dict[str, list[Json]] = {}
    for node in nodes:
        if node["id"] in attempts:
            shown.setdefault(attempts[node["id"]]["id"], []).append(node)
        elif node.get("type") not in _GROUPS:
            shown.setdefault(node["id"], []).append(node)
    return [
        Row(
            label=_label(by_id[identity], by_id),
            phase=str(by_id[identity].get("phase") or "Pending"),
            nodes=[_node(node, by_id, run_folder, retried=node is not members[-1]) for node in members],
        )
        for identity, members in shown.items()
    ]


def _label(node: Json, by_id: Mapping[str, Json]) -> str:
    """The node's name behind those of the templates that it lies in, but for the workflow's entrypoint."""
    names = [str(node.get("displayName") or node["name"])]
    around = by_id.get(node.get("boundaryID", ""))
    while around and around.get("boundaryID"):
        names.append(str(around.get("displayName")))
        around = by_id.get(around["boundaryID"])
    return " / ".join(reversed(names))


def _node(node: Json, by_id: Mapping[str, Json], run_folder: Path, retried: bool) -> Node:
    log = Path("nodes", node["id"], "main.log")
    exit_code = (node.get("outputs") or {}).get("exitCode")
    return Node(
        label=_label(node, by_id),
        phase=str(node.get("phase") or "Pending"),
        started=moment(node.get("startedAt")),
        finished=moment(node.get("finishedAt")),
        exit_code="" if exit_code is None else str(exit_code),
        message=str(node.get("message") or ""),
        log=log if (run_folder / log).is_file() else None,
        retried=retried,
    )


def _latest(nodes: Iterable[Json]) -> datetime | None:
    found = (moment(node.get(key)) for node in nodes for key in ("startedAt", "finishedAt"))
    return max(filter(None, found), default=None)


def _outputs(node: Json, by_id: Mapping[str, Json]) -> list[tuple[str, str, str]]:
    parameters = (node.get("outputs") or {}).get("parameters") or []
    label = _label(node, by_id)
    return [(label, str(row.get("name")), str(row["value"])) for row in parameters if row.get("value") is not None]


def _evidence(places: Iterable[Path]) -> list[Json]:
    """The evidence of each attempt, from folders of them; a file of one attempt stands for its folder."""
    files: dict[int, Path] = {}
    for place in places:
        for file in (place if place.is_dir() else place.parent).glob("attempt-*.json"):
            number_of_attempt = file.stem.removeprefix("attempt-")
            if number_of_attempt.isascii() and number_of_attempt.isdigit():
                files[int(number_of_attempt)] = file
    return [content for _, file in sorted(files.items()) if (content := _object(file))]


def _benchmark(workspace: Path, nodes: Iterable[Json]) -> Json | None:
    found = (_object(file) for file in _named("result", workspace, nodes))
    return next((content for content in found if content and "latency_ms" in content), None)


def _named(output: str, workspace: Path, nodes: Iterable[Json]) -> list[Path]:
    """What outputs of that name point to, each path once. Only what lies in the workspace is looked at."""
    values = [value for node in nodes for _, name, value in _outputs(node, {}) if name == output and "\0" not in value]
    paths = {(workspace / value).resolve(): None for value in values}
    return [path for path in paths if path.is_relative_to(workspace.resolve())]


def _object(file: Path) -> Json | None:
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _parameters(run_folder: Path) -> dict[str, str]:
    """The workflow's arguments, from RUN_FOLDER/workflow.yaml."""
    try:
        workflow = yaml.load((run_folder / "workflow.yaml").read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 (safe both)
        rows = workflow["spec"]["arguments"]["parameters"]
        return {str(row["name"]): str(row.get("value", "")) for row in rows}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError):
        return {}
