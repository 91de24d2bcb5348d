"""Steps that wait for a person, who lets them go on from another terminal."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pipelines import local

ROOT = Path(__file__).parents[3]


def _flow(shapes: Any, **valuefrom: Any) -> dict[str, Any]:
    approve = {
        "name": "approve",
        "suspend": {},
        "inputs": {"parameters": [{"name": "ok", "default": "NO", "enum": ["YES", "NO"]}]},
        "outputs": {"parameters": [{"name": "ok", "valueFrom": {"supplied": {}, **valuefrom}}]},
    }
    step = {"name": "go", "template": "say", "arguments": shapes.arguments(x="{{steps.wait.outputs.parameters.ok}}")}
    flow: dict[str, Any] = shapes.workflow(
        shapes.steps("main", [{"name": "wait", "template": "approve"}], [step]),
        approve,
        shapes.shell("say", "echo {{inputs.parameters.x}}", inputs=shapes.inputs("x")),
    )
    return flow


def _command(workspace: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipelines", "resume", "--workspace", str(workspace), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def _waits(workspace: Path) -> bool:
    found = [local.read_status(path.parent)["nodes"].values() for path in workspace.glob("runs/*/run.json")]
    return any(node["type"] == "Suspend" and node["phase"] == "Running" for nodes in found for node in nodes)


def test_a_person_lets_a_step_go_on(shapes: Any, run: Any, node: Any, log: Any, tmp_path: Path) -> None:
    workspace, told = tmp_path / "workspace", []

    def person() -> None:
        until = time.monotonic() + 60
        while not _waits(workspace) and time.monotonic() < until:
            time.sleep(0.05)
        tries = (["nobody"], ["-p", "no=x"], ["-p", "ok=MAYBE"], [], ["wait", "-p", "ok=YES"])
        told.extend(_command(workspace, *arguments) for arguments in tries)

    speaking = threading.Thread(target=person)
    speaking.start()
    outcome = run(_flow(shapes))
    speaking.join()
    assert [(done.returncode, (done.stderr or done.stdout).rpartition(": ")[2].split(" (")[0].strip()) for done in told] == [
        (2, "'nobody' does not wait, but wait"),
        (2, "wait takes no such value, but ok"),
        (2, "expected one of YES, NO, got 'MAYBE'; give it with -p ok=VALUE"),
        (2, "expected one of YES, NO, got None; give it with -p ok=VALUE"),
        (0, "wait goes on"),
    ]
    assert node(outcome, "[0].wait")["outputs"] == {"parameters": [{"name": "ok", "value": "YES"}]}
    assert log(outcome, node(outcome, "[1].go")) == "YES\n"


def test_a_step_ends_with_its_duration_or_the_workflow_s_deadline(shapes: Any, run: Any, node: Any) -> None:
    flow = _flow(shapes, default="NO")
    flow["spec"]["templates"][1]["suspend"] = {"duration": "300ms"}
    assert node(run(flow), "[0].wait")["outputs"]["parameters"][0]["value"] == "NO"
    outcome = run(_flow(shapes) | {"spec": _flow(shapes)["spec"] | {"activeDeadlineSeconds": 1}})
    assert (node(outcome, "[0].wait")["phase"], node(outcome, "[0].wait")["message"]) == ("Failed", "Step exceeded its deadline")


def test_nothing_waits(tmp_path: Path) -> None:
    with pytest.raises(local.RunnerError, match="no run waits for a person"):
        local.resume(tmp_path, "", {})
