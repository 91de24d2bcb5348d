"""Containers of pods as processes of this machine, started and ended by one program beside the runner (`launcher.py`)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pipelines.language.errors import EvaluationError
from pipelines.local import mounts
from pipelines.local.calls import Deadline

_GRACE_S = 30.0
_KILLED = 137
# The machine's variables that name folders which a container does not see or cannot write.
_OF_FOLDERS = ("TMPDIR", "TMP", "TEMP", "PWD", "OLDPWD")
_PROGRAM = (sys.executable, "-I", "-S", str(Path(__file__).with_name("launcher.py")))


@dataclass(frozen=True)
class Pod:
    """One container, to be run. Standard output goes to `result` where that is set, all other output to `log`.

    `command` is followed by `arguments`; `own` are the container's variables, `environment` the runner's. Paths are as the
    container sees them: `view` tells where they are on this machine. `handed` are those of files that it
    is given, `kept` those of files that are read when it has ended.
    What it leaves behind when its first process ends is killed, unless it `outlives` its pod.
    """

    name: str
    image: str
    command: Sequence[str]
    arguments: Sequence[str]
    environment: Mapping[str, str]
    own: Mapping[str, str]
    working_folder: str
    view: mounts.View
    handed: Sequence[str]
    kept: Sequence[str]
    log: Path
    result: Path | None
    grace_s: float = _GRACE_S
    outlives: bool = False


class Executor(Protocol):
    """Runs containers."""

    # Whether the text of a workflow must name this machine's paths, for containers have no root of their own.
    rewrites: bool

    def view(self, folder: Path, mounted: Mapping[str, str], writable: Iterable[str], /) -> mounts.View:
        """What a container will see, whose own files lie in a folder; see `mounts.Root`. Raises OSError."""

    async def run(self, pod: Pod, deadline: Deadline | None) -> tuple[int, bool]:
        """Run a container to its end: its exit code (128 + N where signal N ended it), and whether it was stopped at its deadline.

        Cancelled, it stops the container first: SIGTERM, the grace period, SIGKILL. Raises EvaluationError where it cannot be started.
        """

    def kill(self) -> None:
        """End every container at once."""

    def close(self) -> None:
        """Let go of what the executor holds, when no container is left."""


def search_path(environment: Mapping[str, str]) -> str:
    """PATH with the folder of this interpreter first, so that `python` is the project's."""
    return os.pathsep.join(filter(None, [str(Path(sys.executable).parent), environment.get("PATH", os.defpath)]))


def is_missing(command: str, own: Mapping[str, str], working_folder: str) -> bool:
    """Whether a command does not exist on this machine; `own` are the container's variables over the caller's."""
    located = os.path.join(working_folder, command) if os.sep in command else command
    return shutil.which(located, path=search_path({**os.environ, **own})) is None


def has_mounts(folder: Path) -> bool:
    """Whether this machine lets a process have a root of its own; tried in a folder that nobody else tries it in.

    What is made for that has one name, so that the next one to try clears up after one that was killed.
    """
    tried = folder / ".root"
    place = tried / "place"
    place.mkdir(parents=True, exist_ok=True)
    try:
        root = mounts.Root(tried / "root", {})
        command = [*_PROGRAM, root.root, str(place), json.dumps(root.rows)]
        return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0
    except OSError:
        return False
    finally:
        shutil.rmtree(tried, ignore_errors=True)


class Launcher:
    """The program beside the runner: starts commands, passes signals on, tells how they ended; it ends them should the runner be killed."""

    def __init__(self) -> None:
        self._ended: dict[str, asyncio.Future[Mapping[str, Any]]] = {}
        self._program = subprocess.Popen(_PROGRAM, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, bufsize=0)
        self._rest = b""
        self._lasting: set[str] = set()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._out, self._hear)

    async def run(self, name: str, order: Mapping[str, Any], grace_s: float, deadline: Deadline | None) -> tuple[int, bool]:
        """Run a command to its end; see `Executor.run`."""
        if self._program.poll() is not None:
            raise EvaluationError("the program that starts processes has been killed")
        ended = self._ended[name] = self._loop.create_future()
        self._order({"start": name, **order})
        try:
            timeout = None if deadline is None else max(0.0, deadline.moment - time.time())
            done, _ = await asyncio.wait({ended}, timeout=timeout)
            if not done:
                await self._stop(name, ended, grace_s)
            answer = ended.result()
        except asyncio.CancelledError:
            await self._stop(name, ended, grace_s)
            raise
        finally:
            del self._ended[name]
        if "error" in answer:
            raise EvaluationError(answer["error"])
        return answer["code"], not done

    async def finish(self, name: str, order: Mapping[str, Any]) -> int:
        """Run a command to its end, whatever comes; its exit code."""
        ended = asyncio.ensure_future(self.run(name, order, _GRACE_S, None))
        self._lasting.add(name)
        cancelled = False
        while not ended.done():
            try:
                await asyncio.wait({ended})
            except asyncio.CancelledError:
                cancelled = True
        self._lasting.discard(name)
        if cancelled:
            raise asyncio.CancelledError
        return ended.result()[0]

    def at_end(self, name: str, command: Sequence[str] | None) -> None:
        """Have a command run should the runner be killed; None takes that back."""
        self._order({"will": name, "command": command})

    def signal(self, number: int) -> None:
        """Send a signal to every command that runs."""
        for name in self._ended.keys() - self._lasting:
            self._order({"signal": name, "number": number})

    def close(self) -> None:
        """End the program; what should still run is killed."""
        self._loop.remove_reader(self._out)
        self._program.communicate()

    async def _stop(self, name: str, ended: asyncio.Future[Mapping[str, Any]], grace_s: float) -> None:
        """SIGTERM, the grace period, SIGKILL; a second cancellation does not interrupt it, since `kill` shortens it."""
        self._order({"signal": name, "number": signal.SIGTERM})
        handle = self._loop.call_later(grace_s, self._order, {"signal": name, "number": signal.SIGKILL})
        while not ended.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({ended})
        handle.cancel()

    @property
    def _out(self) -> int:
        assert self._program.stdout is not None
        return self._program.stdout.fileno()

    def _order(self, order: Mapping[str, Any]) -> None:
        assert self._program.stdin is not None
        content = memoryview(json.dumps(order).encode() + b"\n")
        with contextlib.suppress(BrokenPipeError):
            while content:
                content = content[self._program.stdin.write(content) or 0 :]

    def _hear(self) -> None:
        piece = os.read(self._out, 1 << 16)
        *lines, self._rest = (self._rest + piece).split(b"\n")
        answers = [json.loads(line) for line in lines]
        if not piece:
            self._loop.remove_reader(self._out)
            answers = [{"ended": name, "code": _KILLED} for name in self._ended]
        for answer in answers:
            ended = self._ended.get(answer.get("ended") or answer.get("failed"))
            if ended is not None and not ended.done():
                ended.set_result(answer)


class Processes:
    """Each container is a session of processes; what it leaves behind is killed, as in a container. Images are not used."""

    def __init__(self, place: Path | None) -> None:
        """With `place`, an empty folder, each container has a root of its own: see `has_mounts`. Raises OSError.

        Each sees its root mounted there, in a namespace of its own, and so one folder does for all.
        """
        self.rewrites = place is None
        self._place = "" if place is None else str(place)
        if place is not None:
            place.mkdir(exist_ok=True)
        self._launcher = Launcher()

    def view(self, folder: Path, mounted: Mapping[str, str], writable: Iterable[str]) -> mounts.View:
        """See Executor."""
        return mounts.Same(folder) if self.rewrites else mounts.Root(folder, mounted, writable)

    async def run(self, pod: Pod, deadline: Deadline | None) -> tuple[int, bool]:
        """See Executor."""
        order = {
            "command": [*pod.command, *pod.arguments],
            "environment": self._environment(pod),
            "folder": pod.working_folder,
            "log": _made(pod.log, empty=False),
            "output": _made(pod.result, empty=True) if pod.result else "",
            "root": pod.view.root,
            "place": self._place,
            "mounts": pod.view.rows,
            "sweep": not pod.outlives,
        }
        return await self._launcher.run(pod.name, order, pod.grace_s, deadline)

    def kill(self) -> None:
        """See Executor."""
        self._launcher.signal(signal.SIGKILL)

    def close(self) -> None:
        """See Executor."""
        self._launcher.close()
        if self._place:
            with contextlib.suppress(OSError):  # of a run that is gone with its folder
                os.rmdir(self._place)

    def _environment(self, pod: Pod) -> dict[str, str]:
        """The runner's variables under the container's; those that name folders which it cannot write are left out."""
        around = dict(pod.environment)
        if not self.rewrites:
            around = {name: value for name, value in around.items() if name not in _OF_FOLDERS} | {"HOME": "/"}
        return {**around, **pod.own, "PATH": search_path(pod.own if "PATH" in pod.own else around)}


def _made(path: Path, empty: bool) -> str:
    """The name of a file that is there, so that an error of the disk is one of the runner. Raises OSError."""
    with open(path, "wb" if empty else "ab"):
        return str(path)
