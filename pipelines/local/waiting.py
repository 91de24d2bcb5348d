"""Nodes that wait for a person, and what the person says: a file in the run's folder, whether the run goes on now or later."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.language import gotext
from pipelines.local import document, nodes, state
from pipelines.local.errors import RunnerError
from pipelines.local.nodes import Node

_FILE = "resume.json"


class NothingWaits(RunnerError):
    """No node waits for a person, or not with these values."""


def said(run_folder: Path, node: Node) -> dict[str, str] | None:
    """The values that a person gave for a node's outputs; None while nobody has said that it shall go on."""
    try:
        values: dict[str, str] = json.loads((run_folder / "nodes" / node["id"] / _FILE).read_text())
    except (OSError, ValueError):
        return None
    return values


def resume(workspace: Path, name: str, values: Mapping[str, str]) -> tuple[Path, list[str]]:
    """Let the waiting nodes of the newest run that has some go on; `name` picks one of them by its display name.

    Returns the run's folder and the display names. Raises NothingWaits.
    """
    folders = sorted((workspace / "runs").glob("*/run.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    for folder in (path.parent for path in folders):
        found = [node for node in _nodes(folder) if _waits(folder, node)]
        if found:
            break
    else:
        raise NothingWaits(f"{workspace}: no run waits for a person")
    chosen = [node for node in found if not name or node["displayName"] == name]
    if not chosen:
        raise NothingWaits(f"{folder}: {name!r} does not wait, but {', '.join(node['displayName'] for node in found)}")
    checked = {node["id"]: _checked(node, values) for node in chosen}
    for identity, given in checked.items():
        place = folder / "nodes" / identity
        place.mkdir(parents=True, exist_ok=True)
        state.write_whole(place / _FILE, json.dumps(given))
    return folder, [node["displayName"] for node in chosen]


def _nodes(folder: Path) -> list[Node]:
    """The nodes of a run; one that begins suspended has none yet, and stands for its node itself."""
    status = state.read_status(folder)
    found = list(status["nodes"].values())
    suspended = document.load(folder / state.WORKFLOW)["spec"].get("suspend") and status.get("phase") not in nodes.COMPLETED
    if found or not suspended:
        return found
    name = state.identity_of(folder).name
    return [{"id": name, "displayName": name, "type": "Suspend", "phase": "Running"}]


def _waits(folder: Path, node: Node) -> bool:
    return node["type"] == "Suspend" and node["phase"] == "Running" and said(folder, node) is None


def _checked(node: Node, values: Mapping[str, str]) -> dict[str, str]:
    """The values for a node's outputs, with their defaults. Raises NothingWaits for one that is missing, unknown or not allowed."""
    declared = {one["name"]: one for one in (node.get("outputs") or {}).get("parameters") or []}
    inputs = {one["name"]: one for one in (node.get("inputs") or {}).get("parameters") or []}
    for name in values:
        if name not in declared:
            raise NothingWaits(f"-p {name}: {node['displayName']} takes no such value, but {', '.join(declared) or 'none'}")
    found: dict[str, str] = {}
    for name, one in declared.items():
        value = values.get(name, (one.get("valueFrom") or {}).get("default"))
        allowed = [gotext.any_string(choice) for choice in inputs.get(name, {}).get("enum") or []]
        if value is None or (allowed and gotext.any_string(value) not in allowed):
            expected = f"one of {', '.join(allowed)}" if allowed else "a value"
            raise NothingWaits(f"{node['displayName']}: {name}: expected {expected}, got {value!r}; give it with -p {name}=VALUE")
        found[name] = gotext.any_string(value)
    return found


def outputs(template: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any] | None:
    """The outputs of a node for which a person has given values."""
    rows = [{**shown(one), "value": values[one["name"]]} for one in _declared(template) if one["name"] in values]
    return {"parameters": rows} if rows else None


def shown(declared: Mapping[str, Any]) -> dict[str, Any]:
    """What a node shows of an output parameter besides its value."""
    return {key: declared[key] for key in ("name", "globalName") if key in declared}


def awaited(template: Mapping[str, Any]) -> dict[str, Any] | None:
    """The outputs of a node that nobody has given values for."""
    return {"parameters": _declared(template)} if _declared(template) else None


def _declared(template: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (template.get("outputs") or {}).get("parameters") or []
    return found
