"""Lifecycle hooks of the workflow, a step or a task: those with an expression of their own, and exit handlers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipelines.language import evaluate, tags
from pipelines.language.errors import EvaluationError
from pipelines.local import nodes, turns
from pipelines.local.calls import Call
from pipelines.local.nodes import Node
from pipelines.local.scope import Scope

if TYPE_CHECKING:
    from pipelines.local.engine import Engine


Work = Callable[[], Coroutine[Any, Any, Node]]
Ready = Callable[[Mapping[str, Any], str, Node], dict[str, Any] | None]


class BrokenHook(EvaluationError):
    """A hook whose expression or arguments cannot be evaluated."""


async def always() -> bool:
    """Hooks may begin whenever they are ready."""
    return True


async def around_workflow(engine: Engine, call: Call) -> Node:
    """Run the workflow's entry, and its hooks as their expressions come true. Raises EvaluationError."""

    def ready(hook: Mapping[str, Any], phase: str, _node: Node) -> dict[str, Any] | None:
        found = evaluate.truth(hook["expression"], {**engine.variables, "workflow.status": phase})
        return dict(hook) if found else None

    return await _around(engine, call, ready, engine.spec.get("hooks") or {}, always)


async def around(
    engine: Engine, call: Call, scope: Scope, may_begin: Callable[[], Awaitable[bool]] = always, work: Work | None = None
) -> Node:
    """Run a step, a task or the `work` of all items of a loop, and its hooks as their expressions come true, once they may begin.

    Raises EvaluationError.
    """
    prefix = _prefix(call)

    def ready(hook: Mapping[str, Any], phase: str, node: Node) -> dict[str, Any] | None:
        known = scope.copy()
        known.variables[f"{prefix}.status"] = phase
        if not evaluate.truth(hook["expression"], known.with_globals(engine.variables).flat):
            return None
        return _resolved(engine, hook, known, prefix, node) if node.get("outputs") else dict(hook)

    return await _around(engine, call, ready, call.holder.get("hooks") or {}, may_begin, work)


async def _around(
    engine: Engine,
    call: Call,
    ready: Ready,
    listed: Mapping[str, Any],
    may_begin: Callable[[], Awaitable[bool]],
    work: Work | None = None,
) -> Node:
    """Argo asks at every look at a workflow, which it takes whenever a node changes; so it is asked here, until the node has ended."""
    waiting = {name: hook for name, hook in listed.items() if name != "exit"}
    main = work() if work else engine.execute(call)
    return await _Around(engine, call, ready, waiting).run(main, may_begin) if waiting else await main


class _Around:
    """A node, and the hooks that wait for their expressions to come true."""

    def __init__(self, engine: Engine, call: Call, ready: Ready, waiting: dict[str, Any]) -> None:
        self._engine, self._call, self._ready, self._waiting = engine, call, ready, waiting
        self._running: list[asyncio.Future[Node]] = []

    async def run(self, work: Coroutine[Any, Any, Node], may_begin: Callable[[], Awaitable[bool]]) -> Node:
        """Carry out the node and its hooks to their end. Raises EvaluationError."""
        begins = asyncio.ensure_future(self._engine.begun(self._call).wait())
        main, settled = turns.begin(work)
        try:
            await settled.wait()
            if not main.done():
                turns.waits()
            failed_at_once = main.done() and main.exception() is not None
            if not failed_at_once and await may_begin():
                await self._fire(main, begins)
            node: Node = await main
            return node
        finally:
            left: list[asyncio.Future[Any]] = [main, begins, *self._running]
            for one in left:
                one.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _fire(self, main: asyncio.Task[Node], begins: asyncio.Future[Any]) -> None:
        """Run the hooks that are ready while the node runs, and when it has ended. Raises EvaluationError, the node having ended."""
        await asyncio.wait({main, begins}, return_when=asyncio.FIRST_COMPLETED)
        try:
            while self._waiting and not main.done():
                if node := self._engine.nodes.find(self._call.name):
                    self._begin("Running", node)
                changes = asyncio.ensure_future(self._engine.change())
                await asyncio.wait({main, changes}, return_when=asyncio.FIRST_COMPLETED)
                changes.cancel()
            node = await main
            self._begin(node["phase"], node)
        except BrokenHook:
            await asyncio.wait({main})
            raise
        await asyncio.gather(*self._running)

    def _begin(self, phase: str, node: Node) -> None:
        engine, call = self._engine, self._call
        for name, hook in list(self._waiting.items()):
            hook_call = Call(f"{call.name}.hooks.{name}", hook, "step", call.boundary, (node,), call.depth, hooked=True)
            try:
                holder = dict(hook) if engine.nodes.find(hook_call.name) else self._ready(hook, phase, node)
            except EvaluationError as error:
                raise BrokenHook(str(error)) from None
            if holder is not None:
                del self._waiting[name]
                self._running.append(asyncio.ensure_future(engine.execute(replace(hook_call, holder=holder))))


async def run_workflow_exit(engine: Engine) -> Node | None:
    """Run the workflow's exit handler, if it has one. Raises EvaluationError."""
    hook = _exit_hook(engine.spec, engine.spec)
    if hook is None:
        return None
    return await engine.execute(Call(f"{engine.nodes.workflow}.onExit", hook, "step", on_exit=True, hooked=True))


def has_exit(engine: Engine, call: Call) -> bool:
    """Whether a step or a task has an exit handler."""
    return _exit_hook(call.holder, engine.spec) is not None


async def run_exit(engine: Engine, call: Call, node: Node, scope: Scope) -> None:
    """Run the exit handler of a step or a task whose node has ended, if it has one."""
    hook = _exit_hook(call.holder, engine.spec)
    if hook is None or node["phase"] not in nodes.COMPLETED:
        return
    prefix = _prefix(call)
    scope.variables[f"{prefix}.status"] = node["phase"]
    exit_call = Call(
        f"{call.name}.onExit", hook, "step", boundary=call.boundary, parents=(node,), depth=call.depth, on_exit=True, hooked=True
    )
    try:
        if hook.get("expression") and not evaluate.truth(hook["expression"], scope.with_globals(engine.variables).flat):
            return
        await engine.execute(replace(exit_call, holder=_resolved(engine, hook, scope, prefix, node)))
    except EvaluationError as error:
        engine.add(exit_call, "Skipped", "Error", str(error))


def _prefix(call: Call) -> str:
    """What a step or a task is called in expressions; the items of a loop of tasks have one name."""
    name = call.holder["name"] if call.caller == "step" else call.holder["name"].split("(")[0]
    return f"{call.caller}s.{name}"


def _resolved(engine: Engine, hook: Mapping[str, Any], scope: Scope, prefix: str, node: Node) -> dict[str, Any]:
    """A hook whose arguments have the outputs of its node in them."""
    scope.add_files(prefix, (engine.nodes.attempts(node) or [node])[-1])
    arguments = tags.replace(scope.mark_absent(hook.get("arguments") or {}), scope.with_globals(engine.variables))
    if arguments.get("artifacts"):
        arguments["artifacts"] = [found for one in arguments["artifacts"] if (found := scope.artifact(one)) is not None]
    return {**hook, "arguments": arguments}


def _exit_hook(holder: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any] | None:
    arguments = spec.get("arguments") or {}
    if holder.get("onExit"):
        return {"template": holder["onExit"], "arguments": arguments}
    hook = (holder.get("hooks") or {}).get("exit")
    if hook is None:
        return None
    own = hook.get("arguments") or {}
    return {**hook, "arguments": own if own.get("parameters") or own.get("artifacts") else arguments}
