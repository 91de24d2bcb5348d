"""Templates without templates inside: pods, and waiting."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pipelines.language import gotext
from pipelines.language.errors import EvaluationError
from pipelines.local import daemons, nodes, requests, waiting
from pipelines.local.calls import Attempt, Deadline, Told
from pipelines.local.nodes import Node

if TYPE_CHECKING:
    from pipelines.local.engine import Engine

_TOO_LONG = "Pod was active on the node longer than the specified deadline"
# How often it is looked whether a person has spoken.
_LOOK_S = 0.2
_STOPPED = "Stopped with strategy '{}'"
_PAST = "Step exceeded its deadline"


async def run_pod(engine: Engine, attempt: Attempt) -> Node:
    """Run a container, a script or a set of containers once."""
    async with engine.pod_places:
        node = engine.start(attempt, "Pod")
        if engine.shut_down(attempt.call):
            return engine.end(node, "Failed", f"workflow shutdown with strategy: {engine.shut_down(attempt.call)}")
        deadline = _deadline(engine, attempt)
        if deadline is not None and deadline.moment <= engine.clock():
            return engine.end(node, "Failed", _PAST)
        told = _set_nodes(engine, node, attempt.template)
        if attempt.template.get("daemon"):
            return await _run_daemon(engine, attempt, node, told)
        try:
            ended = await engine.run_pod(node, attempt.template, deadline, attempt.call.wants_result, told)
        except EvaluationError as error:
            engine.end(node, "Error", str(error))
            raise
        return engine.end(node, ended.phase, ended.message, ended.outputs)


async def _run_daemon(engine: Engine, attempt: Attempt, node: Node, told: Told) -> Node:
    """Start a pod that goes on while the steps after it run."""
    pod = asyncio.ensure_future(engine.run_pod(node, attempt.template, None, attempt.call.wants_result, told))

    if not await engine.daemons.begin(node, attempt.template, pod, engine.end_daemon):
        engine.end_daemon(node, daemons.outcome(pod))
        return node
    node |= {"daemoned": True, "podIP": daemons.IP}
    return engine.nodes.mark(node, "Running")


async def run_http(engine: Engine, attempt: Attempt) -> Node:
    """Send a request once."""
    node = engine.start(attempt, "HTTP")
    if engine.shut_down(attempt.call):
        return engine.end(node, "Failed", _STOPPED.format(engine.shut_down(attempt.call)))
    try:
        ended = await requests.answered(attempt.template["http"], engine.objects)
    except EvaluationError as error:
        return engine.end(node, "Error", str(error))
    return engine.end(node, ended.phase, ended.message, ended.outputs)


def _set_nodes(engine: Engine, node: Node, template: Mapping[str, Any]) -> Callable[[str, int | None], None]:
    """The nodes of a set's containers, each after those it depends on; and what tells them how they go."""
    listed = (template.get("containerSet") or {}).get("containers") or []
    inner = {one["name"]: engine.nodes.add(f"{node['name']}.{one['name']}", "Container", "Pending", node["id"]) for one in listed}
    for one in listed:
        for parent in [inner[name] for name in one.get("dependencies") or []] or [node]:
            engine.nodes.connect(parent, inner[one["name"]])

    def told(name: str, code: int | None) -> None:
        if name in inner:
            phase = "Running" if code is None else {0: "Succeeded", 64: "Error"}.get(code, "Failed")
            engine.nodes.mark(inner[name], phase, f"{name}: Error (exit code {code}): " if code else None)

    return told


async def run_suspend(engine: Engine, attempt: Attempt) -> Node:
    """Wait for as long as the template says, or until a person lets it go on."""
    node = engine.start(attempt, "Suspend")
    if engine.shut_down(attempt.call):
        return engine.end(node, "Failed", _STOPPED.format(engine.shut_down(attempt.call)))
    declared = waiting.awaited(attempt.template)
    if declared:
        node["outputs"] = declared
        engine.nodes.mark(node, "Running")
    duration = attempt.template["suspend"].get("duration")
    ends = nodes.seconds(node["startedAt"]) + gotext.duration_or_seconds(gotext.any_string(duration)) if duration is not None else math.inf
    while engine.clock() < ends:
        values = engine.said(node)
        if values is not None:
            node.pop("outputs", None)
            return engine.end(node, "Succeeded", outputs=waiting.outputs(attempt.template, values))
        if engine.deadline is not None and engine.clock() >= engine.deadline:
            return engine.end(node, "Failed", _PAST)
        await engine.sleep_until(min(ends, engine.clock() + _LOOK_S))
    return engine.end(node, "Succeeded", outputs=_supplied(attempt.template))


def _supplied(template: Mapping[str, Any]) -> dict[str, Any] | None:
    """The outputs that nobody supplied: their defaults, or those of the inputs of the same name."""
    defaults = {parameter["name"]: parameter.get("default") for parameter in (template.get("inputs") or {}).get("parameters") or []}
    found = []
    for parameter in (template.get("outputs") or {}).get("parameters") or []:
        default = (parameter.get("valueFrom") or {}).get("default", defaults.get(parameter["name"]))
        if default is None:
            raise EvaluationError(f"raw output parameter '{parameter['name']}' has not been set and does not have a default value")
        found.append({**waiting.shown(parameter), "value": gotext.any_string(default)})
    return {"parameters": found} if found else None


def _deadline(engine: Engine, attempt: Attempt) -> Deadline | None:
    """The first of the deadlines that a pod has; an exit handler has none from the workflow."""
    now, template = engine.clock(), attempt.template
    found = []
    if template.get("activeDeadlineSeconds") not in (None, ""):
        seconds = gotext.whole_number(gotext.any_string(template["activeDeadlineSeconds"]), "activeDeadlineSeconds")
        found.append(Deadline(now + seconds, _TOO_LONG))
    if template.get("timeout"):
        found.append(Deadline(now + gotext.duration_s(str(template["timeout"])), _TOO_LONG))
    if engine.deadline is not None and not attempt.call.on_exit:
        found.append(Deadline(engine.deadline, _TOO_LONG))
    if attempt.end is not None:
        found.append(Deadline(attempt.end, ""))
    return min(found, key=lambda deadline: deadline.moment, default=None)
