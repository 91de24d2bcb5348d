"""What would run, before the start; and the Workflow object at the end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from pipelines import local

ROOT = Path(__file__).parents[3]


def _flow(shapes: Any) -> dict[str, Any]:
    again = {"name": "again", "template": "inner", "when": "{{steps.c.outputs.result}} == x"}
    flow: dict[str, Any] = shapes.workflow(
        shapes.steps(
            "main",
            [
                {"name": "a", "template": "say", "when": "{{workflow.parameters.P}} == 1"},
                {
                    "name": "b",
                    "template": "inner",
                    "when": "{{workflow.parameters.P}} == 2",
                    "arguments": shapes.arguments(x="{{workflow.parameters.P}}"),
                },
                {"name": "inner", "template": "inner", "withItems": [1, 2], "arguments": shapes.arguments(x="{{workflow.parameters.P}}")},
            ],
        ),
        shapes.steps(
            "inner", [{"name": "c", "template": "say", "when": "{{inputs.parameters.x}} > 0"}], [again], inputs=shapes.inputs(x="0")
        ),
        shapes.dag("graph", {"name": "one", "template": "say"}, {"name": "two", "template": "say", "depends": "one.Failed"}),
        shapes.shell("say", "echo said"),
        arguments=shapes.arguments(P="1"),
        onExit="graph",
    )
    return flow


def _run(tmp_path: Path, flow: dict[str, Any], *arguments: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "flow.yaml").write_text(yaml.safe_dump(flow))
    command = [sys.executable, "-m", "pipelines", "run", str(tmp_path / "flow.yaml"), "--workspace", str(tmp_path / "w"), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_dry_run_tells_what_would_run_and_starts_nothing(shapes: Any, tmp_path: Path) -> None:
    done = _run(tmp_path, _flow(shapes), "--dry-run")
    assert done.stdout.splitlines() == [
        "main (steps)",
        "  a -> say (container, group 1, runs: 1 == 1 is true)",
        "  b -> inner (steps, group 1, skipped: 1 == 2 is false)",
        "  inner (steps, 2 times, group 1)",
        "    c -> say (container, group 1, runs: 1 > 0 is true)",
        "    again -> inner (steps, group 2, when {{steps.c.outputs.result}} == x)",
        "      ... and so on: inner calls itself",
        "at the end -> graph (dag)",
        "  one -> say (container)",
        "  two -> say (container, after one.Failed)",
    ]
    assert not (tmp_path / "w").exists()


def test_the_finished_workflow_is_printed_as_kubectl_prints_it(shapes: Any, tmp_path: Path) -> None:
    flow = _flow(shapes)
    flow["spec"]["templates"][3]["outputs"] = {
        "artifacts": [{"name": "f", "path": "/tmp/f", "optional": True}],
        **shapes.output("o", "/tmp/f"),
    }
    flow["spec"]["templates"][3]["container"]["args"] = ["date -u +%FT%T.5Z > /tmp/f; echo said"]
    done = _run(tmp_path, flow, "--json")
    printed = json.loads(done.stdout)
    assert (done.returncode, printed["status"]["phase"], printed["spec"]) == (0, "Succeeded", flow["spec"])
    assert printed["metadata"]["labels"] == {"workflows.argoproj.io/completed": "true", "workflows.argoproj.io/phase": "Succeeded"}
    assert set(printed["metadata"]) == {"name", "namespace", "uid", "creationTimestamp", "labels"}
    node = next(node for node in printed["status"]["nodes"].values() if node["displayName"] == "a")
    assert node["templateScope"] == "local/wf"
    assert node["outputs"]["artifacts"] == [{"name": "f", "path": "/tmp/f"}]
    assert node["outputs"]["parameters"][0]["value"].endswith(".5Z")
    assert len(node["startedAt"]) == len(printed["status"]["finishedAt"]) == len("2026-01-01T00:00:00Z")


def test_a_node_tells_in_which_object_it_is_called(shapes: Any, run: Any) -> None:
    """As the controller has it: what a reference calls is in the caller's object, what is inside in the one referred to."""
    library = {
        "kind": "WorkflowTemplate",
        "metadata": {"name": "lib"},
        "spec": {
            "templates": [shapes.steps("outer", [{"name": "in", "template": "leaf"}]), shapes.shell("leaf", "true", retryStrategy={})]
        },
    }
    steps = [{"name": name, "templateRef": {"name": "lib", "template": name}} for name in ("outer", "leaf")]
    outcome = run(shapes.workflow(shapes.steps("main", steps)), objects=[library])
    told = local.finished(outcome.folder, outcome.status)["status"]["nodes"].values()
    assert {one["name"]: one["templateScope"] for one in told} == {
        **dict.fromkeys(("wf", "wf[0]", "wf[0].outer", "wf[0].leaf", "wf[0].leaf(0)"), "local/wf"),
        **dict.fromkeys(("wf[0].outer[0]", "wf[0].outer[0].in", "wf[0].outer[0].in(0)"), "namespaced/lib"),
    }
