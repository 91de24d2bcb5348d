"""DAGs: each task as soon as the tasks it waits for have ended."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipelines.language.errors import EvaluationError
from pipelines.local import depends, hooks, loops, nodes, templates, turns
from pipelines.local.calls import Attempt, Call, NotStarted
from pipelines.local.nodes import Node
from pipelines.local.resolve import Results, resolve
from pipelines.local.scope import Scope, is_loop_child

if TYPE_CHECKING:
    from pipelines.local.engine import Engine


async def run_dag(engine: Engine, attempt: Attempt) -> Node:
    """Run the tasks of a DAG that its targets need. Raises EvaluationError for outputs that cannot be had."""
    node = engine.start(attempt, "DAG")
    engine.enclose(node, attempt.template)
    run = _Dag(engine, attempt, node)
    await run.tasks()
    if run.broken is not None:
        engine.end(node, "Error", str(run.broken))
        raise EvaluationError(str(run.broken))
    phase, message = run.phase()
    run.set_outbound()
    if phase != "Succeeded":
        return engine.end(node, phase, message)
    try:
        outputs = run.outputs()
    except EvaluationError as error:
        engine.end(node, "Error", str(error))
        raise
    return engine.end(node, "Succeeded", outputs=outputs)


class _Dag:
    def __init__(self, engine: Engine, attempt: Attempt, node: Node) -> None:
        self._engine, self._attempt, self._node = engine, attempt, node
        dag = attempt.template["dag"]
        self._results = Results(attempt.template)
        self._tasks: dict[str, Mapping[str, Any]] = {task["name"]: task for task in dag["tasks"]}
        self._targets = depends.targets(dag)
        needed = {name for target in self._targets for name in [target, *depends.ancestors(target, self._tasks)]}
        self._ended = {name: asyncio.Event() for name in self._tasks if name in needed}
        self._not_started = ""
        # The hook of a target that cannot be evaluated breaks the whole DAG.
        self.broken: EvaluationError | None = None

    async def tasks(self) -> None:
        """Run all tasks to their end."""
        await turns.together(self._task(name) for name in self._ended)

    def phase(self) -> tuple[str, str]:
        """How the DAG ended, and its message."""
        if self._not_started:
            return "Failed", self._not_started
        if self._engine.spec.get("shutdown"):
            return "Failed", ""  # whatever its tasks are, also in an exit handler
        known = self._engine.nodes
        wanted = {node["id"]: self._tasks[name] for name in self._targets if (node := self._find(name)) is not None}
        fails_fast = self._attempt.template["dag"].get("failFast") is not False
        return depends.phase(known.children(self._node), wanted, self._following, fails_fast), ""

    def set_outbound(self) -> None:
        """Note what the next node outside follows."""
        ends = [node["id"] for name in self._targets if (node := self._find(name)) is not None]
        self._node["outboundNodes"] = [last for end in ends for last in self._engine.nodes.outbound(end)]

    def outputs(self) -> dict[str, Any] | None:
        """The outputs of the DAG from those of its tasks, whose global ones become the workflow's. Raises EvaluationError."""
        self._engine.export_tasks(node for name in self._tasks if (node := self._find(name)) is not None)
        # The workflow's outputs are not among what Argo lets these name.
        return self._scope(list(self._ended), {}).outputs(self._attempt.template)

    def _following(self, node: Node) -> list[Node]:
        """The nodes after one; of a Retry node, those after its last attempt."""
        known = self._engine.nodes
        if node["type"] != "Retry":
            return known.children(node)
        found: list[Node] = []
        for child in reversed(known.children(node)):
            found += [child] if (child.get("nodeFlag") or {}).get("hooked") else known.children(child)
        return found

    def _find(self, name: str) -> Node | None:
        return self._engine.nodes.find(f"{self._attempt.call.name}.{name}")

    def _scope(self, before: list[str], workflow_outputs: Mapping[str, Any]) -> Scope:
        engine = self._engine
        scope = Scope(self._attempt.template, workflow_outputs)
        for name in before:
            node, prefix = self._find(name), f"tasks.{name}"
            if node is None:
                continue
            if node["type"] == "TaskGroup":
                scope.add_loop(prefix, [child for child in engine.nodes.children(node) if is_loop_child(child)])
            scope.add_node(prefix, node, engine.nodes.attempts(node))
            scope.add_skipped(prefix, node, self._template(self._tasks[name]), with_artifacts=False)
        return scope

    def _template(self, task: Mapping[str, Any]) -> Mapping[str, Any] | None:
        try:
            return templates.find(self._engine.spec, task)
        except EvaluationError:
            return None

    async def _task(self, name: str) -> None:
        task = self._tasks[name]
        for before in depends.names(task):
            if not self._ended[before].is_set():
                turns.waits()
            await self._ended[before].wait()
        try:
            await self._run(task)
        finally:
            self._ended[name].set()

    async def _run(self, task: Mapping[str, Any]) -> None:
        """Decide whether a task runs, and run it, or one for each of its items."""
        name = task["name"]
        try:
            text = depends.logic(task, self._tasks)
            ended = {before: node for before in depends.names(task) if (node := self._find(before)) is not None}
            if text and not depends.holds(text, ended, self._engine.nodes.children):
                self._skip(task, "Omitted", "omitted: depends condition not met")
                return
            scope = self._scope(depends.ancestors(name, self._tasks), self._engine.outputs)
            resolved = resolve(task, scope, self._engine.variables)
            is_loop = loops.is_loop(resolved)
            expanded = loops.expand(resolved, {**self._engine.variables, **scope.variables}) if is_loop else [resolved]
        except EvaluationError as error:
            self._skip(task, "Error", str(error))
            return
        if not expanded:
            self._skip(task, "Skipped", "Skipped, empty params")
        elif is_loop:
            await self._loop(task, expanded, scope)
        else:
            await self._one(resolved, scope, self._parents(name))

    async def _loop(self, task: Mapping[str, Any], expanded: list[dict[str, Any]], scope: Scope) -> None:
        """The items of a loop, and the hooks of the loop: those with an expression are no item's."""
        call = self._call(task, self._parents(task["name"]))

        async def items() -> Node:
            engine = self._engine
            group = engine.add(call, "TaskGroup", "Running")
            if nodes.fulfilled(group):
                return group
            own = [{**one, "hooks": {key: hook for key, hook in (one.get("hooks") or {}).items() if key == "exit"}} for one in expanded]
            await turns.together(self._one(one, scope, (group,)) for one in own)
            children = [child for child in engine.nodes.children(group) if not (child.get("nodeFlag") or {}).get("hooked")]
            failures = [child["phase"] for child in children if nodes.failed(child)]
            return engine.end(group, failures[-1] if failures else "Succeeded")

        await self._hooked(call, scope, items)

    async def _one(self, task: Mapping[str, Any], scope: Scope, parents: tuple[Node, ...]) -> None:
        call = self._call(task, parents)
        try:
            if not loops.runs(task):
                self._engine.add(call, "Skipped", "Skipped", f"when '{task['when']}' evaluated false")
                return
        except EvaluationError as error:
            self._engine.add(call, "Skipped", "Error", str(error))
            return
        await self._hooked(call, scope)

    async def _hooked(self, call: Call, scope: Scope, work: hooks.Work | None = None) -> None:
        """Run a task, an item of one or all items, and its hooks; whatever cannot be evaluated is the node's error."""
        try:
            node = await hooks.around(self._engine, call, scope, work=work)
            # By the time a loop that nothing waits for has ended, so has its DAG.
            if work is None or call.holder["name"] not in self._targets:
                await hooks.run_exit(self._engine, call, node, scope)
        except hooks.BrokenHook as error:
            self._engine.nodes.mark(self._engine.add(call, "Skipped", "Error"), "Error", str(error))
            if call.holder["name"].split("(")[0] in self._targets:
                self.broken = error
        except EvaluationError as error:
            self._engine.nodes.mark(self._engine.add(call, "Skipped", "Error"), "Error", f"task '{call.name}' errored: {error}")
        except NotStarted as error:
            self._not_started = str(error)

    def _skip(self, task: Mapping[str, Any], phase: str, message: str) -> None:
        self._engine.add(self._call(task, self._parents(task["name"])), "Skipped", phase, message)

    def _call(self, task: Mapping[str, Any], parents: tuple[Node, ...]) -> Call:
        above = self._attempt.call
        return Call(
            f"{above.name}.{task['name']}",
            task,
            "task",
            self._node["id"],
            parents,
            above.depth + 1,
            above.on_exit,
            wants_result=self._results.wanted("task", task["name"].split("(")[0]),
        )

    def _parents(self, name: str) -> tuple[Node, ...]:
        """The last nodes of what a task waits for, of which there may be none; the DAG itself for a task that waits for nothing."""
        known = self._engine.nodes
        names = depends.names(self._tasks[name])
        before = [node["id"] for one in names if (node := self._find(one)) is not None]
        return tuple(known.by_id[last] for one in before for last in known.outbound(one)) if names else (self._node,)
