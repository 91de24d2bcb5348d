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
    for name in names:
        contract.log(f"-- {name}")
        code = _run_step(name, settings)
        if code != contract.DONE:
            return code
        settings |= {path.name.upper(): path.read_text() for path in outputs.iterdir()}
    return contract.DONE


def _run_step(name: str, environ: Mapping[str, str]) -> int:
    with subprocess.Popen([sys.executable, "-m", f"steps.{name}"], env=environ) as child:

        def forward(number: int, _frame: FrameType | None) -> None:
            child.send_signal(number)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, forward)
        code = child.wait()
    return code if code >= 0 else 128 - code


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
