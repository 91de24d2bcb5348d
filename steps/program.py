"""The training program, ours or a user's own, as a child process. It may be written in any language."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from steps import contract

_PACKAGES = Path(__file__).resolve().parent.parent
_PR_SET_PDEATHSIG = 1  # prctl(2)
_STOPS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True)
class Program:
    """MODEL_DIR/MODEL_SCRIPT: a `.py` file is run by this Python, anything else is executed."""

    folder: Path
    script: str

    def command(self, verb: str) -> list[str]:
        """The command line for a verb, `train` or `export`."""
        path = str(self.folder / self.script)
        return [sys.executable, path, verb] if path.endswith(".py") else [path, verb]

    def sha256(self) -> str:
        """The hash of the program: the script, and the files beside it whose names begin with its stem (`wide_deep_network.py`)."""
        digest = hashlib.sha256()
        for path in sorted(self.folder.glob(f"{Path(self.script).stem}*")):
            if path.is_file():
                digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
                digest.update(path.read_bytes())
        return digest.hexdigest()


class Ended(contract.StepError):
    """The program ended with a code of the contract that is neither success nor a judgement; the step ends with it too."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def locate(model_dir: Path, model_script: str) -> Program:
    """The program that MODEL_DIR and MODEL_SCRIPT name. Raises BadInput where there is none, or one that cannot be executed."""
    path = model_dir / model_script
    if not path.is_file():
        raise contract.BadInput(f"MODEL_SCRIPT: expected a program at {path}, got no such file; set MODEL_DIR and MODEL_SCRIPT")
    if path.suffix != ".py" and not os.access(path, os.X_OK):
        raise contract.BadInput(f"MODEL_SCRIPT: expected an executable file, got {path}, which is not; `chmod +x` it")
    return Program(model_dir, model_script)


def environment(settings: Any, **paths: str | Path | int) -> dict[str, str]:
    """What a program finds in its environment: the step's settings, and over them what the contract adds."""
    own = {field.name.upper(): getattr(settings, field.name) for field in dataclasses.fields(settings)}
    values = {name: "" if value is None else str(value) for name, value in (own | paths).items()}
    inherited = {name: value for name, value in os.environ.items() if name != "OUTPUTS_FOLDER"}
    search = os.pathsep.join(filter(None, [str(_PACKAGES), inherited.get("PYTHONPATH")]))
    return inherited | values | {"PYTHONPATH": search}


def run(program: Program, verb: str, environ: Mapping[str, str], keep: int) -> int:
    """Run the program to its end; its exit code by the contract, 128 + N where signal N ended it.

    `keep` is a descriptor the child inherits: that of the lock, which an orphan thereby goes on holding. A SIGTERM or
    SIGINT to the step reaches the program and all that it started as SIGTERM; the program is waited for, since saving
    may take it a while. Whoever sent the signal keeps the time: a step that is killed takes its program along. Raises
    Terminated or KeyboardInterrupt where the program was stopped that way, BadInput where it cannot be started.
    """
    stopped: list[int] = []
    child: subprocess.Popen[bytes] | None = None

    def forward(number: int, _frame: FrameType | None) -> None:
        stopped.append(number)
        if child is not None:
            _stop(child, group)

    with _guarded_group() as group:
        before = {number: signal.signal(number, forward) for number in _STOPS}
        try:
            child = _start(program, verb, environ, keep, group)
            if stopped:
                _stop(child, group)
            code = child.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    code = code if code >= 0 else 128 - code
    if stopped and code not in (contract.DONE, contract.BELOW_TARGET, contract.BUDGET_SPENT):
        if signal.SIGINT in stopped:
            raise KeyboardInterrupt
        raise contract.Terminated(f"stopped by SIGTERM; {program.script} {verb} ended with exit code {code}; run again to continue")
    return code


def ended(program: Program, verb: str, code: int) -> contract.StepError:
    """The end of a step whose program ended with a code that says nothing about the model."""
    if code in (contract.UNEXPECTED, contract.BAD_INPUT) or code >= 128:
        killed = f", killed by signal {code - 128}" if code > 128 else ""
        return Ended(f"{program.script} {verb} ended with exit code {code}{killed}; its own messages stand above", code)
    return contract.StepError(
        f"{program.script} {verb} ended with exit code {code}, which the contract of a training program does not have"
    )


def _start(program: Program, verb: str, environ: Mapping[str, str], keep: int, group: int) -> subprocess.Popen[bytes]:
    command = program.command(verb)
    try:
        return subprocess.Popen(
            command,
            cwd=program.folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            pass_fds=[keep],
            process_group=group,
            preexec_fn=_die_with_parent(),
        )
    except OSError as error:
        raise contract.BadInput(
            f"MODEL_SCRIPT: {command[0]} cannot be started: {error.strerror}; is it a program, with a first line such as #!/bin/sh?"
        ) from None


def _stop(child: subprocess.Popen[bytes], group: int) -> None:
    """SIGTERM to the child's whole group: a shell hands no signal on to what it runs."""
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGTERM)


@contextlib.contextmanager
def _guarded_group() -> Iterator[int]:
    """A process group for the program, whose leader kills it once this step is gone: a shell's children do not die with it.

    The leader stands before the program begins, so that there is no instant at which a child of the program is unguarded.
    """
    watch = "trap '' TERM INT; echo; read -r line || kill -s KILL 0"
    guard = subprocess.Popen(
        ["/bin/sh", "-c", watch], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, process_group=0
    )
    try:
        assert guard.stdout is not None
        guard.stdout.readline()  # its traps are set
        yield guard.pid
    finally:
        guard.kill()
        guard.communicate()


def _die_with_parent() -> Callable[[], None] | None:
    """What the child does first, so that it dies with a step that was killed at once (Linux only)."""
    if sys.platform != "linux":
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(contract.KILLED)

    return ask
