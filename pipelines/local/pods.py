"""Pods as processes of this machine: the one place that starts and ends processes.

Another executor (containers) is another class with the methods of `Executor`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipelines.language.errors import EvaluationError
from pipelines.local.calls import Deadline

_GRACE_S = 30.0
# The variable of a pod by which the guard knows it before it has heard of it: the run and the node.
MARK = "ARGO_NODE_OF_RUN"


@dataclass(frozen=True)
class Pod:
    """What is to be run. Standard output goes to `result` where that is set, all other output to `log`."""

    command: Sequence[str]
    environment: Mapping[str, str]
    working_folder: Path
    log: Path
    result: Path | None
    grace_s: float = _GRACE_S


class Executor(Protocol):
    """Runs pods."""

    async def run(self, pod: Pod, deadline: Deadline | None) -> tuple[int, bool]:
        """Run a pod to its end: its exit code (128 + N where signal N ended it), and whether it was stopped at its deadline.

        Cancelled, it stops the pod first: SIGTERM, the grace period, SIGKILL. Raises EvaluationError where it cannot be started.
        """

    def kill(self) -> None:
        """End every pod at once."""

    def close(self) -> None:
        """Let go of what the executor holds, when no pod is left."""


def search_path(environment: Mapping[str, str]) -> str:
    """PATH with the folder of this interpreter first, so that `python` is the project's."""
    return os.pathsep.join(filter(None, [str(Path(sys.executable).parent), environment.get("PATH", os.defpath)]))


def is_missing(command: str, own: Mapping[str, str], working_folder: str) -> bool:
    """Whether a command does not exist on this machine; `own` are the container's variables over the caller's."""
    located = os.path.join(working_folder, command) if os.sep in command else command
    return shutil.which(located, path=search_path({**os.environ, **own})) is None


class Processes:
    """Each pod is a session of processes; whatever of it is left when its first process ends is killed, as in a container.

    A process beside this one, the guard, kills them all should this one be killed.
    """

    def __init__(self) -> None:
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("guard.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    async def run(self, pod: Pod, deadline: Deadline | None) -> tuple[int, bool]:
        """See Executor."""
        process = self._start(pod)
        ended = asyncio.ensure_future(_end_of(process))
        try:
            timeout = None if deadline is None else max(0.0, deadline.moment - time.time())
            done, _ = await asyncio.wait({ended}, timeout=timeout)
            if not done:
                await self._stop(process, ended, pod.grace_s)
            return self._exit_code(process), not done
        except asyncio.CancelledError:
            await self._stop(process, ended, pod.grace_s)
            self._exit_code(process)
            raise

    def kill(self) -> None:
        """End every pod at once."""
        for process in self._running.values():
            _signal(process, signal.SIGKILL)

    def close(self) -> None:
        """End the guard; what should still run is killed."""
        self.kill()
        with contextlib.suppress(BrokenPipeError):
            self._guard.communicate()

    def _start(self, pod: Pod) -> subprocess.Popen[bytes]:
        log = os.open(pod.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        out = log if pod.result is None else os.open(pod.result, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        self._tell_guard(f"?{MARK}={pod.environment.get(MARK, '')}")
        try:
            process = subprocess.Popen(
                pod.command,
                env=dict(pod.environment),
                cwd=pod.working_folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            self._tell_guard("!")
            raise EvaluationError(f"cannot start {pod.command[0]}: {error}") from None
        finally:
            for descriptor in {log, out}:
                os.close(descriptor)
        self._running[process.pid] = process
        self._tell_guard(f"+{process.pid}")
        return process

    async def _stop(self, process: subprocess.Popen[bytes], ended: asyncio.Future[None], grace_s: float) -> None:
        """SIGTERM, the grace period, SIGKILL; a second cancellation does not interrupt it, since `kill` shortens it."""
        _signal(process, signal.SIGTERM)
        handle = asyncio.get_running_loop().call_later(grace_s, _signal, process, signal.SIGKILL)
        while not ended.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({ended})
        handle.cancel()

    def _exit_code(self, process: subprocess.Popen[bytes]) -> int:
        # The group is killed while its first process still holds the number, and before the guard forgets it.
        _signal(process, signal.SIGKILL)
        self._tell_guard(f"-{process.pid}")
        del self._running[process.pid]
        code = process.wait()
        return 128 - code if code < 0 else code

    def _tell_guard(self, line: str) -> None:
        if self._guard.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._guard.stdin.write(f"{line}\n".encode())
                self._guard.stdin.flush()


async def _end_of(process: subprocess.Popen[bytes]) -> None:
    """Wait until a process has ended, without reaping it."""
    loop = asyncio.get_running_loop()
    if not hasattr(os, "pidfd_open"):
        await loop.run_in_executor(None, os.waitid, os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        return
    descriptor = os.pidfd_open(process.pid)
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
