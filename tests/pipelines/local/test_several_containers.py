"""Pods of more than one container: init containers, sidecars, container sets."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines import local


def _sh(name: str, command: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "command": ["sh", "-c", command], **more}


def _set(*containers: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "main", "containerSet": {"containers": list(containers), **more}}


def test_init_containers_run_before_and_sidecars_beside(shapes: Any, run: Any, node: Any, log: Any) -> None:
    main = shapes.shell("main", "cat /shared/first; until [ -s /shared/beside ]; do sleep 0.05; done; cat /shared/beside")
    main["container"]["volumeMounts"] = [{"name": "shared", "mountPath": "/shared"}]
    main["initContainers"] = [_sh("first", "echo first > /shared/first", mirrorVolumeMounts=True)]
    main["sidecars"] = [_sh("helper", "echo beside > /shared/beside; echo up; exec sleep 600", mirrorVolumeMounts=True)]
    outcome = run(shapes.workflow(main, volumes=[{"name": "shared", "emptyDir": {}}]))
    assert outcome.phase == "Succeeded"
    assert log(outcome, node(outcome, "")) == "first\nbeside\n"
    assert (outcome.folder / "nodes" / "wf" / "helper.log").read_text() == "up\n"


@pytest.mark.parametrize(
    ("part", "command", "expected"),
    [
        ("initContainers", "exit 3", ("Failed", "other: Error (exit code 3)")),
        ("sidecars", "exit 3", ("Failed", "other: Error (exit code 3)")),
        ("sidecars", "exit 143", ("Succeeded", None)),
        ("sidecars", "trap 'exit 3' TERM; sleep 600 & wait", ("Succeeded", None)),
    ],
)
def test_how_the_other_containers_count(shapes: Any, run: Any, node: Any, part: str, command: str, expected: tuple[str, Any]) -> None:
    main = shapes.shell("main", "sleep 0.3")
    main[part] = [_sh("other", command)]
    found = node(run(shapes.workflow(main)), "")
    assert (found["phase"], found.get("message")) == expected


def test_the_containers_of_a_set_run_as_a_graph_and_share_volumes(shapes: Any, run: Any, node: Any, phases: Any) -> None:
    group = _set(
        _sh("a", "echo 1 > /work/out"),
        _sh("b", "sleep 0.2; echo 2 >> /work/out", dependencies=["a"]),
        _sh("main", "echo 3 >> /work/out; cat /work/out", dependencies=["b"]),
        volumeMounts=[{"name": "work", "mountPath": "/work"}],
    )
    group |= {"name": "group", "volumes": [{"name": "work", "emptyDir": {}}], "outputs": shapes.output("all", "/work/out")}
    main = shapes.dag(
        "main",
        {"name": "one", "template": "group"},
        {"name": "two", "template": "say", "depends": "one", "arguments": shapes.arguments(x="{{tasks.one.outputs.result}}")},
    )
    outcome = run(shapes.workflow(main, group, shapes.shell("say", "true", inputs=shapes.inputs("x"))))
    assert phases(outcome) == dict.fromkeys(["", "one", "one.a", "one.b", "one.main", "two"], "Succeeded")
    one, last = node(outcome, "one"), node(outcome, "one.main")
    assert one["outputs"] == {"exitCode": "0", "result": "1\n2\n3", "parameters": [{"name": "all", "value": "1\n2\n3"}]}
    assert (last["type"], last["boundaryID"], last["children"]) == ("Container", one["id"], [node(outcome, "two")["id"]])


def test_what_depends_on_a_failed_container_does_not_start(shapes: Any, run: Any, node: Any, phases: Any) -> None:
    outcome = run(shapes.workflow(_set(_sh("a", "exit 3"), _sh("b", "true", dependencies=["a"]), _sh("c", "true"))))
    assert phases(outcome) == {"": "Failed", "a": "Failed", "b": "Error", "c": "Succeeded"}
    assert node(outcome, "")["message"] == "a: Error (exit code 3)"


def test_a_container_of_a_set_is_tried_again(shapes: Any, run: Any) -> None:
    again = _set(_sh("main", "echo x >> n; [ $(wc -l < n) -ge 3 ]"), retryStrategy={"retries": 3, "duration": "10ms"})
    assert run(shapes.workflow(again)).phase == "Succeeded"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (_set(), "spec.templates[0].containerSet.containers: expected at least one container"),
        (_set(_sh("a", ""), _sh("a", "")), "containers[1].name: there are 2 of the container 'a'"),
        (_set(_sh("a", "", dependencies=["b"])), "containers[0].dependencies: there is no container 'b'"),
        (_set(_sh("a", "", dependencies=["a"])), "containers: these containers wait for each other: a -> a"),
        (_set({"name": "a"}), "spec.templates[0].containerSet.containers[0].command: the image's own command is not known"),
        (
            {**_set(_sh("a", "")), "outputs": {"parameters": [{"name": "o", "valueFrom": {"path": "/o"}}]}},
            "containerSet.containers: a container set with files that go in or out needs a container named main",
        ),
    ],
)
def test_a_set_is_refused_by_the_path_of_what_is_wrong(shapes: Any, template: dict[str, Any], expected: str) -> None:
    told = [str(problem) for problem in local.problems(shapes.workflow(template))]
    assert any(expected in line for line in told), told
