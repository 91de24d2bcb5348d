"""Several containers in one pod: one after another, side by side, and beside those that matter."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.language import gotext
from pipelines.language.errors import EvaluationError
from pipelines.local.calls import Deadline, Told
from pipelines.local.pods import Executor, Pod

# The exit code of a container that Argo's own program could not start, for which the one before it failed.
_NOT_STARTED = 64
# A sidecar that ends like this was killed with its pod.
_KILLED = (137, 143)


@dataclass(frozen=True)
class Finished:
    """The exit code of a container, and whether it was stopped at the pod's deadline."""

    code: int
    stopped: bool = False


async def run(
    executor: Executor, pods: Mapping[str, Pod], described: Mapping[str, Any] | None, deadline: Deadline | None, told: Told
) -> dict[str, Finished]:
    """Run the containers of a set, each when those it depends on have succeeded; `described` is None for a single container."""
    if described is None:
        return {name: Finished(*await executor.run(pod, deadline)) for name, pod in pods.items()}
    before = {one["name"]: one.get("dependencies") or [] for one in described["containers"]}
    running: dict[str, asyncio.Task[Finished]] = {}

    async def one(name: str) -> Finished:
        codes = [(await running[other]).code for other in before[name]]
        if any(codes):
            finished = Finished(_NOT_STARTED)
        else:
            told(name, None)
            finished = await _retried(executor, pods[name], described.get("retryStrategy") or {}, deadline)
        told(name, finished.code)
        return finished

    async with asyncio.TaskGroup() as group:
        for name in pods:
            running[name] = group.create_task(one(name))
    return {name: task.result() for name, task in running.items()}


async def _retried(executor: Executor, pod: Pod, strategy: Mapping[str, Any], deadline: Deadline | None) -> Finished:
    """Run a container until it succeeds, as often as its set allows."""
    attempts = gotext.whole_number(gotext.any_string(strategy.get("retries", 1)), "containerSet.retryStrategy.retries")
    pause_s = gotext.duration_s(strategy["duration"]) if strategy.get("duration") else 0.0
    while True:
        try:
            finished = Finished(*await executor.run(pod, deadline))
        except EvaluationError as error:
            with open(pod.log, "a") as log:
                log.write(f"{error}\n")
            return Finished(_NOT_STARTED)
        attempts -= 1
        if finished.code == 0 or finished.stopped or attempts <= 0:
            return finished
        await asyncio.sleep(pause_s)


@contextlib.asynccontextmanager
async def beside(executor: Executor, pods: Mapping[str, Pod]) -> AsyncIterator[dict[str, int]]:
    """Run containers while the block runs, then end them; the exit codes of those that had failed by themselves, at the end."""
    codes: dict[str, int] = {}
    running = {name: asyncio.ensure_future(executor.run(pod, None)) for name, pod in pods.items()}
    try:
        yield codes
    finally:
        ended = {name: task for name, task in running.items() if task.done()}
        for task in running.values():
            task.cancel()
        await asyncio.gather(*running.values(), return_exceptions=True)
    for name, task in ended.items():
        code, _ = task.result()
        if code and code not in _KILLED:
            codes[name] = code
