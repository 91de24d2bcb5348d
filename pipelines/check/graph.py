"""The order of steps, tasks and containers: who waits for whom, what cannot be waited for, rings, and recursion without an end."""

from __future__ import annotations

import functools
import itertools
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias, TypeVar

from pipelines.check.fields import near
from pipelines.check.findings import Path, Problem
from pipelines.check.model import Call, Flow, Target
from pipelines.language import parser
from pipelines.language.errors import EvaluationError

# A template: the kind and name of its object, and its own name.
_Key: TypeAlias = tuple[str, str, str]
T = TypeVar("T")
RESULTS = ("Succeeded", "Failed", "Errored", "Skipped", "Omitted", "Daemoned", "AnySucceeded", "AllFailed")
_OF_LOOPS = ("AnySucceeded", "AllFailed")
_TERM = re.compile(r"([a-zA-Z0-9][-a-zA-Z0-9]*?)\.([A-Z][a-zA-Z]+)|([a-zA-Z0-9][-a-zA-Z0-9]*)")


def waits_for(task: Mapping[str, Any]) -> list[str]:
    """The names of the tasks that a task waits for."""
    if task.get("depends"):
        return list(dict.fromkeys(match[1] or match[3] for match in _TERM.finditer(task["depends"])))
    return list(dict.fromkeys(task.get("dependencies", [])))


def ended_before(target: Target, call: Call) -> Callable[[str], bool]:
    """Tells of a step or a task whether it has ended when a call begins."""
    if call.prefix == "steps":
        groups = _groups(target)
        return lambda name: groups.get(name, call.group) < call.group
    return _ancestors(target).get(call.name, frozenset()).__contains__


@functools.lru_cache(maxsize=16)
def _groups(target: Target) -> dict[str, int]:
    return {call.name: call.group for call in target.calls}


@functools.lru_cache(maxsize=16)
def _ancestors(target: Target) -> dict[str, frozenset[str]]:
    """All tasks that come before each task of a DAG; a ring is left out at the place where it closes."""
    waiting = {call.name: [name for name in waits_for(call.holder) if name != call.name] for call in target.calls}
    found: dict[str, frozenset[str]] = {}
    for start in waiting:
        pending, open_ = [start], set()
        while pending:
            name = pending[-1]
            rest = [before for before in waiting.get(name, ()) if before not in found and before not in open_]
            open_.add(name)
            if rest and name not in found:
                pending += rest
                continue
            pending.pop()
            before = waiting.get(name, ())
            found.setdefault(name, frozenset(before).union(*(found.get(one, ()) for one in before)))
    return found


def problems(flow: Flow) -> Iterator[Problem]:
    """What is wrong with the order in all templates of a workflow."""
    for target in flow.every:
        if target.kind == "dag":
            yield from _dag(target)
        elif target.kind == "containerSet":
            yield from _container_set(target)
    yield from _recursion(flow)


def _dag(target: Target) -> Iterator[Problem]:
    tasks = {call.name: call for call in target.calls}
    with_depends = any(call.holder.get("depends") for call in target.calls)
    for call in target.calls:
        yield from _waiting(call, tasks)
        if with_depends and call.holder.get("dependencies"):
            fix = "write depends everywhere, or dependencies"
            yield Problem("bad-depends", (*call.path, "dependencies"), "the tasks of a DAG have depends or dependencies, not both", fix)
        if with_depends and "continueOn" in call.holder:
            fix = f"write {call.name}.Failed or {call.name}.Errored in the depends of those that wait for it"
            yield Problem("bad-depends", (*call.path, "continueOn"), "a DAG that uses depends takes no continueOn", fix)
        if call.name[:1].isdigit() and (with_depends or call.holder.get("dependencies")):
            message = "with depends or dependencies, a task's name cannot begin with a digit"
            yield Problem("bad-name", (*call.path, "name"), message, f"write such as task-{call.name}")
    for name in str(target.template["dag"].get("target") or "").split():
        if name not in tasks and "{{" not in name:
            yield Problem("unknown-task", (*target.path, "dag", "target"), f"there is no task {name!r}", near(name, tasks))
    if not target.calls:
        yield Problem("missing-field", (*target.path, "dag", "tasks"), "a DAG needs at least one task", "write a task")
    ring = _ring({name: waits_for(call.holder) for name, call in tasks.items()})
    if ring:
        path = tasks[ring[0]].path
        yield Problem("cycle", path, f"these tasks wait for each other: {' -> '.join(ring)}", "let one of them not wait")


def _waiting(call: Call, tasks: Mapping[str, Call]) -> Iterator[Problem]:
    field = "depends" if call.holder.get("depends") else "dependencies"
    for name in waits_for(call.holder):
        if name not in tasks:
            place: Path = (call.holder["dependencies"].index(name),) if field == "dependencies" else ()
            yield Problem("unknown-task", (*call.path, field, *place), f"there is no task {name!r}", near(name, tasks))
    text = call.holder.get("depends", "")
    for match in _TERM.finditer(text):
        if match[2] and match[2] not in RESULTS:
            message = f"{match[0]}: a task has no result {match[2]}"
            yield Problem("bad-depends", (*call.path, "depends"), message, near(match[2], RESULTS), match.start())
        elif match[2] in _OF_LOOPS and match[1] in tasks and not tasks[match[1]].loops:
            message = f"{match[0]}: {match[1]} is no loop"
            yield Problem("bad-depends", (*call.path, "depends"), message, f"write {match[1]}.Succeeded or .Failed", match.start())
    try:
        parser.parse(_TERM.sub("true", text) if text else "true")
    except EvaluationError:
        fix = "write such as a && (b.Succeeded || c.Failed)"
        yield Problem("bad-depends", (*call.path, "depends"), f"{text!r} is no condition on tasks", fix)


def _container_set(target: Target) -> Iterator[Problem]:
    containers = target.template["containerSet"].get("containers", [])
    waiting = {one.get("name", ""): one.get("dependencies", []) for one in containers}
    path = (*target.path, "containerSet", "containers")
    for number, one in enumerate(containers):
        for place, name in enumerate(one.get("dependencies", [])):
            if name not in waiting:
                where = (*path, number, "dependencies", place)
                yield Problem("unknown-task", where, f"there is no container {name!r}", near(name, waiting))
    ring = _ring(waiting)
    if ring:
        number = [one.get("name", "") for one in containers].index(ring[0])
        yield Problem("cycle", (*path, number), f"these containers wait for each other: {' -> '.join(ring)}", "let one of them not wait")
    if (target.inputs("artifacts") or target.outputs("parameters") or target.outputs("artifacts")) and "main" not in waiting:
        yield Problem("bad-output", path, "with inputs or outputs, one of the containers must be named main", "name it main")


def _ring(waiting: Mapping[T, Iterable[T]]) -> list[T] | None:
    """Names that wait for each other, if there are any."""
    done: set[T] = set()
    for start in waiting:
        stack = [(start, iter(waiting[start]))] if start not in done else []
        trail = {start: None}
        while stack:
            name, rest = stack[-1]
            before = next((one for one in rest if one in waiting and one not in done), None)
            if before is None:
                done.add(name)
                trail.pop(name, None)
                stack.pop()
            elif before in trail:
                return [*list(trail)[list(trail).index(before) :], before]
            else:
                trail[before] = None
                stack.append((before, iter(waiting[before])))
    return None


def _recursion(flow: Flow) -> Iterator[Problem]:
    """Templates that call themselves whatever happens, also those of other objects: Argo stops them at a depth of 100, in Error."""
    always: dict[_Key, list[_Key]] = {}
    places: dict[tuple[_Key, _Key], Call] = {}
    pending = deque(flow.listed)
    while pending:
        target = pending.popleft()
        key = _key(target)
        if key in always:
            continue
        always[key] = []
        for call in target.calls:
            inner = target.flow.called(call.holder, call.path) or None
            if inner and inner.name and _surely_runs(call):
                always[key].append(_key(inner))
                places.setdefault((key, _key(inner)), call)
                pending.append(inner)
    ring = _ring(always)
    own = (flow.kind, flow.name)
    if not ring or min(key[:2] for key in ring) != own:
        return  # of several objects, one tells
    edge = next(edge for edge in itertools.pairwise(ring) if edge[0][:2] == own)
    names = [name if (kind, home) == own else f"{home}/{name}" for kind, home, name in ring]
    message = f"these templates call each other without a condition: {' -> '.join(names)}"
    fix = "add a when that becomes false, as the controller stops at a depth of 100"
    yield Problem("endless-recursion", places[edge].path, message, fix)


def _key(target: Target) -> _Key:
    return target.flow.kind, target.flow.name, target.name


def _surely_runs(call: Call) -> bool:
    holder = call.holder
    return not holder.get("when") and not call.loops and not re.search(r"[!|.]", holder.get("depends", ""))
