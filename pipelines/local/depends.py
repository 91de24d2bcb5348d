"""The logic of a DAG: what a task waits for, whether it runs then, and how the whole ends."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pipelines.language import evaluate
from pipelines.language.errors import EvaluationError
from pipelines.local import nodes
from pipelines.local.nodes import Node

_TERM = re.compile(r"([a-zA-Z0-9][-a-zA-Z0-9]*?\.[A-Z][a-zA-Z]+)|([a-zA-Z0-9][-a-zA-Z0-9]*)")
RESULTS = ("Succeeded", "Failed", "Errored", "Skipped", "Omitted", "Daemoned", "AnySucceeded", "AllFailed")
_CONTINUES = (("error", "Errored"), ("failed", "Failed"))


def logic(task: Mapping[str, Any], tasks: Mapping[str, Mapping[str, Any]]) -> str:
    """A task's `depends` with every result spelled out; `dependencies` are written as one. Raises EvaluationError."""
    text = task.get("depends") or " && ".join(task.get("dependencies") or [])

    def spelled(match: re.Match[str]) -> str:
        return match[1] or _spelled(match[2], tasks)

    return _TERM.sub(spelled, text)


def names(task: Mapping[str, Any]) -> list[str]:
    """The names of the tasks that a task waits for."""
    if not task.get("depends"):
        return list(dict.fromkeys(task.get("dependencies") or []))
    return list(dict.fromkeys(match[0].split(".")[0] for match in _TERM.finditer(task["depends"])))


def results(task: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The pairs of task and result that a `depends` names."""
    found = [match[1].split(".") for match in _TERM.finditer(task.get("depends") or "") if match[1]]
    return [(name, result) for name, result in found]


def holds(text: str, ended: Mapping[str, Node], children: Callable[[Node], list[Node]]) -> bool:
    """Whether a spelled-out `depends` holds, given the nodes of the tasks it names. Raises EvaluationError."""
    variables: dict[str, Any] = {}
    for name, node in ended.items():
        inner = children(node) if node["type"] == "TaskGroup" else []
        phases = {child["phase"] for child in inner}
        of_this = {"Errored": "Error"}
        for result in RESULTS[:6]:
            variables[f"{_identifier(name)}.{result}"] = node["phase"] == of_this.get(result, result)
        variables[f"{_identifier(name)}.Daemoned"] = bool(node.get("daemoned"))
        variables[f"{_identifier(name)}.AnySucceeded"] = "Succeeded" in phases
        variables[f"{_identifier(name)}.AllFailed"] = phases == {"Failed"}
    return evaluate.truth(_identifier(text), variables)


def targets(dag: Mapping[str, Any]) -> list[str]:
    """The tasks that a DAG runs for: those it names, else all that no other task waits for."""
    if dag.get("target"):
        return str(dag["target"]).split()
    waited = {name for task in dag["tasks"] for name in names(task)}
    return sorted(task["name"] for task in dag["tasks"] if task["name"] not in waited)


def ancestors(name: str, tasks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """All tasks that come before a task."""
    found: dict[str, None] = {}
    pending = [name]
    while pending:
        for before in names(tasks[pending.pop()]):
            if before not in found and before != name:
                found[before] = None
                pending.append(before)
    return list(found)


def cycle(tasks: Mapping[str, Mapping[str, Any]]) -> list[str] | None:
    """Tasks that wait for each other in a ring, if there are any."""
    done: set[str] = set()
    for start in tasks:
        stack: list[tuple[str, Iterable[str]]] = [(start, iter(names(tasks[start])))] if start not in done else []
        trail = {start: None}
        while stack:
            name, rest = stack[-1]
            before = next((one for one in rest if one in tasks and one not in done), None)
            if before is None:
                done.add(name)
                trail.pop(name, None)
                stack.pop()
            elif before in trail:
                return [*list(trail)[list(trail).index(before) :], before]
            else:
                trail[before] = None
                stack.append((before, iter(names(tasks[before]))))
    return None


def continues(holder: Mapping[str, Any], phase: str) -> bool:
    """Whether a step or task lets the others go on when it ends in this phase."""
    continue_on = holder.get("continueOn") or {}
    return bool((phase == "Error" and continue_on.get("error")) or (phase == "Failed" and continue_on.get("failed")))


def phase(
    first: Sequence[Node],
    wanted: Mapping[str, Mapping[str, Any]],
    following: Callable[[Node], list[Node]],
    fails_fast: bool = True,
) -> str:
    """How a DAG ends: as the first target that failed (the last one where it does not fail fast), or what came before a target.

    `first` are the nodes without predecessors, `wanted` the target tasks by their nodes' ids, `following` the nodes after one.
    """
    reached: dict[str, str] = {}
    queue = deque((node, "Succeeded") for node in first)
    seen = {(node["id"], "Succeeded") for node in first}
    while queue:
        node, branch = queue.popleft()
        branch = node["phase"] if node["phase"] in nodes.COMPLETED else branch
        if node["id"] in wanted and reached.get(node["id"]) not in nodes.FAILED:
            reached[node["id"]] = branch
        for after in following(node):
            if (after["id"], branch) not in seen:
                seen.add((after["id"], branch))
                queue.append((after, branch))
    branches = [(reached.get(identity, "Succeeded"), task) for identity, task in wanted.items()]
    failures = [branch for branch, task in branches if branch in nodes.FAILED and not continues(task, branch)]
    return failures[0 if fails_fast else -1] if failures else "Succeeded"


def _identifier(text: str) -> str:
    return text.replace("-", "_")


def _spelled(name: str, tasks: Mapping[str, Mapping[str, Any]]) -> str:
    if name not in tasks:
        raise EvaluationError(f"depends names the task {name!r}, which does not exist")
    continue_on = tasks[name].get("continueOn") or {}
    allowed = ["Succeeded", "Skipped", "Daemoned", *(result for field, result in _CONTINUES if continue_on.get(field))]
    return "(" + " || ".join(f"{name}.{result}" for result in allowed) + ")"
