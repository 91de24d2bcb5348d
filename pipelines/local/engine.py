"""Carries a workflow out: each node waits for what comes before it, runs, and is tried again.

One asyncio loop; every wait is for a child, a moment or a free place. What follows from data (expressions, retries,
conditions, phases) is decided by pure functions elsewhere. Started again after an interruption, the same code walks the same
way: nodes that have ended are passed, and a pod that had not ended starts anew under its old name, so no attempt is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pipelines.language import gotext
from pipelines.language.errors import EvaluationError
from pipelines.local import daemons, dag, hooks, leaves, locks, nodes, retry, steps, templates, turns, variables
from pipelines.local.calls import Attempt, Call, Ended, NotStarted, PodRunner
from pipelines.local.memory import Memory
from pipelines.local.nodes import Node, Nodes
from pipelines.local.references import Objects

_MAX_DEPTH = 100
_DISPLAY_NAME = "workflows.argoproj.io/display-name"
# How often it is looked whether a person has spoken.
_LOOK_S = 0.2


@dataclass
class _Boundary:
    places: contextlib.AbstractAsyncContextManager[Any]
    fails_fast: bool
    failed: bool = False


class Engine:
    """One run of one workflow."""

    def __init__(
        self,
        spec: Mapping[str, Any],
        known: Nodes,
        workflow: Mapping[str, str],
        run_pod: PodRunner,
        memory: Memory,
        objects: Objects,
        said: Callable[[Node], Mapping[str, str] | None],
    ) -> None:
        """`said` tells the values that a person gave to a node that waits, None where nobody has spoken.

        `workflow` are the workflow's own variables (workflow.name, workflow.parameters.A, ...).
        """
        self.spec, self.nodes, self.run_pod, self.memory, self.objects, self.said = spec, known, run_pod, memory, objects, said
        self.clock: Callable[[], float] = time.time
        self.daemons = daemons.Daemons()
        self._locks = locks.Locks()
        self._begun: dict[str, asyncio.Event] = {}
        self._changed = asyncio.Event()
        self.variables: dict[str, Any] = dict(workflow)
        self.outputs: dict[str, Any] = {}
        self.deadline: float | None = None
        self._started = 0.0
        self.pod_places = asyncio.Semaphore(1)
        self._boundaries: dict[str, _Boundary] = {}
        for node in known:
            self._export(node)
        for node in known:
            if node["type"] == "DAG" and node["phase"] == "Succeeded":
                self.export_tasks(one for one in known if one.get("boundaryID") == node["id"] and "(" not in one["displayName"])

    async def run(self, pods_at_once: int, started: float) -> tuple[str, str]:
        """Carry out entrypoint and exit handler; returns the workflow's phase and message."""
        self.pod_places = asyncio.Semaphore(min(int(self.spec.get("parallelism") or pods_at_once), pods_at_once))
        if self.spec.get("activeDeadlineSeconds") is not None:
            self.deadline = started + float(self.spec["activeDeadlineSeconds"])
        self._started = started
        try:
            return await self._whole()
        finally:
            await self.daemons.close()

    async def _whole(self) -> tuple[str, str]:
        try:
            labels = variables.labels_from({"spec": self.spec}, self.variables)
        except EvaluationError as error:
            return "Error", str(error)
        self.variables |= {f"workflow.labels.{name}": value for name, value in labels.items()}
        await self._resumed()
        call = Call(self.nodes.workflow, {"template": self.spec["entrypoint"], "arguments": self.spec.get("arguments") or {}}, "step")
        try:
            entry = await hooks.around_workflow(self, call)
            await self.daemons.stop("", self._stopped)
        except hooks.BrokenHook as error:
            entry = self.end(self.nodes.by_id[self.nodes.workflow], "Error", str(error))
        except EvaluationError as error:
            entered = self.nodes.find(call.name)
            if entered is not None and entered["type"] == "Retry":
                self.nodes.mark(entered, "Error", "Workflow operation error")
            return "Error", f"error in entry template execution: {error}"
        phase = "Succeeded" if entry["phase"] in ("Skipped", "Omitted") else entry["phase"]
        self.variables |= variables.at_the_end(phase, self.nodes)
        try:
            last = None if self.spec.get("shutdown") == "Terminate" else await hooks.run_workflow_exit(self)
        except EvaluationError as error:
            return "Error", f"error in exit template execution : {error}"
        if phase == "Succeeded" and last is not None and nodes.failed(last):
            return last["phase"], last.get("message", "")
        stopped = f"Stopped with strategy '{self.spec['shutdown']}'" if self.spec.get("shutdown") and phase != "Succeeded" else ""
        return phase, stopped or entry.get("message", "")

    async def _resumed(self) -> None:
        """Wait until a person lets a workflow begin that begins suspended."""
        while self.spec.get("suspend") and self.said({"id": self.nodes.workflow}) is None:
            if self.deadline is not None and self.clock() >= self.deadline:
                return
            await self.sleep_until(self.clock() + _LOOK_S)

    def shut_down(self, call: Call) -> str:
        """How the workflow was shut down, where that keeps the pod of a call from being made; else empty."""
        strategy = str(self.spec.get("shutdown") or "")
        return "" if strategy == "Stop" and call.on_exit else strategy

    async def execute(self, call: Call) -> Node:
        """Run one call to its end. Raises EvaluationError, the node being in Error, for what cannot be evaluated; and NotStarted."""
        known = self.nodes.find(call.name)
        if known is not None and nodes.fulfilled(known):
            return known
        if call.depth >= _MAX_DEPTH:
            message = f"Maximum recursion depth exceeded: {_MAX_DEPTH} templates call one another"
            return self.add(call, "Skipped", "Error", message)
        try:
            template = self._ready(call)
            return await self._locked(call, template)
        except EvaluationError as error:
            self.add(call, "Skipped", "Error", str(error))
            raise

    async def _locked(self, call: Call, template: Mapping[str, Any]) -> Node:
        """Run a call while it holds the locks that its template needs."""
        limits = locks.wanted(template, self.objects)
        kind = "Retry" if templates.retry_strategy(self.spec, template) else _TYPES.get(templates.kind(template), "Pod")

        def waiting(lock: str, message: str) -> None:
            self.add(call, kind, "Pending", message, synchronizationStatus={"waiting": lock}, inputs=_inputs(template))

        remaining_s = None if self.deadline is None else max(0.0, self.deadline - self.clock())
        try:
            async with self._locks.held(limits, waiting, remaining_s):
                known = self.nodes.find(call.name)
                if known is not None and known.pop("synchronizationStatus", None):
                    self.nodes.mark(known, "Pending", "")
                return await self._remembered(call, template, kind)
        except locks.TooLate:
            return self.add(call, kind, "Failed", "Step exceeded its deadline", inputs=_inputs(template))

    async def _remembered(self, call: Call, template: Mapping[str, Any], kind: str) -> Node:
        """Run a call, unless what it would leave is kept in a cache."""
        memoize = template.get("memoize")
        outputs = self.memory.recall(memoize) if memoize else None
        if memoize:
            told = {"hit": outputs is not None, "key": memoize["key"], "cacheName": memoize["cache"]["configMap"].get("name", "")}
            node = self.add(call, kind, "Pending", memoizationStatus=told)
            if outputs is not None:
                return self.end(node, "Succeeded", outputs=outputs)
        node = await self._tried(Attempt(call, dict(template)))
        if memoize and node["phase"] == "Succeeded":
            self.memory.keep(memoize, node)
        return node

    async def _tried(self, attempt: Attempt) -> Node:
        strategy = templates.retry_strategy(self.spec, attempt.template)
        return await (self._carry_out(attempt) if strategy is None else self._retried(attempt, strategy))

    def add(self, call: Call, kind: str, phase: str, message: str | None = None, **fields: Any) -> Node:
        """The node of a call: made, or, where there is one, put into the phase."""
        known = self.nodes.find(call.name)
        flag = {"hooked": True} if call.hooked else {}
        told = {**templates.named(call.holder), "nodeFlag": flag, **fields}
        if known is None or not nodes.fulfilled(known):
            known = self.nodes.add(call.name, kind, phase, call.boundary, message, **told)
        for parent in call.parents:
            self.nodes.connect(parent, known)
        self._tell_change()
        if phase == "Running" and call.name in self._begun:
            self._begun.pop(call.name).set()
        return known

    async def change(self) -> None:
        """Wait until a node begins or ends."""
        await self._changed.wait()

    def _tell_change(self) -> None:
        self.variables["workflow.duration"] = f"{max(0.0, self.clock() - self._started):.6f}"
        self._changed.set()
        self._changed = asyncio.Event()

    def begun(self, call: Call) -> asyncio.Event:
        """What tells that the node of a call runs."""
        return self._begun.setdefault(call.name, asyncio.Event())

    def start(self, attempt: Attempt, kind: str) -> Node:
        """The node of an attempt, running, with the inputs it has."""
        flag = {**({"hooked": True} if attempt.call.hooked else {}), **({"retried": True} if attempt.retried else {})}
        node = self.add(attempt.call, kind, "Running", nodeFlag=flag, inputs=_inputs(attempt.template))
        shown = "" if attempt.retried else (attempt.template.get("annotations") or {}).get(_DISPLAY_NAME)
        if shown and shown != node["displayName"]:
            node["displayName"] = shown
            self.nodes.changed(node)
        return node

    def end(self, node: Node, phase: str, message: str | None = None, outputs: Mapping[str, Any] | None = None) -> Node:
        """End a node; its global outputs become the workflow's."""
        if outputs:
            node["outputs"] = dict(outputs)
            self._export(node)
        boundary = self._boundaries.get(node.get("boundaryID", ""))
        if boundary and phase in nodes.FAILED and node["type"] in ("Pod", "Steps", "DAG", "HTTP"):
            boundary.failed = True
        self._tell_change()
        return self.nodes.mark(node, phase, message)

    def enclose(self, node: Node, template: Mapping[str, Any]) -> None:
        """Make a node the boundary of its children, with the template's parallelism and failFast."""
        limit = template.get("parallelism")
        places = asyncio.Semaphore(int(limit)) if limit else contextlib.nullcontext()
        self._boundaries[node["id"]] = _Boundary(places, bool(template.get("failFast")))

    def _ready(self, call: Call) -> dict[str, Any]:
        template = templates.find(self.spec, call.holder)
        local = {"node.name": call.name, **({f"{call.caller}s.name": call.holder.get("name", "")} if call.caller else {})}
        if templates.is_pod(template) and templates.retry_strategy(self.spec, template) is None:
            local["pod.name"] = variables.pod_name(self.nodes.workflow, call.name, template.get("name", ""))
        return templates.process(template, call.holder.get("arguments") or {}, self.variables, local)

    async def _retried(self, attempt: Attempt, strategy: Mapping[str, Any]) -> Node:
        strategy = attempt.template.get("retryStrategy", strategy)
        node = self.start(attempt, "Retry")
        end: float | None = None
        while True:
            attempts = self.nodes.attempts(node)
            if attempts and nodes.fulfilled(attempts[-1]):
                if nodes.failed(attempts[-1]) and self.spec.get("shutdown"):
                    return self.end(node, attempts[-1]["phase"], f"Stopped with strategy '{self.spec['shutdown']}'")
                decision = retry.decide(strategy, attempts, self.clock(), None if attempt.call.on_exit else self.deadline)
                if isinstance(decision, retry.Finish):
                    return self.end(node, decision.phase, decision.message, attempts[-1].get("outputs"))
                if isinstance(decision, retry.Wait):
                    self.nodes.mark(node, "Running", decision.message)
                    await self.sleep_until(decision.until)
                    continue
                end = decision.deadline
                self.nodes.mark(node, "Running", "")
            await self._next_attempt(attempt, strategy, node, end)
            daemon = next((one for one in self.nodes.attempts(node) if one.get("daemoned")), None)
            if daemon is not None:
                node |= {"daemoned": True, "podIP": daemon["podIP"]}
                return self.nodes.mark(node, "Running", "")

    async def _next_attempt(self, attempt: Attempt, strategy: Mapping[str, Any], node: Node, end: float | None) -> None:
        """The next attempt, or the last one again if it had not ended."""
        before = [one for one in self.nodes.attempts(node) if nodes.fulfilled(one)]
        call = replace(attempt.call, name=f"{attempt.call.name}({len(before)})", parents=(node,))
        pod = variables.pod_name(self.nodes.workflow, call.name, attempt.template.get("name", ""))
        try:
            template = templates.substitute(attempt.template, self.variables, {**retry.body_variables(before), "pod.name": pod})
            await self._carry_out(Attempt(call, template, end, retried=True))
        except EvaluationError as error:
            self.add(call, "Skipped", "Error", str(error), nodeFlag={"retried": True})
            if retry.policy(strategy) == "OnFailure":
                raise

    async def sleep_until(self, moment: float) -> None:
        """Wait for a moment, or for the workflow's deadline where that comes first."""
        turns.waits()
        await asyncio.sleep(max(0.0, min(moment, self.deadline or moment) - self.clock()))

    async def _carry_out(self, attempt: Attempt) -> Node:
        boundary = self._boundaries.get(attempt.call.boundary)
        if boundary is None:
            return await self._with_daemons(attempt)
        if isinstance(boundary.places, asyncio.Semaphore) and boundary.places.locked():
            turns.waits()
        async with boundary.places:
            if boundary.fails_fast and boundary.failed:
                raise NotStarted
            return await self._with_daemons(attempt)

    async def _with_daemons(self, attempt: Attempt) -> Node:
        """Carry an attempt out; the daemons in it end with it."""
        try:
            kind = templates.kind(attempt.template)
            if kind not in _AT_ONCE:
                turns.waits()
            return await _KINDS[kind](self, attempt)
        finally:
            node = self.nodes.find(attempt.call.name)
            if node is not None and nodes.fulfilled(node):
                await self.daemons.stop(node["id"], self._stopped)

    def _stopped(self, daemon: Node) -> None:
        self.end_daemon(daemon, Ended("Succeeded"))

    def end_daemon(self, daemon: Node, how: Ended) -> None:
        """End a daemon, and the Retry node whose attempt it is."""
        around = [node for node in self.nodes if node.get("daemoned") and daemon["id"] in node.get("children", ())]
        for node in [daemon, *(node for node in around if node["type"] == "Retry")]:
            node.pop("daemoned", None)
            self.end(node, how.phase, how.message, how.outputs)

    def export_tasks(self, tasks: Iterable[Node]) -> None:
        """Make the global outputs of a DAG's tasks the workflow's: Argo does so when the DAG has succeeded, for tasks of every type."""
        for node in tasks:
            self._export(node, but=())

    def _export(self, node: Node, but: Collection[str] = ("Suspend", "DAG", "Retry")) -> None:
        outputs = node.get("outputs") or {}
        for kind in ("parameters", "artifacts") if node["type"] not in but else ():
            for output in outputs.get(kind) or []:
                if output.get("globalName"):
                    self._set_output(kind, output)

    def _set_output(self, kind: str, output: Mapping[str, Any]) -> None:
        told = {key: value for key, value in output.items() if key not in ("globalName", "path")} | {"name": output["globalName"]}
        known = self.outputs.setdefault(kind, [])
        known[:] = [other for other in known if other["name"] != told["name"]] + [told]
        if kind == "parameters" and "value" in output:
            self.variables[f"workflow.outputs.parameters.{told['name']}"] = gotext.any_string(output["value"])


def _inputs(template: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of a node."""
    return {key: value for key, value in (template.get("inputs") or {}).items() if value}


# The types of nodes whose templates are no pods.
_TYPES = {"steps": "Steps", "dag": "DAG", "suspend": "Suspend", "http": "HTTP"}
# The kinds that may end without waiting for the world.
_AT_ONCE = ("steps", "dag", "suspend")
# How each kind of template is carried out: one row for each of templates.KINDS.
_KINDS: Mapping[str, Callable[[Engine, Attempt], Awaitable[Node]]] = {
    "container": leaves.run_pod,
    "containerSet": leaves.run_pod,
    "script": leaves.run_pod,
    "resource": leaves.run_pod,
    "data": leaves.run_pod,
    "steps": steps.run_steps,
    "dag": dag.run_dag,
    "suspend": leaves.run_suspend,
    "http": leaves.run_http,
}
