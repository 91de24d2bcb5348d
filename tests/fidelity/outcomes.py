"""What came out of a workflow, without what is random: names, uids, times, addresses. Compact, and compared field by field."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

Outcome = dict[str, Any]

# What is left out where it is this, as it is most often.
_DEFAULTS = {"type": "Pod", "phase": "Succeeded"}
# What differs from run to run inside of texts: what stands for it.
_RANDOM = (
    (r"^Resumed by: .*", ""),
    (r'Get "https?://.*', "the registry was not reached"),
    (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?(Z|[+-]\d{2}:?\d{2}|UTC))?", "TIME"),
    (r"\b\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d UTC \d{4}\b", "TIME"),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "UID"),
    (r"\b(?!127\.0\.0\.1)\d{1,3}(\.\d{1,3}){3}\b", "ADDRESS"),
    (r"\b\d+\.\d{6,}\b", "NUMBER"),
)
# Longer texts are told by their beginning, length and hash.
_LONGEST, _LONGEST_MESSAGE = 100, 400


def of(workflow: Mapping[str, Any]) -> Outcome:
    """The outcome of a finished Workflow object: phase, message, outputs, and the nodes by their names inside the workflow."""
    status, name = workflow.get("status") or {}, workflow["metadata"]["name"]
    nodes = status.get("nodes") or {}
    inside = {identity: node["name"].removeprefix(name).lstrip(".") for identity, node in nodes.items()}
    told = {inside[identity]: _node(node, inside) for identity, node in nodes.items()}
    found = {
        "phase": status.get("phase", ""),
        "message": _text(status.get("message", ""), _LONGEST_MESSAGE),
        "outputs": _outputs(status.get("outputs") or {}),
        "nodes": dict(sorted(told.items())),
    }
    return {key: value for key, value in found.items() if value not in ("", {})}


def _node(node: Mapping[str, Any], inside: Mapping[str, str]) -> Outcome:
    found = {
        "type": node["type"],
        "phase": node["phase"],
        "displayName": node["displayName"] if inside[node["id"]] else "",
        "message": _text(node.get("message", ""), _LONGEST_MESSAGE),
        "inputs": _parameters(node.get("inputs") or {}),
        "outputs": _outputs(node.get("outputs") or {}),
        "boundary": inside.get(node.get("boundaryID", ""), ""),
        "children": sorted(inside[child] for child in node.get("children") or () if child in inside),
        "daemoned": node.get("daemoned", False),
    }
    return {key: value for key, value in found.items() if value not in ("", {}, [], False) and _DEFAULTS.get(key) != value}


def _outputs(outputs: Mapping[str, Any]) -> Outcome:
    found: Outcome = {"parameters": _parameters(outputs)}
    found["artifacts"] = sorted(one["name"] for one in outputs.get("artifacts") or [] if not one["name"].endswith("-logs"))
    found |= {key: _text(outputs[key]) for key in ("result", "exitCode") if outputs.get(key) is not None}
    return {key: value for key, value in found.items() if value not in ({}, [])}


def _parameters(section: Mapping[str, Any]) -> Outcome:
    return {one["name"]: _text(one["value"]) if "value" in one else None for one in section.get("parameters") or []}


def _text(value: Any, longest: int = _LONGEST) -> str:
    text = str(value)
    for pattern, stand_in in _RANDOM:
        text = re.sub(pattern, stand_in, text)
    if len(text) <= longest:
        return text
    return f"{text[:20]}... {len(text)} characters {hashlib.sha256(text.encode()).hexdigest()[:12]}"


def differences(recorded: Any, here: Any, path: str = "") -> Iterator[str]:
    """Where an outcome is not the recorded one: a line for each field, with both values."""
    if isinstance(recorded, dict) and isinstance(here, dict):
        for key in sorted({*recorded, *here}):
            default = _DEFAULTS.get(key)
            yield from differences(recorded.get(key, default), here.get(key, default), f"{path}.{key}" if path else str(key))
    elif recorded != here:
        yield f"{path}: the controller {_shown(recorded)}, here {_shown(here)}"


def _shown(value: Any) -> str:
    return "has none" if value is None else f"has {value!r}"
