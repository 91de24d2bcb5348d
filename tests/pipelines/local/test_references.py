"""Templates of other objects: templateRef, workflowTemplateRef, CronWorkflow, found among the files that are given."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines import local

ROOT = Path(__file__).parents[3]


def _library(shapes: Any, *templates: dict[str, Any], kind: str = "WorkflowTemplate", name: str = "library", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": {"templates": list(templates), **spec}}


def _calling(shapes: Any, template: str, **more: Any) -> dict[str, Any]:
    reference = {"name": "library", "template": template, **more}
    step = {"name": "a", "templateRef": reference, "arguments": shapes.arguments(x="hi")}
    flow: dict[str, Any] = shapes.workflow(shapes.steps("main", [step]), shapes.shell("say", "echo mine"))
    return flow


@pytest.mark.parametrize(("kind", "more"), [("WorkflowTemplate", {}), ("ClusterWorkflowTemplate", {"clusterScope": True})])
def test_a_template_of_another_object_calls_its_own_neighbours(
    shapes: Any, run: Any, node: Any, log: Any, kind: str, more: dict[str, Any]
) -> None:
    inner = {"name": "b", "template": "say", "arguments": shapes.arguments(x="{{inputs.parameters.x}} {{workflow.name}}")}
    library = _library(
        shapes,
        shapes.steps("outer", [inner], inputs=shapes.inputs("x")),
        shapes.shell("say", "echo library {{inputs.parameters.x}}", inputs=shapes.inputs("x")),
        kind=kind,
    )
    outcome = run(_calling(shapes, "outer", **more), objects=[library])
    said = node(outcome, "[0].a[0].b")
    assert outcome.phase == "Succeeded"
    assert log(outcome, said) == "library hi wf\n"
    assert said["templateName"] == "say"
    assert node(outcome, "[0].a")["templateRef"] == {"name": "library", "template": "outer", **more}


def test_a_referenced_template_may_call_itself(shapes: Any, run: Any, phases: Any) -> None:
    again = {"name": "again", "template": "flip", "when": "{{inputs.parameters.x}} != done", "arguments": shapes.arguments(x="done")}
    outcome = run(_calling(shapes, "flip"), objects=[_library(shapes, shapes.steps("flip", [again], inputs=shapes.inputs("x")))])
    assert phases(outcome)["[0].a[0].again"] == "Succeeded"
    assert phases(outcome)["[0].a[0].again[0].again"] == "Skipped"


def test_a_workflow_made_of_a_template_sets_its_arguments(shapes: Any, run: Any, node: Any, log: Any) -> None:
    library = _library(
        shapes,
        shapes.shell("say", "echo {{workflow.parameters.x}} {{workflow.parameters.y}}"),
        entrypoint="say",
        arguments=shapes.arguments(x="template's", y="kept"),
    )
    spec = {"workflowTemplateRef": {"name": "library"}, "arguments": shapes.arguments(x="mine")}
    flow = {"kind": "Workflow", "metadata": {"name": "wf"}, "spec": spec}
    outcome = run(flow, objects=[library])
    assert log(outcome, node(outcome, "")) == "mine kept\n"
    outcome = run(flow, objects=[library], parameters={"y": "given"})
    assert log(outcome, node(outcome, "")) == "mine given\n"


def test_the_workflow_of_a_cron_workflow_runs_now(shapes: Any, run: Any) -> None:
    inner = shapes.workflow(shapes.shell("main", "echo {{workflow.scheduledTime}} {{workflow.labels.a}}"))["spec"]
    spec = {"schedules": ["0 2 * * *"], "workflowSpec": inner, "workflowMetadata": {"labels": {"a": "b"}}}
    outcome = run({"kind": "CronWorkflow", "metadata": {"name": "nightly"}, "spec": spec})
    (only,) = outcome.status["nodes"].values()
    assert only["name"].startswith("nightly-")
    assert (outcome.folder / "nodes" / only["id"] / "main.log").read_text().rstrip().endswith("Z b")


@pytest.mark.parametrize(
    ("template", "library", "expected"),
    [
        ("nobody", {}, "spec.templates[0].steps[0][0].templateRef.template: the WorkflowTemplate library has no template 'nobody'"),
        ("say", {"name": "say", "suspend": {}, "plugin": {"x": {}}}, "WorkflowTemplate library: spec.templates[0].plugin: not supported"),
        ("say", {"name": "say", "container": {"image": "x"}}, "WorkflowTemplate library: spec.templates[0].container.command: the image's"),
        ("say", {"name": "say", "steps": 5}, "WorkflowTemplate library: spec.templates[0].steps: expected a list, got the number 5"),
        ("{{x}}", {}, "spec.templates[0].steps[0][0].templateRef: a reference that is not known before the start"),
    ],
)
def test_what_is_wrong_in_a_referenced_template_is_told_by_its_object(shapes: Any, template: str, library: Any, expected: str) -> None:
    told = [str(problem) for problem in local.problems(_calling(shapes, template), objects=[_library(shapes, library)])]
    assert any(expected in line for line in told), told


def test_the_command_takes_further_files(shapes: Any, tmp_path: Path) -> None:
    (tmp_path / "flow.yaml").write_text(yaml.safe_dump(_calling(shapes, "say")))
    say = shapes.shell("say", "echo {{inputs.parameters.x}}", inputs=shapes.inputs("x"))
    (tmp_path / "library.yaml").write_text(yaml.safe_dump(_library(shapes, say)))
    command = [sys.executable, "-m", "pipelines", "run", "--workspace", str(tmp_path), str(tmp_path / "flow.yaml")]
    alone = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert alone.returncode == 2
    assert "there is no WorkflowTemplate 'library' among the files; name the file that holds it after the workflow's" in alone.stderr
    both = subprocess.run([*command, str(tmp_path / "library.yaml")], cwd=ROOT, capture_output=True, text=True, check=False)
    assert both.returncode == 0, both.stderr
