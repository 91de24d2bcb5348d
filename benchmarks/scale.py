"""A loop of many steps that do nothing, on the local runner: seconds and memory for each, at the beginning and at the end of the loop.

    python benchmarks/scale.py [STEPS]

Beside it, in the same run, as many bare starts of the same command, one after another.
"""

from __future__ import annotations

import os
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from pipelines import local

TRUE = shutil.which("true") or "/bin/true"
PART = 10


class Ends(local.Quiet):
    """When each pod has ended, and how much memory the runner held then."""

    def __init__(self) -> None:
        self.moments: list[float] = []
        self.kilobytes: list[int] = []

    def changed(self, node: dict[str, Any]) -> None:
        if node["type"] == "Pod" and node["phase"] == "Succeeded":
            self.moments.append(time.monotonic())
            self.kilobytes.append(_held())


def _held() -> int:
    """Memory of this process now, in KiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 1024


def workflow(steps: int) -> dict[str, Any]:
    """The loop."""
    loop = {"name": "a", "template": "nothing", "withSequence": {"count": steps}}
    nothing = {"name": "nothing", "container": {"image": "none", "command": [TRUE]}}
    spec = {"entrypoint": "main", "parallelism": 50, "templates": [{"name": "main", "steps": [[loop]]}, nothing]}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "scale"}, "spec": spec}


def bare(count: int) -> float:
    """Seconds that bare starts of the same command take."""
    began = time.monotonic()
    for _ in range(count):
        os.waitpid(os.posix_spawn(TRUE, [TRUE], os.environ), 0)
    return time.monotonic() - began


def main() -> int:
    """Measure and print."""
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    ends = Ends()
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        outcome = local.run(workflow(steps), workspace=Path(folder), display=ends)
        took = time.monotonic() - began
    if outcome.phase != "Succeeded":
        raise SystemExit(f"{outcome.phase}: {outcome.status.get('message')}")
    alone = bare(steps)
    part = max(1, steps // PART)
    first = (ends.moments[part - 1] - began) / part
    last = (ends.moments[-1] - ends.moments[-part - 1]) / part
    grown = (ends.kilobytes[-1] - ends.kilobytes[0]) / steps
    each, start = _ms(took / steps), _ms(alone / steps)
    print(f"{steps} steps in {took:.1f} s: {each} each, {took / alone:.1f} times a bare start ({start})")
    print(f"the first {part}: {_ms(first)} each, the last {part}: {_ms(last)} each ({last / first:.2f} of it)")
    print(f"memory: {_mib(ends.kilobytes[0])} at the first end, {_mib(ends.kilobytes[-1])} at the last: {grown:.1f} KiB a step")
    return 0


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"


def _mib(kilobytes: int) -> str:
    return f"{kilobytes / 1024:.0f} MiB"


if __name__ == "__main__":
    sys.exit(main())
