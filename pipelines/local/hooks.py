"""Exit handlers: of the workflow, of a step, of a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipelines.local import nodes
from pipelines.local.calls import Call
from pipelines.local.errors import EvaluationError
from pipelines.local.language import evaluate, tags
from pipelines.local.nodes import Node
from pipelines.local.scope import Scope

if TYPE_CHECKING:
    from pipelines.local.engine import Engine


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
    name = call.holder["name"] if call.caller == "step" else call.holder["name"].split("(")[0]
    prefix = f"{call.caller}s.{name}"
    scope.variables[f"{prefix}.status"] = node["phase"]
    exit_call = Call(
        f"{call.name}.onExit", hook, "step", boundary=call.boundary, parents=(node,), depth=call.depth, on_exit=True, hooked=True
    )
    try:
        if hook.get("expression") and not evaluate.truth(hook["expression"], scope.with_globals(engine.variables).flat):
            return
        scope.add_files(prefix, (engine.nodes.attempts(node) or [node])[-1])
        arguments = tags.replace(scope.mark_absent(hook.get("arguments") or {}), scope.with_globals(engine.variables))
        if arguments.get("artifacts"):
            arguments["artifacts"] = [found for one in arguments["artifacts"] if (found := scope.artifact(one)) is not None]
        await engine.execute(replace(exit_call, holder={**hook, "arguments": arguments}))
    except EvaluationError as error:
        engine.add(exit_call, "Skipped", "Error", str(error))


def _exit_hook(holder: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any] | None:
    arguments = spec.get("arguments") or {}
    if holder.get("onExit"):
        return {"template": holder["onExit"], "arguments": arguments}
    hook = (holder.get("hooks") or {}).get("exit")
    if hook is None:
        return None
    own = hook.get("arguments") or {}
    return {**hook, "arguments": own if own.get("parameters") or own.get("artifacts") else arguments}
