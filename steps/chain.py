"""Several steps one after another in one container: `python -m steps.chain download prepare train export`.

Outputs of a step are the settings of those behind it, as in a workflow. The first step that does not end with 0 ends the
chain with its exit code; run again, the steps that are done find it so and pass in an instant.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from steps import contract


def run_chain(names: Sequence[str], environ: Mapping[str, str], outputs: Path) -> int:
    """Run the steps; the exit code of the last that ran. Every step's outputs lie in the folder `outputs`."""
    settings = dict(environ) | {"OUTPUTS_FOLDER": str(outputs)}
    stops = _Stops()
    for name in names:
        if stops.number:
            return 128 + stops.number
        contract.log(f"-- {name}")
        code = stops.wait_for(subprocess.Popen([sys.executable, "-m", f"steps.{name}"], env=settings))
        if code != contract.DONE:
            return code
        settings |= {path.name.upper(): path.read_text() for path in outputs.iterdir()}
    return contract.DONE


class _Stops:
    """The signal that told the chain to stop, handed to the step that runs; it may come between two steps as well."""

    def __init__(self) -> None:
        self.number = 0
        self._child: subprocess.Popen[bytes] | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)

    def wait_for(self, child: subprocess.Popen[bytes]) -> int:
        """The exit code of a step, 128 + N where signal N ended it."""
        self._child = child
        if self.number:
            child.send_signal(self.number)
        code = child.wait()
        self._child = None
        return code if code >= 0 else 128 - code

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        self.number = number
        if self._child:
            self._child.send_signal(number)


def main(arguments: Sequence[str]) -> int:
    """The command line: names of steps."""
    if not arguments:
        contract.log("usage: python -m steps.chain STEP [STEP ...]")
        return contract.BAD_INPUT
    folder = os.environ.get("OUTPUTS_FOLDER")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        return run_chain(arguments, os.environ, Path(folder))
    with tempfile.TemporaryDirectory() as temporary:
        return run_chain(arguments, os.environ, Path(temporary))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
