"""Which server of an output folder runs on this machine: serving.json, and the doors to that server for the command line."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from steps import storage
from steps.release import process
from steps.release.places import locked


@dataclass(frozen=True)
class Server:
    """A server process: its identity, its ports on 127.0.0.1, and the model and version it was started or reloaded for."""

    pid: int
    process_start: str
    model_config_file: str
    port: int
    rest_port: int
    model: str
    version: int
    started: str

    @property
    def identity(self) -> process.Identity:
        """What tells this process from any other."""
        return process.Identity(self.pid, self.process_start, f"--model_config_file={self.model_config_file}")

    @property
    def address(self) -> str:
        """Where clients find it."""
        return f"localhost:{self.port}"


@dataclass(frozen=True)
class Note:
    """The server that serves, if one does, and those that are on their way up or down: the next release stops what is left of them."""

    server: Server | None = None
    passing: tuple[Server, ...] = ()


def path(output: Path) -> Path:
    """Where the note lies."""
    return output / "serving.json"


def read(output: Path) -> Note:
    """The note of an output folder; an empty one where there is none."""
    try:
        content = json.loads(path(output).read_text())
    except FileNotFoundError:
        return Note()
    server = Server(**content["server"]) if content["server"] else None
    return Note(server, tuple(Server(**one) for one in content["passing"]))


def write(output: Path, note: Note) -> None:
    """Replace the note; an empty one is no file."""
    if note == Note():
        path(output).unlink(missing_ok=True)
    else:
        storage.write_whole(path(output), json.dumps(asdict(note), indent=2) + "\n")


def now() -> str:
    """The time, for a note."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def config_file(output: Path) -> Path:
    """The model config file of the server that serves."""
    return output / "models.config"


def canary_config_file(output: Path) -> Path:
    """The model config file of the canary."""
    return output / "canary.config"


def serving(output: Path) -> Server | None:
    """The server of an output folder that runs now; None where none does."""
    server = read(output).server
    return server if server and process.is_alive(server.identity) else None


def stop_server(output: Path) -> bool:
    """Stop every server that an output folder noted, and forget them. Returns whether one ran."""
    if not path(output).exists():
        return False
    with locked(output):
        return stop_noted(output)


def stop_noted(output: Path) -> bool:
    """As `stop_server`, for a caller that holds the lock."""
    note = read(output)
    running = [one for one in (note.server, *note.passing) if one and process.is_alive(one.identity)]
    for server in running:
        process.stop(server.identity)
    for config in (config_file(output), canary_config_file(output)):
        config.unlink(missing_ok=True)
    write(output, Note())
    return bool(running)
