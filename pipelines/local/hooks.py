"""Lifecycle hooks of the workflow, a step or a task: those with an expression of their own, and exit handlers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipelines.language import evaluate, tags
from pipelines.language.errors import EvaluationError
from pipelines.local import nodes
from pipelines.local.calls import Call
from pipelines.local.nodes import Node
from pipelines.local.scope import Scope

if TYPE_CHECKING:
    from pipelines.local.engine import Engine


async def around_workflow(engine: Engine, call: Call) -> Node:
    """Run the workflow's entry, and its hooks as their expressions come true. Raises EvaluationError."""

    def ready(hook: Mapping[str, Any], phase: str, _node: Node) -> dict[str, Any] | None:
        found = evaluate.truth(hook["expression"], {**engine.variables, "workflow.status": phase})
        return dict(hook) if found else None

    return await _around(engine, call, ready, engine.spec.get("hooks") or {})


async def around(engine: Engine, call: Call, scope: Scope) -> Node:
    """Run a step or a task, and its hooks as their expressions come true. Raises EvaluationError."""
    prefix = _prefix(call)

    def ready(hook: Mapping[str, Any], phase: str, node: Node) -> dict[str, Any] | None:
        known = scope.copy()
        known.variables[f"{prefix}.status"] = phase
        if not evaluate.truth(hook["expression"], known.with_globals(engine.variables).flat):
            return None
        return _resolved(engine, hook, known, prefix, node) if node.get("outputs") else dict(hook)

    return await _around(engine, call, ready, call.holder.get("hooks") or {})


async def _around(
    engine: Engine, call: Call, ready: Callable[[Mapping[str, Any], str, Node], dict[str, Any] | None], listed: Mapping[str, Any]
) -> Node:
    """Argo asks at every look at a workflow, which it takes whenever a node changes; so it is asked here, until the node has ended."""
    waiting = {name: hook for name, hook in listed.items() if name != "exit"}
    if not waiting:
        return await engine.execute(call)
    begun = engine.begun(call)
    main = asyncio.ensure_future(engine.execute(call))
    begins = asyncio.ensure_future(begun.wait())
    running: list[asyncio.Future[Node]] = []

    def fire(phase: str, node: Node) -> None:
        for name, hook in list(waiting.items()):
            hook_call = Call(f"{call.name}.hooks.{name}", hook, "step", call.boundary, (node,), call.depth, hooked=True)
            holder = dict(hook) if engine.nodes.find(hook_call.name) else ready(hook, phase, node)
            if holder is not None:
                del waiting[name]
                running.append(asyncio.ensure_future(engine.execute(replace(hook_call, holder=holder))))

    try:
        await asyncio.wait({main, begins}, return_when=asyncio.FIRST_COMPLETED)
        while waiting and not main.done():
            if node := engine.nodes.find(call.name):
                fire("Running", node)
            changes = asyncio.ensure_future(engine.change())
            await asyncio.wait({main, changes}, return_when=asyncio.FIRST_COMPLETED)
            changes.cancel()
        node = await main
        fire(node["phase"], node)
        await asyncio.gather(*running)
        return node
    finally:
        left: list[asyncio.Future[Any]] = [main, begins, *running]
        for one in left:
            one.cancel()
        await asyncio.gather(*left, return_exceptions=True)


async def run_workflow_exit(engine: Engine) -> Node | None:
    """Run the workflow's exit handler, if it has one. Raises EvaluationError."""
    hook = _exit_hook(engine.spec, engine.spec)
    if hook is None:
        return None
    return await engine.execute(Call(f"{engine.nodes.workflow}.onExit", hook, "step", on_exit=True, hooked=True))


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
