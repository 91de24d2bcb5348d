"""Servers as processes: started on their own, known again by more than a process id, stopped with patience."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from steps import contract

_STOP_S = 30.0
_KILL_S = 10.0
# The shell becomes the server when told to go on; a starter that dies before it noted the process leaves nothing behind.
_WHEN_NOTED = ["/bin/sh", "-c", 'read -r go && exec "$@" </dev/null', "sh"]


@dataclass(frozen=True)
class Identity:
    """A process that cannot be mistaken for another that was given its id later: id, start time, and a word of its command line."""

    pid: int
    start: str
    word: str


class Held:
    """A process that waits to become the server of its command line; `release` lets it. It outlives its starter."""

    def __init__(self, command: Sequence[str], folder: Path, log: Path, word: str) -> None:
        with open(log, "ab") as output:
            self._process = subprocess.Popen(
                [*_WHEN_NOTED, *command], cwd=folder, stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True
            )
        status = _status(self._process.pid)
        self.identity = Identity(self._process.pid, status.start if status else "", word)

    def release(self) -> None:
        """Let the process become the server."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")
        self._process.stdin.close()

    def exit_code(self) -> int:
        """How the process ended, as a shell tells it; for one that has ended or is just about to."""
        code = self._process.wait(_KILL_S)
        return code if code >= 0 else 128 - code


def is_alive(identity: Identity) -> bool:
    """Whether this very process runs: the same id, start time and command line, and not one that has ended and waits to be reaped."""
    status = _status(identity.pid)
    return status is not None and status.start == identity.start and not status.has_ended and identity.word in command_line(identity.pid)


def command_line(pid: int) -> list[str]:
    """The words of a process's command line; none where there is no such process, or it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def stop(identity: Identity) -> None:
    """Ask a process to end, and end it where it does not within 30 s; returns when its ports are free again. No process is no error."""
    for number, patience_s in ((signal.SIGTERM, _STOP_S), (signal.SIGKILL, _KILL_S)):
        if is_alive(identity):
            with contextlib.suppress(ProcessLookupError):
                os.kill(identity.pid, number)
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            if _is_gone(identity):
                return
            time.sleep(0.02)
    raise contract.StepError(f"process {identity.pid} (a model server) does not end, SIGKILL notwithstanding; look at it by hand")


@dataclass(frozen=True)
class _Status:
    """Of /proc/PID/stat (proc(5)): state, number of threads, and the start time in clock ticks since the machine started."""

    state: str
    threads: int
    start: str

    @property
    def has_ended(self) -> bool:
        return self.state in ("Z", "X")


def _status(pid: int) -> _Status | None:
    """None where there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return _Status(fields[0], int(fields[17]), fields[19])


def _is_gone(identity: Identity) -> bool:
    """Whether nothing of a process is left. A process that ends loses its command line first, its first thread next, its sockets last."""
    status = _status(identity.pid)
    return status is None or status.start != identity.start or (status.has_ended and status.threads <= 1)
