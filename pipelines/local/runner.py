"""Runs a workflow on this machine, from its data to its end, or to where an interruption leaves it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from pipelines.local import (
    checks,
    configs,
    document,
    engines,
    executors,
    nodes,
    outline,
    pod_patch,
    references,
    rewind,
    state,
    templates,
    variables,
    waiting,
)
from pipelines.local import paths as local_paths
from pipelines.local.containers import Containers
from pipelines.local.display import Display, display_for
from pipelines.local.engine import Engine
from pipelines.local.errors import Problem, RefusedWorkflow, StorageFailed
from pipelines.local.memory import Memory
from pipelines.local.nodes import Node, Nodes
from pipelines.local.pod_checks import Around, Missing
from pipelines.local.pods import Executor, is_missing

_TICK_S = 0.2
_GRACE_S = 30.0


@dataclass(frozen=True)
class Run:
    """How a run ended, or where it was interrupted: `status` is Argo's `.status`, `folder` holds it with the logs.

    `exit_code` is 0 for Succeeded, 1 for Failed and Error, and 128 + N after signal N (Ctrl-C: 130). `uid` is the workflow's.
    """

    phase: str
    status: Mapping[str, Any]
    folder: Path
    exit_code: int
    uid: str


@dataclass(frozen=True)
class _Plan:
    """A workflow without problems: whole, with the values for its parameters, and with this machine's paths in it."""

    workflow: Mapping[str, Any]
    submitted: Mapping[str, Any]
    parameters: Mapping[str, str]
    objects: references.Objects
    extra: Mapping[str, str]
    volumes: Mapping[str, str]
    places: Mapping[str, str]
    means: executors.Means = "rewrite"
    local: Mapping[str, Any] = field(default_factory=dict)

    def by(self, means: executors.Means) -> _Plan:
        """The plan of a run by a means."""
        spec = self.workflow["spec"]
        spec = local_paths.localize(spec, self.extra, self.volumes) if means == "rewrite" else local_paths.located(spec, self.volumes)
        submitted = document.submitted({**self.workflow, "spec": spec}, self.parameters)
        local, found = configs.with_parameters(submitted, self.objects, self.places)
        _refuse(found)
        return replace(self, means=means, local=local)

    @property
    def digest(self) -> str:
        """The same for the same run."""
        return state.digest(self.workflow, self.parameters, self.means)


def problems_of(
    workflow: Mapping[str, Any],
    *,
    objects: references.Objects = (),
    parameters: Mapping[str, str] | None = None,
    paths: Mapping[str, Path] | None = None,
    volumes: Mapping[str, Path] | None = None,
) -> list[Problem]:
    """Everything that would keep a workflow from running here; nothing is started or written."""
    try:
        _plan(workflow, objects, parameters or {}, _absolute(paths), _absolute(volumes))
    except RefusedWorkflow as refused:
        return list(refused.problems)
    return []


def outline_of(
    workflow: Mapping[str, Any],
    *,
    objects: references.Objects = (),
    parameters: Mapping[str, str] | None = None,
    paths: Mapping[str, Path] | None = None,
    volumes: Mapping[str, Path] | None = None,
) -> list[str]:
    """What would run, as lines of text; nothing is started or written. Raises RefusedWorkflow."""
    plan = _plan(workflow, objects, parameters or {}, _absolute(paths), _absolute(volumes))
    known = variables.of_workflow(plan.local, "", "", 0.0)
    return list(outline.lines(plan.local, {name: value for name, value in known.items() if name.startswith("workflow.parameters.")}))


def run(
    workflow: Mapping[str, Any],
    *,
    objects: references.Objects = (),
    parameters: Mapping[str, str] | None = None,
    workspace: Path,
    paths: Mapping[str, Path] | None = None,
    volumes: Mapping[str, Path] | None = None,
    again: Collection[str] = (),
    display: Display | None = None,
    executor: executors.Kind = "process",
    path_means: executors.Paths | None = None,
    restart_from: str | None = None,
) -> Run:
    """Run a Workflow, a CronWorkflow or a WorkflowTemplate, or go on with its newest run if that has not finished.

    `objects` are those that the workflow may refer to. `parameters` take the place of the workflow's own; they are this machine's,
    and no path in them is rewritten. `paths` maps further container paths, `volumes` gives the folders of volumes by their names or
    their claims' names. `again` names templates whose pods leave something running, and are run again when a run goes on, though
    they had succeeded: what they started has gone with the interruption. `executor` and `path_means` say how containers run, and
    find their paths: see `executors`. `restart_from` takes the newest run back to before a node, and goes on from there. Everything
    else is kept in WORKSPACE/runs. Raises RunnerError, before anything starts, for a workflow that cannot run and for a workspace
    in use.
    """
    plan = _plan(workflow, objects, parameters or {}, _absolute(paths), _absolute(volumes), is_missing if executor == "process" else None)
    if executor != "process":
        executors.require(executor, path_means)
        _refuse(list(engines.problems(executor, plan.local["spec"])))
    with _storage_errors(), state.locked(workspace.absolute()):
        plan = plan.by(executors.means_for(executor, path_means, workspace.absolute() / "runs"))
        found = _found(workspace.absolute(), plan.digest, restart_from)
        folder = found or state.RunFolder.create(workspace.absolute(), plan.submitted, *_names(plan.submitted), plan.digest)
        shown = display or display_for()
        shown.started(folder.identity.name, folder.path, found is not None, _notes(plan.local, plan.means))
        outcome = asyncio.run(_Session(plan, folder, shown).run(again))
        shown.ended(outcome.phase, str(outcome.status.get("message", "")), outcome.exit_code)
    return outcome


def _found(workspace: Path, digest: str, restart_from: str | None) -> state.RunFolder | None:
    """The run that goes on, if one does. Raises NoSuchNode."""
    if restart_from is None:
        return state.RunFolder.unfinished(workspace, digest)
    found = state.RunFolder.newest(workspace, digest)
    if found is None:
        raise rewind.NoSuchNode(
            f"--from {restart_from}: {workspace} has no run of this workflow with these parameters; run it without first"
        )
    found.rewind(restart_from)
    return found


@contextlib.contextmanager
def _storage_errors() -> Iterator[None]:
    """Errors of files become one clear line, whether one node met them or many did."""
    try:
        yield
    except (OSError, ExceptionGroup) as error:
        first = _first_os_error(error)
        if first is None:
            raise
        place = first.filename or "the workspace"
        raise StorageFailed(
            f"{place}: {first.strerror}; mend the path, its rights or the free space, then the same command goes on"
        ) from None


def _first_os_error(error: BaseException) -> OSError | None:
    if isinstance(error, BaseExceptionGroup):
        return next((found for inner in error.exceptions if (found := _first_os_error(inner))), None)
    return error if isinstance(error, OSError) else None


def _plan(
    workflow: Mapping[str, Any],
    objects: references.Objects,
    parameters: Mapping[str, str],
    extra: Mapping[str, str],
    volumes: Mapping[str, str],
    missing: Missing | None = is_missing,
) -> _Plan:
    workflow = document.without_nulls(workflow)
    _refuse(references.of_fields(workflow, objects))
    submitted = references.whole(workflow, objects)
    spec, places, found = references.copied(submitted, objects)
    _refuse(found)
    workflow = {**submitted, "spec": pod_patch.applied(templates.with_defaults(spec))}
    plan = _Plan(workflow, document.submitted(submitted, parameters), parameters, objects, extra, volumes, places).by("rewrite")
    _refuse(checks.of_meaning(plan.local, Around(plan.local["spec"], objects, volumes, missing), places))
    return plan


def _refuse(found: Sequence[Problem]) -> None:
    if found:
        raise RefusedWorkflow(found)


def _absolute(folders: Mapping[str, Path] | None) -> dict[str, str]:
    return {name: str(folder.absolute()) for name, folder in (folders or {}).items()}


def _notes(local: Mapping[str, Any], means: executors.Means) -> tuple[str, ...]:
    """What a person should know of how the workflow runs here, once."""
    pods = [template for template in local["spec"].get("templates") or [] if templates.is_pod(template)]
    waits = any("suspend" in one and one["suspend"].get("duration") is None for one in local["spec"].get("templates") or [])
    clusters = any("resource" in one for one in pods)
    notes = (
        (any(next(templates.containers(one), None) for one in pods), executors.NOTES[means]),
        (clusters, f"resource templates act on the cluster of {os.environ.get('KUBECONFIG')}, in the namespace of its context"),
        (bool(local["spec"].get("suspend")), "the workflow begins by the command resume"),
        (waits, "a step that waits for a person goes on by the command resume"),
    )
    return tuple(note for applies, note in notes if applies)


def _names(submitted: Mapping[str, Any]) -> tuple[str, str]:
    """What a run's folder begins with, and the workflow's name where it is fixed."""
    metadata = submitted["metadata"]
    base = metadata.get("name") or metadata["generateName"].rstrip("-")
    return re.sub(r"[^A-Za-z0-9._-]", "-", base).lstrip(".-")[:100] or "workflow", metadata.get("name") or ""


class _Session:
    """One start of a run."""

    def __init__(self, plan: _Plan, folder: state.RunFolder, display: Display) -> None:
        self._plan, self._folder, self._display = plan, folder, display
        self._signal = 0

    async def run(self, again: Collection[str]) -> Run:
        folder = self._folder
        status = folder.load()
        known = Nodes(folder.identity.name, time.time)
        folder.follow(known, asyncio.get_running_loop().call_soon)
        known.reopen(again)
        self._show_changes(known)
        if "startedAt" in status:
            folder.change(message="")
        else:
            folder.change(phase="Running", startedAt=nodes.moment(time.time()))
        executor = executors.start(self._plan.means, folder.path)
        try:
            engine = self._engine(known, executor, again)
            phase, message = await self._carry_out(engine, executor, nodes.seconds(folder.status["startedAt"]))
        finally:
            executor.close()
            folder.flush()
        if self._signal:
            folder.change(message=f"interrupted by {signal.Signals(self._signal).name}; the same command goes on")
        else:
            outputs = {"outputs": engine.outputs} if engine.outputs else {}
            folder.change(phase=phase, message=message, finishedAt=nodes.moment(time.time()), **outputs)
        folder.close()
        code = 128 + self._signal if self._signal else int(phase != "Succeeded")
        return Run(folder.status["phase"], {**folder.status, "nodes": known.by_id}, folder.path, code, folder.identity.uid)

    def _engine(self, known: Nodes, executor: Executor, outliving: Collection[str]) -> Engine:
        plan, folder = self._plan, self._folder
        identity = folder.identity
        spec = local_paths.fill(plan.local["spec"], local_paths.RUN, folder.path)
        grace_s = pod_patch.grace_s(spec.get("podSpecPatch"), _GRACE_S)
        environment = {**os.environ, "ARGO_WORKFLOW_NAME": identity.name, "ARGO_WORKFLOW_UID": identity.uid}
        run_pod = Containers(folder.path, executor, environment, spec, plan.objects, folder.flush, grace_s, plan.extra, outliving)
        own = variables.of_workflow({**plan.local, "spec": spec}, identity.name, identity.uid, identity.created)
        memory = Memory(folder.path.parent / "caches", folder.path, plan.objects, time.time)
        return Engine(spec, known, own, run_pod, memory, plan.objects, partial(waiting.said, folder.path))

    async def _carry_out(self, engine: Engine, executor: Executor, started: float) -> tuple[str, str]:
        work = asyncio.ensure_future(engine.run(pods_at_once(), started))
        ticks = asyncio.ensure_future(self._tick())
        try:
            with self._signals(work, executor):
                return await work
        except asyncio.CancelledError:
            if not self._signal:
                raise
            return "Running", ""
        finally:
            ticks.cancel()

    def _show_changes(self, known: Nodes) -> None:
        write = known.changed

        def changed(node: Node) -> None:
            write(node)
            self._display.changed(node)

        known.changed = changed
        for node in known:
            self._display.changed(node)

    async def _tick(self) -> None:
        while True:
            self._display.tick()
            await asyncio.sleep(_TICK_S)

    @contextlib.contextmanager
    def _signals(self, work: asyncio.Future[tuple[str, str]], executor: Executor) -> Iterator[None]:
        """The first signal stops every pod within its grace period, the second at once."""

        def interrupted(number: int) -> None:
            if self._signal:
                executor.kill()
                return
            self._signal = number
            self._display.interrupted()
            work.cancel()

        loop = asyncio.get_running_loop()
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if threading.current_thread() is threading.main_thread() else ()
        for number in numbers:
            loop.add_signal_handler(number, interrupted, number)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)


def pods_at_once() -> int:
    """How many pods run side by side on this machine, whatever a workflow's parallelism allows."""
    return max(8, 2 * (os.cpu_count() or 1))
