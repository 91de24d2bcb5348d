"""Whole runs through the command line, as a person starts them: own workspace, own ports, an empty home folder."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass
class Place:
    """A workspace with ports of its own and a home folder that must stay empty."""

    folder: Path
    ports: tuple[int, int]
    started: list["subprocess.Popen[str]"] = field(default_factory=list)

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    @property
    def address(self) -> str:
        return f"localhost:{self.ports[0]}"

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """`python -m pipelines run ...` in this workspace."""
        ports = (
            ("-p", f"TF_SERVING_PORT={self.ports[0]}", "-p", f"TF_SERVING_REST_PORT={self.ports[1]}")
            if "train-and-serve" in arguments
            else ()
        )
        command = [sys.executable, "-m", "pipelines", "run", *arguments, *ports, "--workspace", str(self.workspace)]
        return self.start_command(command)

    def start_command(self, command: list[str]) -> "subprocess.Popen[str]":
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        environ = {**os.environ, "HOME": str(home)}
        process = subprocess.Popen(
            command, cwd=ROOT, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        self.started.append(process)
        return process

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """The exit code and what was printed to stdout and stderr."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=280)
        return process.returncode, out, err

    def command(self, *arguments: str) -> tuple[int, str, str]:
        """The same of any other module of ours."""
        process = self.start_command([sys.executable, "-m", *arguments])
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def processes(self) -> list[str]:
        """The command lines of the processes that know of this place."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                known = str(self.folder).encode() in (path / "environ").read_bytes() + (path / "cmdline").read_bytes()
                line = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if known and line and int(path.name) != os.getpid():
                found.append(f"{path.name} {line}")
        return found

    def stop(self) -> None:
        for line in self.processes():
            with_id = int(line.split()[0])
            os.kill(with_id, signal.SIGKILL)
        for process in self.started:
            process.communicate()


def free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]


@pytest.fixture(scope="session")
def make_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Place]]:
    """Makes places; whatever still runs in one at the end is stopped."""
    places: list[Place] = []

    def make() -> Place:
        places.append(Place(tmp_path_factory.mktemp("place"), free_ports()))
        return places[-1]

    yield make
    for place in places:
        place.stop()


@pytest.fixture
def place(make_place: Callable[[], Place]) -> Place:
    return make_place()
