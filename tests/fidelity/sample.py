"""Runs a random sample of workflows through the controller and the local runner, tells where they differ, and records it.

    KUBECONFIG=... python -m tests.fidelity.sample FIRST COUNT [FILE]

The workflows are those of the seeds FIRST, FIRST + 1, ... FILE gets one line of JSON for each: the workflow, and the controller's outcome.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from pipelines import local
from tests.fidelity import generator, outcome
from tests.fidelity.controller import Cluster

_SHOWN, _WIDTH = 4, 300


def locally(workflow: Mapping[str, Any], workspace: Path) -> outcome.Outcome:
    """The outcome of a workflow on this machine; its phase is Refused where it is not begun."""
    try:
        return outcome.of(local.run(workflow, workspace=workspace, display=local.Quiet()).status)
    except local.RefusedWorkflow as refused:
        return {"phase": "Refused", "message": "; ".join(str(problem) for problem in refused.problems), "nodes": {}}


def compared(expected: outcome.Outcome, got: outcome.Outcome) -> list[str]:
    """How two outcomes differ.

    What the controller does not begin, or does not bring to a good end, may be refused here. What it never ends tells nothing: at
    times it forgets a workflow whose nested retries all end in one look at it.
    """
    refused = got["phase"] == "Refused" and expected["phase"] != "Succeeded"
    if refused or expected["phase"] not in outcome.ENDED:
        return []
    return outcome.differences(expected, got)


def main() -> int:
    """Compare, print, record."""
    first, count = int(sys.argv[1]), int(sys.argv[2])
    workflows = [generator.workflow(seed) for seed in range(first, first + count)]
    recorded: list[dict[str, Any]] = []
    with Cluster(f"fidelity-{uuid.uuid4().hex[:6]}") as cluster, _file() as file:
        for workflow, status in cluster.run(workflows):
            recorded.append({"workflow": workflow, "outcome": outcome.of(status)})
            file.write(json.dumps(recorded[-1], ensure_ascii=False) + "\n")
    different = sum(_tell(one["workflow"], one["outcome"]) for one in recorded)
    print(f"{different} of {count} differ")
    return int(bool(different))


def _file() -> TextIO:
    return open(sys.argv[3], "w", buffering=1) if len(sys.argv) > 3 else io.StringIO()


def _tell(workflow: dict[str, Any], expected: outcome.Outcome) -> bool:
    """Print how the outcome here differs from the one expected."""
    with tempfile.TemporaryDirectory() as folder:
        found = compared(expected, locally(workflow, Path(folder)))
    for line in found[:_SHOWN]:
        print(f"{workflow['metadata']['name']}: {line[:_WIDTH]}", flush=True)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
