"""A chain of steps with no workflow engine around it: started again by the table of exit codes, its log kept with the results.

`python -m steps.alone download prepare train export validate` is what the Pod of kustomize/single-node runs. What a step may
use up is counted by the steps themselves, as on Argo: a missed target ends with 4 when no attempt is left.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from steps import contract, program
from steps.contract import Count, Folder, Name
from steps.release.places import Places

FIRST_WAIT_S, LONGEST_WAIT_S = 5.0, 120.0
_SIGNALS = 128  # exit codes from here on: killed, or a transient fault


@dataclass(frozen=True)
class Settings:
    """The steps read more from the same environment; `restart_limit` bounds the starts after kills and transient faults."""

    nfs_path: Folder
    user_name: Name
    model_name: Name
    output_dir: Name
    restart_limit: Count


@dataclass(frozen=True)
class Outputs:
    """The file with everything that the steps have said, in the output folder."""

    log: str


def main(settings: Settings) -> Outputs:
    """Run the steps that the command line names until they are done. Raises program.Ended with the code that no start mends."""
    names = sys.argv[1:]
    if not names:
        raise contract.BadInput("usage: python -m steps.alone STEP [STEP ...], as of a chain; got no step")
    places = Places.of(settings.nfs_path, settings.user_name, settings.model_name, settings.output_dir)
    places.output.mkdir(parents=True, exist_ok=True)
    path = places.output / "training.log"
    with open(path, "a", encoding="utf-8") as log:
        code, restarts = _run(names, log), 0
        while code == contract.BELOW_TARGET or (code >= _SIGNALS and restarts < settings.restart_limit):
            if code != contract.BELOW_TARGET:
                wait_s = min(FIRST_WAIT_S * 2**restarts, LONGEST_WAIT_S)
                restarts += 1
                _say(f"exit code {code}: start {restarts} of {settings.restart_limit} after faults, in {wait_s:g} s", log)
                time.sleep(wait_s)
            code = _run(names, log)
    if code != contract.DONE:
        raise program.Ended(f"the steps ended with exit code {code}; their last lines above, and in {path}, say why", code)
    return Outputs(places.relative(path))


def _run(names: Sequence[str], log: IO[str]) -> int:
    """The exit code of one start of the chain, what it says told and logged; a signal to stop is handed on, and waited for."""
    command = [sys.executable, "-m", "steps.chain", *names]
    with subprocess.Popen(
        command, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as chain:
        assert chain.stdout is not None
        try:
            for line in chain.stdout:
                _say(line.rstrip("\n"), log)
            code = chain.wait()
        except BaseException:
            chain.terminate()
            for line in chain.stdout:
                _say(line.rstrip("\n"), log)
            raise
    return code if code >= 0 else 128 - code


def _say(line: str, log: IO[str]) -> None:
    contract.log(line)
    log.write(f"{line}\n")
    log.flush()


if __name__ == "__main__":
    contract.run(main)
