"""How containers of pods run on this machine: as processes, or by a container engine; and how they find their paths."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pipelines.local.engines import Engine
from pipelines.local.errors import RunnerError
from pipelines.local.pods import Executor, Processes, has_mounts

Kind = Literal["process", "docker", "podman"]
Paths = Literal["mount", "rewrite"]
# mount: processes with a root of their own; rewrite: processes that get this machine's paths; else the engine of that name.
Means = Literal["mount", "rewrite", "docker", "podman"]

# What a person is told of the means, once.
NOTES: dict[Means, str] = {
    "mount": "steps run as processes of this machine, each with its paths mounted in the run's folder; images are not used",
    "rewrite": "steps run as processes of this machine, with its paths written into their commands; images are not used",
    "docker": "each step runs in a container of its image, by docker",
    "podman": "each step runs in a container of its image, by podman",
}


class NoSuchMeans(RunnerError):
    """This machine cannot run steps in the way that is asked for."""


def means_for(kind: Kind, paths: Paths | None, folder: Path) -> Means:
    """The means of a run whose state lies in a folder; `paths` None takes what there is. Raises NoSuchMeans."""
    if kind != "process":
        return kind
    if paths == "rewrite" or (paths is None and not has_mounts(folder)):
        return "rewrite"
    if paths == "mount" and not has_mounts(folder):
        raise NoSuchMeans("paths=mount: this machine allows no mount namespace (user namespaces, Linux 5.12 or newer); use paths=rewrite")
    return "mount"


def require(kind: Kind, paths: Paths | None) -> None:
    """Raise NoSuchMeans where a container engine is not there."""
    if paths is not None:
        raise NoSuchMeans(f"paths={paths}: a container of {kind} has paths of its own; leave it out")
    if shutil.which(kind) is None:
        raise NoSuchMeans(f"executor={kind}: there is no command {kind} on this machine; install it, or leave the executor out")


def start(means: Means, folder: Path) -> Executor:
    """The executor of a means, for the run of a folder; called in the loop that will use it. Raises OSError."""
    return _EXECUTORS[means](folder)


_EXECUTORS: dict[Means, Callable[[Path], Executor]] = {
    "mount": lambda folder: Processes(folder / "root"),
    "rewrite": lambda _folder: Processes(None),
    "docker": lambda _folder: Engine("docker"),
    "podman": lambda _folder: Engine("podman"),
}
