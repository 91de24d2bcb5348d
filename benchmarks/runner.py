"""What the local runner adds to each step: a loop of no-op steps, beside bare process starts of the same command.

    python benchmarks/runner.py [--steps 500]

Prints the time of both, the overhead of a step in milliseconds (aim: under 30) and the ratio to the bare start.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pipelines import local

_COMMAND = ["true"]
_AIM_MS = 30.0


def workflow(steps: int, parallelism: int) -> dict[str, object]:
    """A loop of steps that do nothing."""
    loop = {"name": "step", "template": "nothing", "withSequence": {"count": steps}}
    templates = [{"name": "main", "steps": [[loop]]}, {"name": "nothing", "container": {"image": "none", "command": _COMMAND}}]
    spec = {"entrypoint": "main", "parallelism": parallelism, "templates": templates}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "no-op"}, "spec": spec}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=500, help="no-op steps in the loop")
    steps = parser.parse_args().steps
    bare_s = _bare(steps)
    with tempfile.TemporaryDirectory() as folder:
        one_s = _run(steps, 1, Path(folder, "one"))
        eight_s = _run(steps, 8, Path(folder, "eight"))
    overhead_ms = (one_s - bare_s) / steps * 1000
    print(f"bare starts of `{_COMMAND[0]}`, one after another: {bare_s:.2f} s, {bare_s / steps * 1000:.2f} ms each")
    print(f"steps one after another:                {one_s:.2f} s, {one_s / steps * 1000:.2f} ms each")
    print(f"steps, eight side by side:              {eight_s:.2f} s, {eight_s / steps * 1000:.2f} ms each")
    print(f"overhead of a step: {overhead_ms:.2f} ms beside the process start itself (aim: under {_AIM_MS:.0f})")
    print(f"ratio to the bare start: {one_s / bare_s:.1f}")


def _bare(steps: int) -> float:
    begun = time.perf_counter()
    for _ in range(steps):
        subprocess.run(_COMMAND, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
    return time.perf_counter() - begun


def _run(steps: int, parallelism: int, workspace: Path) -> float:
    begun = time.perf_counter()
    outcome = local.run(workflow(steps, parallelism), workspace=workspace, display=local.Quiet())
    if outcome.phase != "Succeeded":
        sys.exit(f"the workflow ended {outcome.phase}: {outcome.status.get('message')}")
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
