"""The project's own pipelines: that they compile, to what, and to the same bytes everywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines import build
from pipelines.parameters import PARAMETERS

BASE = Path(__file__).parents[2] / "kustomize" / "base"
NAMES = ["rollback", "train", "train-and-serve"]


def compiled(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load(build.compile_named(name)))


def containers(name: str) -> dict[str, dict[str, Any]]:
    return {found["name"]: found for found in compiled(name)["spec"]["templates"] if "container" in found}


@pytest.mark.parametrize("kind", ["Workflow", "WorkflowTemplate"])
def test_the_same_bytes_whatever_the_hash_seed(kind: str) -> None:
    code = f"from pipelines import build; print(*(build.compile_named(name, {kind!r}) for name in {NAMES}))"
    texts = {
        subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True).stdout
        for seed in ("0", "1", "4242")
    }
    assert len(texts) == 1


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_file_is_what_the_definition_compiles_to(name: str) -> None:
    assert (BASE / f"{name}.yaml").read_text() == build.compile_named(name, "WorkflowTemplate"), "stale: `make compile` writes it"


def test_train_and_serve_runs_its_steps_in_the_order_of_the_picture() -> None:
    main = compiled("train-and-serve")["spec"]["templates"][0]["steps"]
    order = ["download", "prepare", "train", "export", "validate", "deploy", "benchmark"]
    assert [[step["name"] for step in parallel] for parallel in main] == [[name] for name in order]
    assert list(containers("train-and-serve")) == order


@pytest.mark.parametrize(
    ("step", "given"),
    [
        ("prepare", {"data": "download"}),
        ("train", {"prepared": "prepare"}),
        ("export", {"prepared": "prepare", "checkpoints": "train"}),
        ("validate", {"candidate": "export", "prepared": "prepare"}),
        ("deploy", {"version": "validate"}),
        ("benchmark", {"prepared": "prepare", "address": "deploy"}),
    ],
)
def test_outputs_feed_the_steps_that_need_them(step: str, given: dict[str, str]) -> None:
    calls = {call["name"]: call for [call] in compiled("train-and-serve")["spec"]["templates"][0]["steps"]}
    fed = {row["name"]: row["value"] for row in calls[step]["arguments"]["parameters"]}
    assert fed == {name: f"{{{{steps.{giver}.outputs.parameters.{name}}}}}" for name, giver in given.items()}


def test_only_training_is_tried_until_the_target_and_only_deploy_has_an_account() -> None:
    found = containers("train-and-serve")
    assert [name for name, step in found.items() if "'3'" in step["retryStrategy"]["expression"]] == ["train"]
    assert [name for name, step in found.items() if "serviceAccountName" in step] == ["deploy"]


def test_training_alone_is_one_container_with_the_settings_of_all_its_steps() -> None:
    [training] = containers("train").values()
    assert training["container"]["command"] == ["python", "-m", "steps.chain", "download", "prepare", "train", "export"]
    of_run = {entry["name"] for entry in training["container"]["env"] if "{{workflow.parameters." in entry["value"]}
    assert {"DATA_URL", "DATA_FORMAT", "TARGET_ACCURACY", "STEPS", "MODEL_DIR", "MODEL_SCRIPT", "CHECKPOINT_DIR", "OUTPUT_DIR"} <= of_run
    assert of_run.isdisjoint({"REPLICAS", "TF_SERVING_PORT", "KEEP_VERSIONS"})
    assert {"accuracy", "attempts", "evidence", "candidate"} <= {output["name"] for output in training["outputs"]["parameters"]}


def test_every_parameter_of_a_run_reaches_train_and_serve_with_its_default() -> None:
    arguments = {row["name"]: row["value"] for row in compiled("train-and-serve")["spec"]["arguments"]["parameters"]}
    assert arguments == {row.name: row.default for row in PARAMETERS.values() if row.set_by == "run" and row.name != "ROLLBACK_VERSION"}


def test_rollback_asks_for_a_model_and_perhaps_a_version_and_waits_for_no_run() -> None:
    spec = compiled("rollback")["spec"]
    assert {row["name"] for row in spec["arguments"]["parameters"]} == {
        "MODEL_NAME", "OUTPUT_DIR", "RESTART_LIMIT", "ROLLBACK_VERSION", "USER_NAME"
    }  # fmt: skip
    [step] = containers("rollback").values()
    assert (step["serviceAccountName"], step["automountServiceAccountToken"]) == ("tiphys-deployer", True)
    assert [output["name"] for output in step["outputs"]["parameters"]] == ["version", "address"]
    assert "synchronization" not in spec
    assert compiled("train-and-serve")["spec"]["synchronization"]


@pytest.mark.parametrize("name", NAMES)
def test_every_value_is_text(name: str) -> None:
    found = [entry["value"] for step in containers(name).values() for entry in step["container"]["env"]]
    found += [row["value"] for row in compiled(name)["spec"]["arguments"]["parameters"]]
    assert [value for value in found if not isinstance(value, str)] == []
