"""Training as a plain Pod: the same settings as on Argo, with values that need no Argo."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from pipelines import build, train
from pipelines.parameters import PARAMETERS

COMMITTED = Path(__file__).parents[3] / "kustomize" / "single-node" / "pod.yaml"


def text() -> str:
    return build.pod_yaml(train.training_pod())


def training_pod() -> dict[str, Any]:
    return dict(yaml.safe_load(text()))


def environment() -> dict[str, Any]:
    return {row["name"]: row.get("value", row.get("valueFrom")) for row in training_pod()["spec"]["containers"][0]["env"]}


def test_the_committed_file_is_what_the_definition_compiles_to() -> None:
    assert COMMITTED.read_text() == text(), "stale: `make compile` writes it"


def test_every_setting_has_the_default_of_the_table_or_follows_from_the_pod() -> None:
    of_table = {name: value for name, value in environment().items() if name in PARAMETERS and name != "CHECKPOINT_DIR"}
    assert of_table == {name: PARAMETERS[name].default for name in of_table}
    assert {"DATA_URL", "STEPS", "TARGET_ACCURACY", "RETRY_LIMIT", "RESTART_LIMIT", "OUTPUT_DIR", "USER_NAME"} <= of_table.keys()
    assert environment()["WORKFLOW_UID"] == {"fieldRef": {"fieldPath": "metadata.uid"}}
    assert environment()["CHECKPOINT_DIR"] == "$(OUTPUT_DIR)"
    assert "{{" not in text()


def test_a_reference_stands_behind_what_it_refers_to() -> None:
    """The kubelet fills in only what stands before."""
    names = list(environment())
    references = [(name, found) for name, value in environment().items() for found in re.findall(r"\$\((\w+)\)", str(value))]
    assert references
    assert [pair for pair in references if names.index(pair[0]) < names.index(pair[1])] == []


def test_it_starts_its_steps_again_by_itself_and_the_cluster_does_not() -> None:
    spec = training_pod()["spec"]
    assert training_pod()["metadata"]["name"] == "training"
    assert spec["containers"][0]["command"] == ["python", "-m", "steps.alone", "download", "prepare", "train", "export", "validate"]
    assert (spec["restartPolicy"], spec["automountServiceAccountToken"]) == ("Never", False)
