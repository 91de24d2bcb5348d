"""`python -m pipelines compile NAME -p NAME=VALUE`: a file to submit without an overlay."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import yaml


def compiled(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "pipelines", "compile", "train", *words], capture_output=True, text=True, check=False)


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    """Each leaf of nested data by its path."""
    if not isinstance(value, dict | list):
        return {path: value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return {key: leaf for name, inner in items for key, leaf in leaves(inner, f"{path}/{name}").items()}


@pytest.mark.parametrize("kind", ["Workflow", "WorkflowTemplate"])
def test_values_land_where_an_overlay_puts_them_and_nothing_else_changes(kind: str) -> None:
    given = {"REGISTRY": "registry.example.com/a/b", "IMAGE_SUFFIX": ":2", "USER_ID": "77", "STEPS": "9", "NFS_PATH": "/data"}
    plain = compiled("--kind", kind).stdout
    filled = compiled("--kind", kind, *(word for name, value in given.items() for word in ("-p", f"{name}={value}"))).stdout
    before, after = leaves(yaml.safe_load(plain)), leaves(yaml.safe_load(filled))
    changed = sorted((path.rpartition("/")[2], str(value)) for path, value in after.items() if before.get(path) != value)
    image = ("image", "registry.example.com/a/b/tiphys:2")
    assert changed == [image, ("mountPath", "/data"), ("runAsUser", "77"), ("value", "/data"), ("value", "9")]
    assert before.keys() == after.keys()
    assert plain.splitlines()[0] == filled.splitlines()[0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("STEPS=x", "STEPS: expected a whole number, 1 or more, got 'x'"),
        ("STEP=5", "STEP: no such parameter; did you mean STEPS?"),
        ("REPLICAS=5", "-p REPLICAS: it lands in no field of this pipeline"),
        ("STEPS", "-p STEPS: expected NAME=VALUE"),
    ],
)
def test_what_cannot_land_is_refused(given: str, message: str) -> None:
    done = compiled("-p", given)
    assert (done.returncode, done.stdout, message in done.stderr) == (2, "", True), done.stderr


@pytest.mark.parametrize(("user", "is_not_root"), [("0", False), ("5", True)])
def test_who_asks_for_root_by_name_gets_it(user: str, is_not_root: bool) -> None:
    pod = yaml.safe_load(compiled("-p", f"USER_ID={user}").stdout)["spec"]["securityContext"]
    assert (pod["runAsUser"], pod["runAsNonRoot"]) == (int(user), is_not_root)
