"""Resource templates: on the cluster of KUBECONFIG, in a namespace of the test's own; and what is refused without one."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from pipelines import local
from pipelines.language import selectors
from pipelines.language.errors import EvaluationError

OBJECT = {"status": {"phase": "Running", "succeeded": 3, "ready": True, "list": [{"a": "x"}]}, "metadata": {"name": "n"}}


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("status.succeeded > 2", True),
        ("status.succeeded > 3", False),
        ("status.succeeded < 4,status.phase = Running", True),
        ("status.phase == Running, status.succeeded < 3", False),
        ("status.phase in (Failed, Running)", True),
        ("status.phase notin (Failed,Running)", False),
        ("status.gone notin (x)", True),
        ("status.phase != Failed", True),
        ("status.gone != Failed", True),
        ("status.gone > 1", False),
        ("status.phase > 1", False),
        ("status.ready == true", True),
        ("status.list.0.a == x", True),
        ("status.list.1.a == x", False),
        ("status.phase", True),
        ("!status.phase", False),
        ("!status.gone", True),
        ("", True),
    ],
)
def test_conditions_on_an_object(condition: str, holds: bool) -> None:
    assert all(one.holds(OBJECT) for one in selectors.parsed(condition)) is holds


@pytest.mark.parametrize("text", ["status.phase = = x", "status.succeeded > x", "a in x", "= b", "a == b c"])
def test_what_is_no_condition(text: str) -> None:
    with pytest.raises(EvaluationError):
        selectors.parsed(text)


def _resource(name: str, outputs: dict[str, dict[str, Any]] | None = None, **fields: Any) -> dict[str, Any]:
    rows = [{"name": key, "valueFrom": value} for key, value in (outputs or {}).items()]
    return {"name": name, "resource": fields, **({"outputs": {"parameters": rows}} if rows else {})}


@pytest.mark.parametrize(
    ("fields", "outputs", "expected"),
    [
        ({"action": "get"}, {}, ".resource: it needs a cluster: set KUBECONFIG, and have kubectl on PATH"),
        ({"action": "make"}, {}, ".resource.action: expected one of get, create, apply, delete, replace, patch, got 'make'"),
        ({"action": "patch", "mergeStrategy": "x"}, {}, ".resource.mergeStrategy: expected one of strategic, merge, json, got 'x'"),
        ({"action": "get", "successCondition": "a > b"}, {}, ".resource.successCondition: 'a > b': > compares whole numbers"),
        ({"action": "get"}, {"o": {"path": "/x"}}, ".outputs.parameters[0].valueFrom: of a resource, an output needs a jsonPath"),
    ],
)
def test_what_is_refused(
    shapes: Any, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], outputs: dict[str, Any], expected: str
) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    told = [str(problem) for problem in local.problems(shapes.workflow(_resource("main", outputs, **fields)))]
    assert any(line.startswith(f"spec.templates[0]{expected}") for line in told), told


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    """A namespace that is deleted at the end."""
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("KUBECONFIG names no cluster")
    name = f"local-runner-{uuid.uuid4().hex[:8]}"
    subprocess.run(["kubectl", "create", "namespace", name], check=True, timeout=60, capture_output=True)
    yield name
    subprocess.run(["kubectl", "delete", "namespace", name, "--wait=false"], check=True, timeout=60, capture_output=True)


MADE = """
apiVersion: v1
kind: ConfigMap
metadata: {name: made, namespace: "{{workflow.parameters.namespace}}", labels: {a: b}}
data: {number: "3", text: "x\\n\\n"}
"""


@pytest.mark.e2e
def test_resources_of_a_cluster(shapes: Any, run: Any, node: Any, phases: Any, namespace: str) -> None:
    """The expected phases, messages and outputs are those of Argo 4.0.7 for the same workflow."""
    mine = ["-n", "{{workflow.parameters.namespace}}"]
    made = [*mine, "configmap", "made"]
    get = {"action": "get", "flags": [*mine, "configmap", "absent"]}
    shown = {"name": {"jsonPath": "{.metadata.name}"}, "text": {"jsonPath": "{.data.text}"}}
    patched = "- {op: replace, path: /data/number, value: '7'}"
    manifest = {"name": "file", "path": "/file", "raw": {"data": MADE.replace("name: made", "name: other")}}
    flow = shapes.workflow(
        shapes.steps(
            "main",
            [{"name": "create", "template": "create"}],
            [
                {"name": one, "template": one, "continueOn": {"failed": True}}
                for one in ("again", "patch", "absent", "gone", "delete-waits", "list", "from")
            ],
            [{"name": "fails", "template": "fails", "continueOn": {"failed": True}}],
            [{"name": "json", "template": "json"}],
            [{"name": "apply", "template": "apply"}],
            [{"name": "delete", "template": "delete"}],
        ),
        _resource(
            "create",
            {**shown, "data": {"jqFilter": ".data"}, "two": {"jqFilter": ".data.number, .kind"}},
            action="create",
            manifest=MADE,
            setOwnerReference=True,
            successCondition="data.number < 4",
        ),
        _resource("again", action="create", manifest=MADE),
        _resource(
            "patch",
            {"n": {"jsonPath": "{.data.number}"}, "missing": {"jsonPath": "{.data.nothing}", "default": "d"}},
            action="patch",
            manifest=MADE.replace('"3"', '"5"'),
        ),
        _resource("fails", action="get", successCondition="data.number > 10", failureCondition="data.number == 5", flags=made),
        _resource("json", {"n": {"jsonPath": "{.data.number}"}}, action="patch", mergeStrategy="json", flags=made, manifest=patched),
        _resource(
            "absent",
            {"n": {"jsonPath": "{.data.n}", "default": "none"}, "m": {"jsonPath": "{.data.m}"}},
            **{**get, "flags": [*get["flags"], "--ignore-not-found"]},
        ),
        _resource("gone", **get),
        _resource("list", action="get", flags=[*mine, "configmaps"]),
        _resource("delete-waits", action="delete", successCondition="a == b", flags=[*mine, "configmap", "absent"]),
        {
            **_resource("from", {"name": {"jsonPath": "{.metadata.name}"}}, action="create"),
            "inputs": {"artifacts": [manifest]},
        },
        _resource("apply", {"n": {"jsonPath": "{.data.number}"}}, action="apply", manifest=MADE),
        _resource("delete", action="delete", flags=made),
        arguments=shapes.arguments(namespace=namespace),
        activeDeadlineSeconds=120,
    )
    flow["spec"]["templates"][10]["resource"]["manifestFrom"] = {"artifact": {"name": "file"}}
    outcome = run(flow)
    found = {name.partition(".")[2]: phase for name, phase in phases(outcome).items()}
    failed = {name for name, phase in found.items() if phase != "Succeeded"}
    assert (outcome.phase, failed) == ("Succeeded", {"again", "gone", "list", "delete-waits", "fails"}), outcome.status

    def told(name: str) -> tuple[Any, Any]:
        one = node(outcome, name)
        rows = (one.get("outputs") or {}).get("parameters") or []
        return one.get("message"), {row["name"]: row["value"] for row in rows} or one["outputs"]["exitCode"]

    own = "main: Error (exit code 64): "
    assert told("[0].create") == (None, {"name": "made", "text": "x\n\n", "data": '{"number":"3","text":"x\\n\\n"}', "two": "3\nConfigMap"})
    assert told("[1].patch") == (None, {"n": "5", "missing": ""})
    assert told("[1].absent") == (None, {"n": "none", "m": ""})
    assert told("[1].from") == (None, {"name": "other"})
    assert told("[1].gone") == (f'{own}no more retries Error from server (NotFound): configmaps "absent" not found', "64")
    assert told("[1].list") == (f"{own}Kind and name are both required but at least one of them is missing from the manifest", "64")
    assert told("[2].fails") == (f"{own}failure condition '{{data.number == [5]}}' evaluated true", "64")
    assert told("[3].json") == (None, {"n": "7"})
    assert told("[4].apply") == (None, {"n": "3"})
    assert told("[1].delete-waits") == (
        f"{own}successCondition, failureCondition and outputs are not supported for delete action",
        "64",
    )


@pytest.mark.e2e
def test_a_condition_that_never_comes_true_ends_at_the_deadline(shapes: Any, run: Any, node: Any, namespace: str) -> None:
    waits = _resource("main", action="get", flags=["namespace", namespace], successCondition="status.phase == Never")
    found = node(run(shapes.workflow({**waits, "activeDeadlineSeconds": 1})), "")
    assert (found["phase"], found["message"]) == ("Failed", "Pod was active on the node longer than the specified deadline")
