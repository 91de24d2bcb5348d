"""What of a finished workflow must be the same on a cluster and on one machine, and how two such outcomes differ."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# What libraries add to a message in their own words, and paths: (found, kept).
_OWN_WORDS = (
    (r"^(.*'when' expres)s?(ion '.*'): .*$", r"\1\2"),
    (r"unable to evaluate expression '.*?': ", ""),
    (r" \(\d+:\d+\)\n \|.*$", ""),
    (r"(could not be parsed as a JSON list: .*?): .*$", r"\1"),
    (r"(failed to evaluate expression).*$", r"\1"),
    (r"open \S+: no such file", "open: no such file"),
)
_WHOLE = ("phase", "message", "outputs")
ENDED = ("Succeeded", "Failed", "Error")
_OUTPUTS = ("parameters", "result", "exitCode")
Outcome = dict[str, Any]


def of(status: Mapping[str, Any]) -> Outcome:
    """The outcome that a workflow's `.status` tells: phase, message, global outputs, and each node by its name."""
    by_id = status.get("nodes") or {}
    names = {identity: node["name"] for identity, node in by_id.items()}
    found: Outcome = {"phase": status.get("phase", ""), "nodes": {node["name"]: _node(node, names) for node in by_id.values()}}
    if status.get("message"):
        found["message"] = status["message"]
    outputs = _kept(status.get("outputs") or {})
    return {**found, **({"outputs": outputs} if outputs else {})}


def _node(node: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    told: dict[str, Any] = {key: node[key] for key in ("type", "phase", "displayName", "message", "templateName") if node.get(key)}
    if node.get("boundaryID"):
        told["boundary"] = names.get(node["boundaryID"], node["boundaryID"])
    if node.get("children"):
        told["children"] = sorted(names.get(child, child) for child in node["children"])
    inputs = {row["name"]: row.get("value") for row in (node.get("inputs") or {}).get("parameters") or []}
    outputs = _kept(node.get("outputs") or {})
    return {**told, **({"inputs": inputs} if inputs else {}), **({"outputs": outputs} if outputs else {})}


def _kept(outputs: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: outputs[key] for key in _OUTPUTS if outputs.get(key) is not None}
    if "parameters" in kept:
        # Argo leaves the declaration of an output that could not be had; it has no value.
        rows = [row for row in kept["parameters"] if row.get("value") is not None]
        kept["parameters"] = {row["name"]: row["value"] for row in sorted(rows, key=lambda row: str(row["name"]))}
    return {key: value for key, value in kept.items() if value != {}}


def differences(expected: Mapping[str, Any], got: Mapping[str, Any]) -> list[str]:
    """Where two outcomes differ, one line each: the place, what the controller says, what the local runner says."""
    found = _unlike("", {key: expected.get(key) for key in _WHOLE}, {key: got.get(key) for key in _WHOLE})
    before, after = expected["nodes"], got["nodes"]
    # What the controller left in the middle when the workflow was over is carried to its end here.
    left = tuple(name for name, node in before.items() if node["phase"] in ("Pending", "Running"))
    for name in sorted({*before, *after}):
        if name in left or (name not in before and name.startswith(left)):
            continue
        if name not in before or name not in after:
            found.append(f"node {name}: {before.get(name, 'is not there')} / {after.get(name, 'is not there')}")
            continue
        # Whether what follows a step is seen to follow its hooks too is a matter of the controller's timing.
        but = {"children"} if re.search(r"\.(onExit|hooks\.[^.]+)$", name) else set()
        found += _unlike(f"node {name}: ", *({key: node[key] for key in node if key not in but} for node in (before[name], after[name])))
    return found


def _unlike(where: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The fields that differ."""
    fields = sorted({*before, *after})
    return [
        f"{where}{key}: {before.get(key)!r} / {after.get(key)!r}"
        for key in fields
        if (_essence(before.get(key)) != _essence(after.get(key)) if key == "message" else before.get(key) != after.get(key))
    ]


def _essence(message: str | None) -> str:
    """A message without what libraries add in their own words."""
    text = message or ""
    for pattern, kept in _OWN_WORDS:
        text = re.sub(pattern, kept, text, flags=re.DOTALL)
    return text
