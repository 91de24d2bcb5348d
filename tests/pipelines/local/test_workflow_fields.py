"""Fields of the workflow itself: labels made by expressions, shutdown, suspend; and the annotation that names a node."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pipelines import local


def test_labels_are_made_by_expressions(shapes: Any, run: Any, node: Any, log: Any) -> None:
    labels = {"up": {"expression": "workflow.parameters.p + '-' + workflow.name"}}
    say = shapes.shell("main", "echo {{workflow.labels.up}} {{workflow.labels.x}}")
    outcome = run(shapes.workflow(say, arguments=shapes.arguments(p="q"), workflowMetadata={"labels": {"x": "y"}, "labelsFrom": labels}))
    assert log(outcome, node(outcome, "")) == "q-wf y\n"


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("1 + 2", 'failed to evaluate label "m" expression "1 + 2" evaluted to int but must be a string'),
        ("'a b'", 'invalid label value "a b" for label "m" and expression "\'a b\'"'),
        ("workflow.parameters.none + 'x'", 'failed to evaluate label "m" expression "workflow.parameters.none + \'x\'": '),
    ],
)
def test_a_label_that_is_none_is_an_error(shapes: Any, run: Any, expression: str, message: str) -> None:
    flow = shapes.workflow(shapes.shell("main", "true"), workflowMetadata={"labelsFrom": {"m": {"expression": expression}}})
    outcome = run(flow)
    assert (outcome.phase, outcome.status["message"].startswith(message), outcome.status["nodes"]) == ("Error", True, {})


@pytest.mark.parametrize(
    ("strategy", "exits"), [("Stop", {"onExit": ("Succeeded", None)}), ("Terminate", {})]
)  # as the controller ends them
def test_a_workflow_that_is_shut_down_runs_its_exit_handler_or_nothing(shapes: Any, run: Any, strategy: str, exits: dict[str, Any]) -> None:
    flow = shapes.workflow(
        shapes.steps("main", [{"name": "a", "template": "say"}, {"name": "b", "template": "wait"}]),
        shapes.shell("say", "true"),
        {"name": "wait", "suspend": {}},
        onExit="say",
        shutdown=strategy,
    )
    outcome = run(flow)
    told = {one["name"].removeprefix("wf").lstrip("."): (one["phase"], one.get("message")) for one in outcome.status["nodes"].values()}
    failed = f"child '{next(one['id'] for one in outcome.status['nodes'].values() if one['name'] == 'wf[0].a')}' failed"
    assert (outcome.phase, outcome.status["message"]) == ("Failed", f"Stopped with strategy '{strategy}'")
    assert told == {
        "": ("Failed", failed),
        "[0]": ("Failed", failed),
        "[0].a": ("Failed", f"workflow shutdown with strategy: {strategy}"),
        "[0].b": ("Failed", f"Stopped with strategy '{strategy}'"),
        **exits,
    }


def test_a_shutdown_ends_retries_and_dags(shapes: Any, run: Any) -> None:
    """As the controller's source has it: a DAG fails whatever its tasks are, and nothing is tried again."""
    flow = shapes.workflow(
        shapes.dag("main", {"name": "r", "template": "again", "continueOn": {"failed": True}}),
        shapes.shell("again", "true", retryStrategy={"limit": 3}),
        shutdown="Terminate",
    )
    outcome = run(flow)
    told = {one["name"]: (one["phase"], one.get("message")) for one in outcome.status["nodes"].values()}
    assert told == {
        "wf": ("Failed", None),
        "wf.r": ("Failed", "Stopped with strategy 'Terminate'"),
        "wf.r(0)": ("Failed", "workflow shutdown with strategy: Terminate"),
    }


def test_the_duration_so_far_is_a_variable(shapes: Any, run: Any, node: Any, log: Any) -> None:
    say = shapes.shell("say", "echo {{workflow.duration}}")
    outcome = run(shapes.workflow(shapes.shell("main", "sleep 0.1"), say, onExit="say"))
    told = log(outcome, node(outcome, "onExit")).strip()
    assert float(told) > 0.1
    assert len(told.partition(".")[2]) == 6


def test_a_workflow_that_begins_suspended_is_resumed(shapes: Any, run: Any, tmp_path: Path) -> None:
    workspace, told = tmp_path / "workspace", []

    def person() -> None:
        until = time.monotonic() + 60
        while not told and time.monotonic() < until:
            if list(workspace.glob("runs/*/status.json")):
                told.append((local.read_status(next(workspace.glob("runs/wf-*")))["nodes"], local.resume(workspace, "", {})[1]))
            time.sleep(0.05)

    speaking = threading.Thread(target=person)
    speaking.start()
    outcome = run(shapes.workflow(shapes.shell("main", "true"), suspend=True))
    speaking.join()
    assert (outcome.phase, told) == ("Succeeded", [({}, ["wf"])])


def test_an_annotation_names_a_node(shapes: Any, run: Any, node: Any) -> None:
    note = {"workflows.argoproj.io/display-name": "says-{{inputs.parameters.x}}"}
    step = {"name": "a", "template": "say", "withItems": ["1", "2"], "arguments": shapes.arguments(x="{{item}}")}
    say = shapes.shell("say", "true", inputs=shapes.inputs("x"), annotations=note, retryStrategy={"limit": 1})
    outcome = run(shapes.workflow(shapes.steps("main", [step]), say))
    shown = {name: node(outcome, name)["displayName"] for name in ("[0].a(0:1)", "[0].a(1:2)", "[0].a(0:1)(0)")}
    assert shown == {"[0].a(0:1)": "says-1", "[0].a(1:2)": "says-2", "[0].a(0:1)(0)": "a(0:1)(0)"}


def test_variables_of_the_workflow_s_own_fields(shapes: Any, run: Any, node: Any, log: Any) -> None:
    say = shapes.shell("main", "echo {{workflow.priority}} {{workflow.serviceAccountName}} {{workflow.name}}")
    flow = shapes.workflow(say, priority=5, serviceAccountName="someone", arguments={"parameters": [{"name": "p", "value": "1"}]})
    flow["spec"]["arguments"]["parameters"][0]["description"] = "what p is"
    flow["metadata"] = {"generateName": "made-"}
    outcome = run(flow)
    [found] = outcome.status["nodes"].values()
    priority, account, name = log(outcome, found).split()
    assert (priority, account, name) == ("5", "someone", outcome.folder.name)
    assert name.startswith("made-")


def test_a_claim_of_the_workflow_is_a_folder_that_its_steps_share(shapes: Any, run: Any) -> None:
    mounts = {"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}
    write, read = shapes.shell("write", "echo > /shared/here"), shapes.shell("read", "[ -e /shared/here ]")
    write["container"] |= mounts
    read["container"] |= mounts
    claims = [{"metadata": {"name": "shared"}, "spec": {"accessModes": ["ReadWriteMany"]}}]
    steps = [[{"name": name, "template": name}] for name in ("write", "read")]
    assert run(shapes.workflow(shapes.steps("main", *steps), write, read, volumeClaimTemplates=claims)).phase == "Succeeded"


def test_variables_come_from_a_whole_config_map(shapes: Any, run: Any, node: Any, log: Any) -> None:
    main = shapes.shell("main", "echo $X_a")
    main["container"]["envFrom"] = [{"configMapRef": {"name": "settings"}, "prefix": "X_"}]
    settings = {"kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": "b"}}
    outcome = run(shapes.workflow(main), objects=[settings])
    assert log(outcome, node(outcome, "")) == "b\n"
