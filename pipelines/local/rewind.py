"""A run taken back to before one of its nodes: that node, what failed and what came after them are forgotten, the rest is kept.

As `argo retry --restart-successful --node-field-selector` does on a cluster: a failed node runs again, too, wherever it is.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Any

from pipelines.local import nodes
from pipelines.local.errors import RunnerError
from pipelines.local.nodes import Node

_LEAVES = ("Pod", "HTTP", "Suspend", "Skipped", "Plugin")
_MOST_NAMES = 40


class NoSuchNode(RunnerError):
    """A run has no node of a name, or more than one."""


def find(by_id: dict[str, Node], name: str) -> Node:
    """The node of an id, a name or a display name. Raises NoSuchNode, with the names that there are."""
    if name in by_id:
        return by_id[name]
    shown = [node for node in by_id.values() if node["type"] not in ("StepGroup", "TaskGroup")]
    for key in ("name", "displayName"):
        found = [node for node in by_id.values() if node[key] == name]
        if len(found) == 1:
            return found[0]
        if found:
            raise NoSuchNode(
                f"--from {name}: {len(found)} nodes are called so; give one of the ids {', '.join(one['id'] for one in found)}"
            )
    names = sorted({str(node["displayName"]) for node in shown})
    near = difflib.get_close_matches(name, names, n=1)
    listed = ", ".join(names[:_MOST_NAMES]) + (f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else "")
    raise NoSuchNode(f"--from {name}: the run has no such node, but {listed}" + (f"; did you mean {near[0]}?" if near else ""))


def rewind(status: dict[str, Any], chosen: Node, now: float) -> list[str]:
    """Take a workflow's status back to before a node; returns the ids of the nodes that are gone."""
    by_id: dict[str, Node] = status["nodes"]
    gone: set[str] = set()
    opened: set[str] = set()
    waiting = [chosen["id"], *_failed(by_id), *(node["id"] for node in by_id.values() if _is_exit_of_workflow(node))]
    while waiting:
        identity = waiting.pop()
        if identity in gone or identity not in by_id:
            continue
        gone.add(identity)
        waiting += by_id[identity].get("children") or []
        waiting += _later_attempts(by_id, by_id[identity])
        for outer in _around(by_id, identity):
            if outer["id"] not in opened:
                opened.add(outer["id"])
                waiting += _hooks_of(by_id, outer)
                waiting += _after(by_id, outer)
    for identity in gone:
        del by_id[identity]
    for node in by_id.values():
        if "children" in node:
            node["children"] = [child for child in node["children"] if child not in gone]
    for identity in opened - gone:
        _open(by_id[identity], now)
    for key in ("finishedAt", "message", "outputs"):
        status.pop(key, None)
    status |= {"phase": "Running", "startedAt": nodes.moment(now)}
    return sorted(gone)


def _failed(by_id: dict[str, Node]) -> Iterator[str]:
    """Nodes that failed by themselves; for an attempt, what was tried, if that failed."""
    tried = {child: node for node in by_id.values() if node["type"] == "Retry" for child in node.get("children") or ()}
    for node in by_id.values():
        whole = tried.get(node["id"], node) if (node.get("nodeFlag") or {}).get("retried") else node
        if node["type"] in _LEAVES and nodes.failed(node) and nodes.failed(whole):
            yield whole["id"]


def _is_exit_of_workflow(node: Node) -> bool:
    return not node.get("boundaryID") and bool((node.get("nodeFlag") or {}).get("hooked"))


def _around(by_id: dict[str, Node], identity: str) -> Iterator[Node]:
    """The nodes that a node is part of: what is running again while it does."""
    boundary = by_id[identity].get("boundaryID", "")
    if boundary in by_id:
        yield by_id[boundary]
        yield from _around(by_id, boundary)
    for outer in by_id.values():
        if nodes.groups(outer, by_id[identity]):
            yield outer
            yield from _around(by_id, outer["id"])


def _hooks_of(by_id: dict[str, Node], outer: Node) -> Iterable[str]:
    names = (f"{outer['name']}.onExit", f"{outer['name']}.hooks.")
    return [node["id"] for node in by_id.values() if node["name"].startswith(names) and (node.get("nodeFlag") or {}).get("hooked")]


def _after(by_id: dict[str, Node], outer: Node) -> Iterator[str]:
    """What followed a node: the children that its last nodes have outside it."""
    for last in outer.get("outboundNodes") or ():
        for child in by_id.get(last, {}).get("children") or ():
            if child in by_id and by_id[child].get("boundaryID", "") == outer.get("boundaryID", ""):
                yield child


def _later_attempts(by_id: dict[str, Node], node: Node) -> Iterator[str]:
    if (node.get("nodeFlag") or {}).get("retried"):
        for outer in by_id.values():
            attempts = outer.get("children") or []
            if outer["type"] == "Retry" and node["id"] in attempts:
                yield from attempts[attempts.index(node["id"]) + 1 :]


def _open(node: Node, now: float) -> None:
    node |= {"phase": "Running", "startedAt": nodes.moment(now)}
    for key in ("finishedAt", "message", "outputs", "outboundNodes"):
        node.pop(key, None)
