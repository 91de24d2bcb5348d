"""The nodes of a run: the data that Argo keeps in `.status.nodes`, and which of it changed since it was last written."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Collection, Iterator
from typing import Any

Node = dict[str, Any]

FAILED = frozenset({"Failed", "Error"})
COMPLETED = FAILED | {"Succeeded"}
FULFILLED = COMPLETED | {"Skipped", "Omitted"}


def fulfilled(node: Node) -> bool:
    """Whether a node has ended, or will never run."""
    return node["phase"] in FULFILLED


def failed(node: Node) -> bool:
    """Whether a node has failed, or could not be evaluated."""
    return node["phase"] in FAILED


def moment(seconds: float) -> str:
    """Seconds since the epoch as RFC 3339, to the millisecond."""
    at = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def seconds(text: str) -> float:
    """Seconds since the epoch of RFC 3339 text."""
    return datetime.datetime.fromisoformat(text).timestamp()


def duration_s(node: Node) -> float:
    """How long a node took; 0 while it has not finished."""
    return max(0.0, seconds(node["finishedAt"]) - seconds(node["startedAt"])) if node.get("finishedAt") else 0.0


def node_id(workflow: str, name: str) -> str:
    """A node's id as Argo makes it: the workflow's name and a 32-bit FNV-1a hash of the node's name."""
    if name == workflow:
        return workflow
    value = 0x811C9DC5
    for byte in name.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return f"{workflow}-{value}"


def groups(outer: Node, node: Node) -> bool:
    """Whether a node is a member of a group of steps, a loop or the attempts at one thing."""
    return outer["type"] in ("Retry", "StepGroup", "TaskGroup") and node["type"] != "StepGroup" and node["id"] in outer.get("children", ())


class Nodes:
    """All nodes by id. Whatever changes is handed to `changed` (a node) or `connected` (a parent's and a child's id)."""

    def __init__(self, workflow: str, clock: Callable[[], float]) -> None:
        self.workflow = workflow
        self.by_id: dict[str, Node] = {}
        self.changed: Callable[[Node], None] = lambda _node: None
        self.connected: Callable[[str, str], None] = lambda _parent, _child: None
        self._clock = clock
        self._edges: set[tuple[str, str]] = set()

    def restore(self, by_id: dict[str, Node]) -> None:
        """Take the nodes of an earlier start of the same run."""
        self.by_id = by_id
        self._edges = {(parent, child) for parent, node in by_id.items() for child in node.get("children") or ()}

    def reopen(self, template_names: Collection[str]) -> None:
        """Have the succeeded nodes of some templates run again, and the daemons: they, and what encloses them, have not ended."""
        reopened = [node for node in self if node.get("templateName") in template_names and node["phase"] == "Succeeded"]
        reopened += [node for node in self if node.pop("daemoned", None)]
        while reopened:
            node = reopened.pop()
            node["phase"] = "Running"
            node.pop("finishedAt", None)
            node.pop("outputs", None)
            self.changed(node)
            reopened += [outer for outer in self if fulfilled(outer) and (outer["id"] == node.get("boundaryID") or groups(outer, node))]

    def __iter__(self) -> Iterator[Node]:
        return iter(self.by_id.values())

    def find(self, name: str) -> Node | None:
        """The node of a name, if there is one."""
        return self.by_id.get(node_id(self.workflow, name))

    def children(self, node: Node) -> list[Node]:
        """The nodes that follow a node."""
        return [self.by_id[child] for child in node.get("children") or ()]

    def attempts(self, node: Node) -> list[Node]:
        """The attempts of a Retry node, in order."""
        return [child for child in self.children(node) if (child.get("nodeFlag") or {}).get("retried")]

    def add(self, name: str, kind: str, phase: str, boundary: str = "", message: str | None = None, **fields: Any) -> Node:
        """A new node, or the unfinished one of that name from an earlier start, put into `phase`; a pod's time counts anew."""
        identity = node_id(self.workflow, name)
        if identity in self.by_id:
            known = self.by_id[identity]
            if known["type"] in ("Pod", "Container") and phase not in FULFILLED:
                known["startedAt"] = moment(self._clock())
                known.pop("finishedAt", None)
            known |= {key: value for key, value in fields.items() if value and key not in known}
            return self.mark(known, phase, message)
        node: Node = {"id": identity, "name": name, "displayName": self._display_name(name, boundary), "type": kind, "phase": phase}
        node |= {key: value for key, value in {"boundaryID": boundary, "message": message, **fields}.items() if value}
        node["startedAt"] = moment(self._clock())
        if phase in FULFILLED:
            node["finishedAt"] = node["startedAt"]
        self.by_id[identity] = node
        self.changed(node)
        return node

    def mark(self, node: Node, phase: str, message: str | None = None) -> Node:
        """Set a node's phase, and its message unless that is None."""
        node["phase"] = phase
        if message:
            node["message"] = message
        elif message is not None:
            node.pop("message", None)
        if phase in FULFILLED and not node.get("finishedAt"):
            node["finishedAt"] = moment(self._clock())
        self.changed(node)
        return node

    def connect(self, parent: Node, child: Node) -> None:
        """Make a node follow another."""
        edge = (parent["id"], child["id"])
        if edge not in self._edges:
            self._edges.add(edge)
            parent.setdefault("children", []).append(child["id"])
            self.connected(*edge)

    def outbound(self, identity: str) -> list[str]:
        """The ids of the last nodes inside a node: what comes next follows these."""
        node = self.by_id[identity]
        children = node.get("children") or []
        if node["type"] in ("Skipped", "Suspend", "HTTP"):
            return [identity]
        if node["type"] in ("TaskGroup", "Pod", "Container"):
            # The hooks of a loop come beside what follows it.
            children = [
                child for child in children if node["type"] != "TaskGroup" or not (self.by_id[child].get("nodeFlag") or {}).get("hooked")
            ]
            inside = {"Pod": identity, "Container": node.get("boundaryID")}.get(node["type"])
            children = [child for child in children if inside is None or self.by_id[child].get("boundaryID") == inside]
            return [last for child in children for last in self.outbound(child)] or [identity]
        if node["type"] == "Retry" and children:
            return [children[-1]]
        return [last for inner in node.get("outboundNodes") or () for last in self.outbound(inner)]

    def _display_name(self, name: str, boundary: str) -> str:
        if not boundary:
            return name
        inside = name.removeprefix(self.by_id[boundary]["name"])
        return re.sub(r"^(\[\d+\])?\.", "", inside)
