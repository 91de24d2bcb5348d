"""What a step becomes, read from the YAML it compiles to."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.build import DEPLOYER, chain, definition, step, until_target
from pipelines.parameters import PARAMETERS


def template(workflow: dict[str, Any], name: str) -> dict[str, Any]:
    return next(found for found in workflow["spec"]["templates"] if found["name"] == name)


def environment(workflow: dict[str, Any], name: str) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in template(workflow, name)["container"]["env"]}


def arguments(workflow: dict[str, Any]) -> dict[str, str]:
    return {row["name"]: row["value"] for row in workflow["spec"]["arguments"]["parameters"]}


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("STEPS", "{{workflow.parameters.STEPS}}"),
        ("TARGET_ACCURACY", "{{workflow.parameters.TARGET_ACCURACY}}"),
        ("NFS_PATH", "/nfs"),
        ("USER_ID", "1000"),
        ("DATA", "{{inputs.parameters.data}}"),
        ("WORKFLOW_UID", "{{workflow.uid}}"),
    ],
)
def test_a_setting_gets_its_value_from_a_run_a_site_an_output_or_argo(module: Any, compiled: Any, setting: str, value: str) -> None:
    workflow = compiled(step(module("first", outputs="data")), step(module("second", setting)))
    assert environment(workflow, "second")[setting] == value


def test_an_output_reaches_a_later_step_through_its_inputs(module: Any, compiled: Any) -> None:
    workflow = compiled(step(module("first", outputs="data")), step(module("between", outputs="other")), step(module("last", "DATA OTHER")))
    assert template(workflow, "first")["outputs"]["parameters"] == [{"name": "data", "valueFrom": {"path": "/scratch/outputs/data"}}]
    assert template(workflow, "last")["inputs"]["parameters"] == [{"name": "data"}, {"name": "other"}]
    calls = template(workflow, "main")["steps"]
    assert [[call["name"] for call in parallel] for parallel in calls] == [["first"], ["between"], ["last"]]
    assert calls[2][0] == {
        "name": "last",
        "template": "last",
        "arguments": {
            "parameters": [
                {"name": "data", "value": "{{steps.first.outputs.parameters.data}}"},
                {"name": "other", "value": "{{steps.between.outputs.parameters.other}}"},
            ]
        },
    }


def test_only_parameters_that_some_step_uses_become_arguments(module: Any, compiled: Any) -> None:
    workflow = compiled(step(module("only", "STEPS NFS_PATH WORKFLOW_UID")))
    names_of_the_mutex = {"MODEL_NAME": PARAMETERS["MODEL_NAME"].default, "USER_NAME": "tiphys"}
    assert arguments(workflow) == names_of_the_mutex | {"RESTART_LIMIT": "10", "STEPS": "500"}
    described = {row["name"]: row["description"] for row in workflow["spec"]["arguments"]["parameters"]}
    assert described["STEPS"] == PARAMETERS["STEPS"].description


def test_the_command_is_the_module(module: Any, compiled: Any) -> None:
    container = template(compiled(step(module("look_back"))), "look-back")["container"]
    assert container["command"] == ["python", "-m", "steps.look_back"]
    assert container["workingDir"] == "/opt/tiphys"
    assert container["image"] == "docker.io/tiphys"


def test_a_chain_is_one_container_with_what_its_members_do_not_give_each_other(module: Any, compiled: Any) -> None:
    members = [
        module("download", "DATA_URL", "data"),
        module("train", "DATA STEPS", "accuracy checkpoints"),
        module("export", "CHECKPOINTS"),
    ]
    workflow = compiled(step(chain("training", *members), retry=until_target))
    found = template(workflow, "training")
    assert found["container"]["command"] == ["python", "-m", "steps.chain", "download", "train", "export"]
    assert {"DATA_URL", "STEPS"} <= environment(workflow, "training").keys()
    assert environment(workflow, "training").keys().isdisjoint({"DATA", "CHECKPOINTS"})
    assert [output["name"] for output in found["outputs"]["parameters"]] == ["data", "accuracy", "checkpoints"]
    assert "inputs" not in found


def test_a_missed_target_is_tried_again_at_once_within_both_budgets(module: Any, compiled: Any) -> None:
    workflow = compiled(step(module("train"), retry=until_target))
    assert template(workflow, "train")["retryStrategy"] == {
        "limit": "{{=asInt(workflow.parameters['RETRY_LIMIT']) + asInt(workflow.parameters['RESTART_LIMIT'])}}",
        "retryPolicy": "Always",
        "expression": "(lastRetry.exitCode == '3' || lastRetry.exitCode == '-1' || lastRetry.status == 'Error'"
        " || asInt(lastRetry.exitCode) >= 128) && !(lastRetry.message matches 'is invalid: spec|violates PodSecurity')",
        "backoff": {"duration": "2s"},
    }
    assert arguments(workflow).keys() == {"RETRY_LIMIT", "RESTART_LIMIT", "MODEL_NAME", "USER_NAME"}


def test_any_other_step_is_started_again_after_kills_and_faults_only(module: Any, compiled: Any) -> None:
    assert template(compiled(step(module("download"))), "download")["retryStrategy"] == {
        "limit": "{{workflow.parameters.RESTART_LIMIT}}",
        "retryPolicy": "Always",
        "expression": "(lastRetry.exitCode == '-1' || lastRetry.status == 'Error' || asInt(lastRetry.exitCode) >= 128)"
        " && !(lastRetry.message matches 'is invalid: spec|violates PodSecurity')",
        "backoff": {"duration": "5s", "factor": 2, "cap": "120s"},
    }


def test_only_a_step_with_an_account_gets_a_token(module: Any, compiled: Any) -> None:
    workflow = compiled(step(module("train")), step(module("deploy"), account=DEPLOYER))
    assert workflow["spec"]["automountServiceAccountToken"] is False
    assert workflow["spec"]["serviceAccountName"] == workflow["spec"]["executor"]["serviceAccountName"] == "tiphys"
    assert "serviceAccountName" not in template(workflow, "train")
    assert template(workflow, "deploy")["serviceAccountName"] == DEPLOYER
    assert template(workflow, "deploy")["automountServiceAccountToken"] is True


def test_one_run_per_model_and_user_at_a_time(module: Any, compiled: Any) -> None:
    workflow = compiled(step(module("train")))
    mutex = {"name": "{{workflow.parameters.USER_NAME}}.{{workflow.parameters.MODEL_NAME}}"}
    assert workflow["spec"]["synchronization"] == {"mutexes": [mutex]}


def test_pods_fit_a_namespace_that_enforces_restricted(module: Any, compiled: Any) -> None:
    workflow = compiled(step(module("train")))
    pod, container = workflow["spec"]["securityContext"], template(workflow, "train")["container"]["securityContext"]
    assert pod == {
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "runAsGroup": 1000,
        "fsGroup": 1000,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert [volume.keys() - {"name"} for volume in workflow["spec"]["volumes"]] == [{"persistentVolumeClaim"}, {"emptyDir"}]


@pytest.mark.parametrize(
    ("kind", "metadata"),
    [("Workflow", {"generateName": "sample-"}), ("WorkflowTemplate", {"name": "sample"})],
)
def test_both_kinds_hold_the_same_pipeline(module: Any, compiled: Any, kind: str, metadata: dict[str, str]) -> None:
    sample = step(module("only", "STEPS"))
    workflow = compiled(sample, kind=kind)
    assert workflow["kind"] == kind
    assert {key: value for key, value in workflow["metadata"].items() if key != "labels"} == metadata
    assert workflow["spec"] == compiled(sample)["spec"]


def test_a_step_is_a_value(module: Any) -> None:
    only = step(module("only", "STEPS", "accuracy"))
    assert isinstance(only, definition.Step)
    assert (tuple(only.settings), only.outputs) == (("STEPS",), ("accuracy",))
