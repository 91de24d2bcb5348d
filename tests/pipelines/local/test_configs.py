"""What ConfigMaps and Secrets among the files give: parameters, variables, files."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines import local

LABELS = {"workflows.argoproj.io/configmap-type": "Parameter"}
CONFIG = {"kind": "ConfigMap", "metadata": {"name": "config", "labels": LABELS}, "data": {"msg": "hello $(A)", "n.txt": "5\n"}}
SECRET = {"kind": "Secret", "metadata": {"name": "secret"}, "data": {"PASSWORD": "czNjcmV0"}, "stringData": {"USER": "me"}}
OBJECTS = [CONFIG, SECRET]


def _reference(key: str, name: str = "config", **more: Any) -> dict[str, Any]:
    return {"valueFrom": {"configMapKeyRef": {"name": name, "key": key}, **more}}


@pytest.mark.parametrize(
    ("arguments", "inputs", "expected"),
    [
        ([{"name": "x", **_reference("msg")}], [{"name": "x"}], "hello $(A)"),
        ([{"name": "x", **_reference("msg"), "value": "own"}], [{"name": "x"}], "own"),
        ([{"name": "x", **_reference("none", default="by default")}], [{"name": "x"}], "by default"),
        ([], [{"name": "x", **_reference("msg")}], "hello $(A)"),
        ([{"name": "k", "value": "msg"}], [{"name": "x", **_reference("{{workflow.parameters.k}}")}], "hello $(A)"),
    ],
)
def test_parameters_come_from_config_maps(shapes: Any, run: Any, node: Any, log: Any, arguments: Any, inputs: Any, expected: str) -> None:
    flow = shapes.workflow(
        shapes.shell("main", "printf %s '{{inputs.parameters.x}}'", inputs={"parameters": inputs}), arguments={"parameters": arguments}
    )
    outcome = run(flow, objects=OBJECTS)
    assert log(outcome, node(outcome, "")) == expected


def test_variables_and_files_come_from_config_maps_and_secrets(shapes: Any, run: Any, node: Any, log: Any) -> None:
    main = shapes.shell("main", 'echo "$A|$B|$C|$L_USER|$PASSWORD|$POD"; cat /etc/given/n.txt /one/USER; ls /some')
    main["container"] |= {
        "env": [
            {"name": "A", "value": "a"},
            {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "config", "key": "msg"}}},
            {"name": "C", "valueFrom": {"secretKeyRef": {"name": "none", "key": "x", "optional": True}}},
            {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        ],
        "envFrom": [{"secretRef": {"name": "secret"}}, {"secretRef": {"name": "secret"}, "prefix": "L_"}],
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/given"},
            {"name": "secret", "mountPath": "/one/USER", "subPath": "USER"},
            {"name": "some", "mountPath": "/some"},
        ],
    }
    volumes = [
        {"name": "config", "configMap": {"name": "config"}},
        {"name": "secret", "secret": {"secretName": "secret"}},
        {"name": "some", "secret": {"secretName": "secret", "items": [{"key": "USER", "path": "deep/user"}]}},
    ]
    outcome = run(shapes.workflow(main, volumes=volumes), objects=OBJECTS)
    assert log(outcome, node(outcome, "")) == "a|hello $(A)||me|s3cret|wf\n5\nmedeep\n"
    assert "s3cret" not in (outcome.folder / "status.json").read_text() + (outcome.folder / "workflow.yaml").read_text()


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"env": [{"name": "A", **_reference("none")}]}, "env[0].valueFrom.configMapKeyRef: the ConfigMap 'config' has no key 'none'"),
        ({"env": [{"name": "A", **_reference("msg", "no")}]}, "there is no ConfigMap 'no' among the files; name the file that holds it"),
        ({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]}, "fieldRef.fieldPath: expected one of"),
        ({"envFrom": [{"secretRef": {"name": "no"}}]}, "spec.templates[0].container.envFrom[0].secretRef: there is no Secret 'no'"),
        ({"envFrom": [{"secretRef": {"name": "bad"}}]}, "Secret bad: data.x: expected base64, got '?'"),
    ],
)
def test_what_is_not_among_the_files_is_told_by_its_path(shapes: Any, more: dict[str, Any], expected: str) -> None:
    flow = shapes.workflow(shapes.shell("main", "true"))
    flow["spec"]["templates"][0]["container"] |= more
    bad = {"kind": "Secret", "metadata": {"name": "bad"}, "data": {"x": "?"}}
    told = [str(problem) for problem in local.problems(flow, objects=[*OBJECTS, bad])]
    assert any(expected in line for line in told), told


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"volumes": [{"name": "v", "secret": {"secretName": "no"}}]}, "spec.volumes[0].secret: there is no Secret 'no'"),
        ({"arguments": {"parameters": [{"name": "x", **_reference("no")}]}}, "spec.arguments.parameters[0].valueFrom.configMapKeyRef: "),
        (
            {"arguments": {"parameters": [{"name": "x", **_reference("a", "plain")}]}},
            "the label workflows.argoproj.io/configmap-type",
        ),
    ],
)
def test_a_workflow_names_what_is_there(shapes: Any, spec: dict[str, Any], expected: str) -> None:
    plain = {"kind": "ConfigMap", "metadata": {"name": "plain"}, "data": {"a": "b"}}
    told = [str(problem) for problem in local.problems(shapes.workflow(shapes.shell("main", "true"), **spec), objects=[*OBJECTS, plain])]
    assert any(expected in line for line in told), told
