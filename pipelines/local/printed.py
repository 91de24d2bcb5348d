"""A run as the Workflow object that `kubectl get workflow -o json` prints on a cluster."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.local import document, nodes, state, variables

_TIME, _FRACTION = re.compile(r"\d{4}-\d\d-\d\dT"), re.compile(r"\.\d+Z$")
# What the runner keeps for itself: where an artifact's content lies.
_OWN = {"local"}


def workflow(folder: Path, status: Mapping[str, Any]) -> dict[str, Any]:
    """The object of a run, from its folder and its status. Times are whole seconds, as Kubernetes writes them."""
    submitted = document.load(folder / state.WORKFLOW)
    identity = state.identity_of(folder)
    phase = str(status["phase"])
    labels = {"workflows.argoproj.io/completed": str(phase in nodes.COMPLETED).lower(), "workflows.argoproj.io/phase": phase}
    metadata = submitted.get("metadata") or {}
    told = {
        **metadata,
        "name": identity.name,
        "namespace": variables.NAMESPACE,
        "uid": identity.uid,
        "creationTimestamp": _printed(nodes.moment(identity.created)),
        "labels": {**(metadata.get("labels") or {}), **labels},
    }
    by_id = {name: _node(node, status["nodes"], folder, f"local/{identity.name}") for name, node in status["nodes"].items()}
    printed = {key: _printed(value) for key, value in status.items() if key != "nodes" and value != ""}
    return {**submitted, "metadata": told, "status": {**printed, "nodes": by_id}}


def _node(node: Mapping[str, Any], by_id: Mapping[str, Any], folder: Path, own: str) -> dict[str, Any]:
    told: dict[str, Any] = _printed(node, f"{folder}/nodes/{node['id']}/files")
    return {**told, "templateScope": _scope(node, by_id, own)}


def _scope(node: Mapping[str, Any], by_id: Mapping[str, Any], own: str) -> str:
    """The object in which a node's call is written: that of the templateRef around it, else the workflow itself, `own`."""
    around = by_id.get(node.get("boundaryID", ""))
    while around is not None:
        reference = around.get("templateRef")
        if reference:
            return f"{'cluster' if reference.get('clusterScope') else 'namespaced'}/{reference['name']}"
        around = by_id.get(around.get("boundaryID", ""))
    return own


def _printed(value: Any, private: str = "") -> Any:
    """A value as a cluster has it; `private` is the folder that stands for the root of a pod's own files."""
    if isinstance(value, dict):
        return {key: inner if key == "value" else _printed(inner, private) for key, inner in value.items() if key not in _OWN}
    if isinstance(value, list):
        return [_printed(item, private) for item in value]
    if not isinstance(value, str):
        return value
    return _FRACTION.sub("Z", value) if _TIME.match(value) else value.removeprefix(private)
