"""The command that goes back on a cluster, as far as it needs none: what it reads, and what it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines import build, cluster
from steps import contract

ROOT = Path(__file__).parents[2]


def overlay(folder: Path, text: str) -> Path:
    (folder / "kustomization.yaml").write_text(text)
    (folder / "site.env").touch()
    return folder


def test_an_overlay_says_its_namespace(tmp_path: Path) -> None:
    assert cluster.namespace_of(overlay(tmp_path, "resources: [../base]\nnamespace: mine\n")) == "mine"


@pytest.mark.parametrize("text", ["resources: []", "", "[]", "namespace: 5", "namespace: [", "namespace: ''"])
def test_an_overlay_without_a_namespace_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(contract.BadInput, match=r"kustomization\.yaml: expected a"):
        cluster.namespace_of(overlay(tmp_path, text))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"MODEL_NAM": "m"}, "did you mean MODEL_NAME"),
        ({"STEPS": "5"}, "-p STEPS: expected a parameter of the workflow template rollback (MODEL_NAME, "),
        ({"ROLLBACK_VERSION": "two"}, "ROLLBACK_VERSION: expected a whole number, 1 or more, or nothing, got 'two'"),
    ],
)
def test_parameters_that_are_refused(given: dict[str, str], message: str) -> None:
    template = yaml.safe_load(build.compile_named("rollback", "WorkflowTemplate"))
    with pytest.raises(contract.BadInput) as error:
        cluster.check_parameters(template, given)
    assert message in str(error.value)
    cluster.check_parameters(template, {"MODEL_NAME": "m", "ROLLBACK_VERSION": "", "USER_NAME": "u"})


def status(phase: str, **outputs: Any) -> dict[str, Any]:
    node = {"type": "Pod", "phase": phase, "finishedAt": "2030-01-01T00:00:00Z", "outputs": outputs}
    return {"phase": phase, "nodes": {"a": node}}


@pytest.mark.parametrize(
    ("ended", "code"),
    [
        (status("Succeeded"), 0),
        (status("Failed", exitCode="2"), 2),
        (status("Failed", exitCode="138"), 138),
        (status("Error"), 1),
        ({"phase": "Error", "message": "no such template"}, 1),
    ],
)
def test_the_exit_code_is_that_of_the_step(ended: dict[str, Any], code: int) -> None:
    assert cluster.exit_code(ended) == code


def test_what_serves_is_what_the_step_put_out() -> None:
    rows = [{"name": "version", "value": "3"}, {"name": "address", "value": "m.place.svc:8500"}]
    assert cluster.what_serves(status("Succeeded", parameters=rows)) == "version 3 serves at m.place.svc:8500"


@pytest.mark.parametrize(
    ("file", "message"), [(None, "KUBECONFIG: expected a file that names a cluster"), ("unreachable", "does not answer")]
)
def test_without_a_cluster_it_says_so(tmp_path: Path, file: str | None, message: str) -> None:
    config = tmp_path / "config"
    if file:
        config.write_text(
            "{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}],"
            " clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}], users: [{name: u, user: {token: t}}]}"
        )
    words = [sys.executable, "-m", "pipelines", "rollback", str(overlay(tmp_path, "namespace: mine"))]
    environment = os.environ | {"KUBECONFIG": str(config)}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode in (2, 138), message in done.stderr, "Traceback" in done.stderr) == (True, True, False), done.stderr
