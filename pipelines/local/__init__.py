"""Runs any compiled Argo workflow on this machine, with processes in place of pods. Knows Argo, and no project.

    workflow = load(Path("workflow.yaml"))
    outcome = run(workflow, parameters={"message": "hello"}, workspace=Path("workspace"))
    outcome.phase, outcome.status["nodes"], outcome.folder, outcome.exit_code

`problems` tells what keeps a workflow from running, by the paths of its fields; `FIELDS` is the table of what is supported.
The state of a run lies in WORKSPACE/runs/NAME-XXXXX: workflow.yaml (as submitted), status.json (Argo's `.status`),
nodes/ID/main.log. An interrupted or killed run goes on when the same workflow is run with the same parameters; one that has
ended, also one that has failed, is begun anew.
"""

from pipelines.local.display import Display, Lines, Quiet, display_for
from pipelines.local.document import load, load_with
from pipelines.local.errors import (
    BusyWorkspace,
    DamagedRun,
    Problem,
    RefusedWorkflow,
    RunnerError,
    StorageFailed,
    UnreadableWorkflow,
)
from pipelines.local.fields import FIELDS, Field
from pipelines.local.printed import workflow as finished
from pipelines.local.references import whole
from pipelines.local.runner import Run, run
from pipelines.local.runner import outline_of as outline
from pipelines.local.runner import problems_of as problems
from pipelines.local.state import read_status
from pipelines.local.waiting import resume

__all__ = [
    "FIELDS",
    "BusyWorkspace",
    "DamagedRun",
    "Display",
    "Field",
    "Lines",
    "Problem",
    "Quiet",
    "RefusedWorkflow",
    "Run",
    "RunnerError",
    "StorageFailed",
    "UnreadableWorkflow",
    "display_for",
    "finished",
    "load",
    "load_with",
    "outline",
    "problems",
    "read_status",
    "resume",
    "run",
    "whole",
]
