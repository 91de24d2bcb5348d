"""Containers of pods as containers of docker or podman, by their command lines. All of them are on the machine's own network."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.language.errors import EvaluationError
from pipelines.local import mounts, templates
from pipelines.local.calls import Deadline
from pipelines.local.errors import Problem
from pipelines.local.pods import Launcher, Pod

# Exit codes by which an engine also says that a container could not be started.
_NOT_STARTED = (125, 126, 127)
# Names that mean something to the engine's own command.
_OF_ENGINE = re.compile(r"DOCKER|CONTAINER|BUILDAH|LD_|XDG_|TMPDIR|SSH_|HTTPS?_PROXY|NO_PROXY|SSL_")
_PULL_S = 1800


class Engine:
    """Each container of a pod is one of the engine, made, started and removed."""

    rewrites = False

    def __init__(self, command: str) -> None:
        """`command` is docker or podman, or one that takes the same options."""
        self._command = command
        self._launcher = Launcher()

    def view(self, folder: Path, mounted: Mapping[str, str], _writable: Iterable[str]) -> mounts.View:
        """See Executor."""
        return mounts.Inside(folder, mounted)

    async def run(self, pod: Pod, deadline: Deadline | None) -> tuple[int, bool]:
        """See Executor."""
        name = f"{re.sub('[^A-Za-z0-9_.-]', '-', pod.name).lstrip('-.')}-{secrets.token_hex(3)}"
        self._launcher.at_end(name, [self._command, "rm", "--force", name])
        try:
            await self._do(pod, name, "create", creation(pod, name), self._client(pod))
            started = self._order([self._command, "start", "--attach", name], pod.log, pod.result or pod.log, dict(os.environ))
            code, stopped = await self._launcher.run(name, started, pod.grace_s, deadline)
            if code in _NOT_STARTED:
                await self._require_started(pod, name)
            for path in pod.kept:
                await self._keep(pod, name, path)
            return code, stopped
        finally:
            await self._remove(pod, name)

    def kill(self) -> None:
        """See Executor."""
        self._launcher.signal(signal.SIGKILL)

    def close(self) -> None:
        """See Executor."""
        self._launcher.close()

    async def _remove(self, pod: Pod, name: str) -> None:
        """Remove a container, also one that runs; one that cannot be removed now is tried again at the end of the run."""
        with contextlib.suppress(EvaluationError):  # that of one that has ended
            await self._do(pod, name, "kill", ["kill", name])
        with contextlib.suppress(EvaluationError):
            await self._do(pod, name, "rm", ["rm", "--force", name])
            self._launcher.at_end(name, None)

    async def _keep(self, pod: Pod, name: str, path: str) -> None:
        """Have what lies at a container's path lie at its place on this machine; where there is nothing, nothing."""
        place = pod.view.place(path)
        if any(mounts.within(path, row[2]) for row in pod.view.rows):
            return
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        place.unlink(missing_ok=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(EvaluationError):
            await self._do(pod, name, "cp", ["cp", f"{name}:{path}", str(place)])

    async def _require_started(self, pod: Pod, name: str) -> None:
        said = await self._do(pod, name, "inspect", ["inspect", "--format", "{{.State.Status}}", name])
        if said not in ("exited", "stopped"):
            raise EvaluationError(f"cannot start {pod.image}: {_last_line(pod.log)}")

    async def _do(self, pod: Pod, name: str, what: str, arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
        """Have the engine do something, to its end; what it printed. Raises EvaluationError with what it said."""
        out, said = pod.log.with_suffix(".out"), pod.log.with_suffix(".err")
        said.unlink(missing_ok=True)
        try:
            order = self._order([self._command, *arguments], said, out, environment or dict(os.environ))
            if await self._launcher.finish(f"{name} {what}", order):
                raise EvaluationError(f"{self._command} {what} {pod.image}: {_last_line(said)}")
            return out.read_text(errors="replace").strip()
        finally:
            out.unlink(missing_ok=True)
            said.unlink(missing_ok=True)

    @staticmethod
    def _order(command: Sequence[str], log: Path, output: Path, environment: Mapping[str, str]) -> dict[str, Any]:
        paths = {"log": str(log), "output": "" if output == log else str(output)}
        return {
            "command": command,
            "environment": environment,
            "folder": "/",
            **paths,
            "root": "",
            "place": "",
            "mounts": [],
            "sweep": False,
        }

    @staticmethod
    def _client(pod: Pod) -> dict[str, str]:
        """The engine's own environment with the container's variables in it, so that no value shows in a list of processes."""
        return {**os.environ, **{name: value for name, value in pod.own.items() if not _means_something(name)}}


def creation(pod: Pod, name: str) -> list[str]:
    """The arguments by which an engine makes a container: its mounts, its variables, its command."""
    entry = [str(part) for part in pod.command]
    binds = {target: source for _, source, target in pod.view.rows}
    for path in pod.handed:
        if pod.view.place(path).exists() and not any(mounts.within(path, target) for target in binds):
            binds[path] = str(pod.view.place(path))
    return [
        "create",
        *("--name", name, "--network", "host", "--security-opt", "label=disable"),
        *(part for target, source in sorted(binds.items()) for part in ("--volume", f"{source}:{target}")),
        *(part for key, value in pod.own.items() for part in ("--env", f"{key}={value}" if _means_something(key) else key)),
        *(("--workdir", pod.working_folder) if pod.working_folder else ()),
        *(("--entrypoint", entry[0]) if entry else ()),
        pod.image,
        *entry[1:],
        *pod.arguments,
    ]


def problems(command: str, spec: Mapping[str, Any]) -> Iterator[Problem]:
    """Images that the engine does not have and cannot pull."""
    known: dict[str, str] = {}
    for place, template in enumerate(spec.get("templates") or []):
        for inner, container in templates.containers(template):
            image, path = str(container.get("image") or ""), f"spec.templates[{place}].{inner}.image"
            if not image:
                yield Problem(path, "a container needs an image")
            elif "{{" not in image:
                policy = str(container.get("imagePullPolicy") or "IfNotPresent")
                if image not in known:
                    known[image] = _missing(command, image, policy)
                if known[image]:
                    yield Problem(path, known[image])


def _missing(command: str, image: str, policy: str) -> str:
    if policy != "Always" and _asked([command, "image", "inspect", image]) is None:
        return ""
    if policy == "Never":
        return f"{command} has no {image}, and imagePullPolicy is Never"
    said = _asked([command, "pull", image])
    return "" if said is None else f"{command} has no {image} and cannot pull it: {said}"


def _asked(arguments: Sequence[str]) -> str | None:
    """The last line of what an engine says of its failure; None where it succeeds."""
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, errors="replace", check=False, timeout=_PULL_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or ["it said nothing"])[-1]


def _means_something(name: str) -> bool:
    return name in os.environ or _OF_ENGINE.match(name.upper()) is not None


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1] if lines else "it said nothing"
