"""Servers as processes: started on their own, known again by more than a process id, stopped with patience."""

from __future__ import annotations

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
        self.identity = Identity(self._process.pid, _start_time(self._process.pid) or "", word)

    def release(self) -> None:
        """Let the process become the server."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")
        self._process.stdin.close()

    def exit_code(self) -> int | None:
        """How the process ended, as a shell tells it; None while it runs."""
        code = self._process.poll()
        return code if code is None or code >= 0 else 128 - code


def is_alive(identity: Identity) -> bool:
    """Whether this very process runs: the same id, start time and command line, and not one that waits to be reaped."""
    return _start_time(identity.pid) == identity.start and identity.word in command_line(identity.pid)


def command_line(pid: int) -> list[str]:
    """The words of a process's command line; none where there is no such process, or it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def stop(identity: Identity) -> None:
    """Ask a process to end, and end it where it does not within 30 s. Nothing happens where it does not run any more."""
    for number, patience_s in ((signal.SIGTERM, _STOP_S), (signal.SIGKILL, _KILL_S)):
        if not is_alive(identity):
            return
        try:
            os.kill(identity.pid, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + patience_s
        while is_alive(identity) and time.monotonic() < deadline:
            time.sleep(0.05)
    if is_alive(identity):
        raise contract.StepError(f"process {identity.pid} (a model server) does not end, SIGKILL notwithstanding; look at it by hand")


def _start_time(pid: int) -> str | None:
    """When a process started, in clock ticks since the machine did (proc(5), field 22); None where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None
