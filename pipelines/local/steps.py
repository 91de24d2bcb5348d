"""Steps: groups one after another, the steps of a group side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipelines.language.errors import EvaluationError
from pipelines.local import depends, hooks, loops, nodes, templates, turns
from pipelines.local.calls import Attempt, Call, NotStarted
from pipelines.local.nodes import Node
from pipelines.local.resolve import Results, resolve
from pipelines.local.scope import Scope, is_loop_child

if TYPE_CHECKING:
    from pipelines.local.engine import Engine


async def run_steps(engine: Engine, attempt: Attempt) -> Node:
    """Run all groups of a steps template, up to the first that fails. Raises EvaluationError for outputs that cannot be had."""
    node = engine.start(attempt, "Steps")
    engine.enclose(node, attempt.template)
    run = _Steps(engine, attempt, node)
    group = node
    for index, members in enumerate(attempt.template["steps"]):
        group = await run.group(index, members)
        lost = run.lost_daemon()
        if lost:
            run.set_outbound(group)
            return engine.end(node, "Failed", lost)
        if nodes.failed(group):
            run.set_outbound(group)
            return engine.end(node, "Failed", group.get("message", ""))
        run.tell(group, members)
    run.set_outbound(group)
    try:
        outputs = run.scope.outputs(attempt.template)
    except EvaluationError as error:
        engine.end(node, "Error", str(error))
        raise
    return engine.end(node, "Succeeded", outputs=outputs)


class _Steps:
    def __init__(self, engine: Engine, attempt: Attempt, node: Node) -> None:
        self._engine, self._attempt, self._node = engine, attempt, node
        self._results = Results(attempt.template)
        self._before = [node]
        # The groups that have ended, and what was run in them.
        self._groups: list[Node] = []
        self._steps: dict[str, dict[str, Mapping[str, Any]]] = {}
        self.scope = Scope(attempt.template, engine.outputs)

    async def group(self, index: int, members: Sequence[Mapping[str, Any]]) -> Node:
        """Run one group to its end; its node tells how it went."""
        engine = self._engine
        name = f"{self._attempt.call.name}[{index}]"
        group = engine.nodes.find(name)
        if group is None or not nodes.fulfilled(group):
            group = engine.nodes.add(name, "StepGroup", "Running", self._node["id"])
        for before in self._before:
            engine.nodes.connect(before, group)
        if not nodes.fulfilled(group):
            await self._run(group, members)
        lasts = [last for child in group.get("children") or () for last in engine.nodes.outbound(child)]
        self._before = [engine.nodes.by_id[last] for last in lasts] or [group]
        return group

    def tell(self, group: Node, members: Sequence[Mapping[str, Any]]) -> None:
        """Let later groups name what the steps of a group left."""
        known = self._engine.nodes
        children = known.children(group)
        for step in members:
            prefix, name = f"steps.{step['name']}", f"{group['name']}.{step['name']}"
            child = known.find(name)
            if child is None:
                self.scope.add_loop(prefix, [one for one in children if one["name"].startswith(f"{name}(") and is_loop_child(one)])
                self.scope.add_node(prefix, group, [])
            else:
                self.scope.add_node(prefix, child, known.attempts(child))
                self.scope.add_skipped(prefix, child, self._template(step), with_artifacts=True)

    def lost_daemon(self) -> str:
        """The message of an earlier group that has failed since, by a daemon that ended; empty where none has."""
        for group in self._groups:
            failed = self._failed_child(group)
            if group["phase"] == "Succeeded" and failed:
                self._engine.end(group, "Failed", failed)
                return failed
        return ""

    def set_outbound(self, group: Node) -> None:
        """Note what the next node outside follows."""
        self._node["outboundNodes"] = [last for child in group.get("children") or () for last in self._engine.nodes.outbound(child)]

    def _template(self, step: Mapping[str, Any]) -> Mapping[str, Any] | None:
        try:
            return templates.find(self._engine.spec, step)
        except EvaluationError:
            return None

    async def _run(self, group: Node, members: Sequence[Mapping[str, Any]]) -> None:
        engine = self._engine
        try:
            ready = self._expanded(group, members)
        except EvaluationError as error:
            engine.end(group, "Error", str(error))
            return
        errors: list[Exception] = []
        await turns.together(self._begun(group, ready, errors))
        if errors:
            engine.end(group, "Failed" if isinstance(errors[0], NotStarted) else "Error", str(errors[0]))
            return
        if any(self._failed_child(before) for before in self._groups if before["phase"] == "Succeeded"):
            return  # a daemon has ended: nobody asks any more how this group ends
        self._steps[group["id"]] = {f"{group['name']}.{step['name']}": step for step in ready}
        failed = self._failed_child(group)
        engine.end(group, "Failed" if failed else "Succeeded", failed)
        self._groups.append(group)

    def _failed_child(self, group: Node) -> str:
        """The message of a group of which a child has failed that may not; empty where none has."""
        known = self._steps.get(group["id"], {})
        for child in self._engine.nodes.children(group):
            if nodes.failed(child) and not depends.continues(known.get(child["name"], {}), child["phase"]):
                return f"child '{child['id']}' failed"
        return ""

    def _begun(self, group: Node, ready: Sequence[Mapping[str, Any]], errors: list[Exception]) -> Iterator[Coroutine[Any, Any, None]]:
        """The steps of a group that run, up to the first that ends in an error before it has to wait."""
        all_begun = asyncio.Event()
        for step in ready:
            try:
                if not errors and self._runs(group, step):
                    yield self._step(group, step, errors, all_begun)
            except EvaluationError as error:
                errors.append(error)
        all_begun.set()

    def _expanded(self, group: Node, members: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        engine = self._engine
        found: list[Mapping[str, Any]] = []
        try:
            resolved = [resolve(step, self.scope, engine.variables) for step in members]
        except EvaluationError as error:
            raise EvaluationError(f"failed to resolve references: {error}") from None
        for step in resolved:
            if not loops.is_loop(step):
                found.append(step)
                continue
            expanded = loops.expand(step, {**engine.variables, **self.scope.variables})
            found += expanded
            if not expanded:
                engine.add(self._call(group, step), "Skipped", "Skipped", "Skipped, empty params")
        return found

    def _runs(self, group: Node, step: Mapping[str, Any]) -> bool:
        try:
            runs = loops.runs(step)
        except EvaluationError as error:
            self._engine.add(self._call(group, step), "Skipped", "Error", str(error))
            raise
        if not runs:
            self._engine.add(self._call(group, step), "Skipped", "Skipped", f"when '{step['when']}' evaluated false")
        return runs

    async def _step(self, group: Node, step: Mapping[str, Any], errors: list[Exception], all_begun: asyncio.Event) -> None:
        call = self._call(group, step)

        async def hooks_begin() -> bool:
            """Argo looks at hooks when all steps of the group have begun, and not where one could not."""
            turns.waits()
            await all_begun.wait()
            return not errors

        try:
            child = await hooks.around(self._engine, call, self.scope, hooks_begin)
            if hooks.has_exit(self._engine, call) and await hooks_begin():
                await hooks.run_exit(self._engine, call, child, self.scope)
        except hooks.BrokenHook as error:
            errors.append(error)
        except EvaluationError as error:
            errors.append(EvaluationError(f"step group deemed errored due to child {call.name} error: {error}"))
        except NotStarted as error:
            errors.append(error)

    def _call(self, group: Node, step: Mapping[str, Any]) -> Call:
        above = self._attempt.call
        return Call(
            f"{group['name']}.{step['name']}",
            step,
            "step",
            self._node["id"],
            (group,),
            above.depth + 1,
            above.on_exit,
            wants_result=self._results.wanted("step", step["name"].split("(")[0]),
        )
