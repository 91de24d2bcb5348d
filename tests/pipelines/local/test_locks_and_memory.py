"""Mutexes, semaphores and memoized templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines import local

# Counts how many run at once, and keeps the most.
_COUNT = (
    "mkdir -p $BOX; touch $BOX/$$; n=$(ls $BOX | grep -vc most); [ $n -gt $(cat $BOX/most 2>/dev/null || echo 0) ] && echo $n > $BOX/most;"
    " sleep 0.15; rm $BOX/$$"
)
LIMITS = {"kind": "ConfigMap", "metadata": {"name": "limits"}, "data": {"two": "2", "bad": "many"}}


def _semaphore(key: str) -> dict[str, Any]:
    return {"semaphores": [{"configMapKeyRef": {"name": "limits", "key": key}}]}


@pytest.mark.parametrize(
    ("synchronization", "most"),
    [({"mutexes": [{"name": "one"}]}, "1"), (_semaphore("two"), "2"), ({**_semaphore("two"), "mutexes": [{"name": "one"}]}, "1")],
)
def test_no_more_run_at_once_than_hold_the_lock(
    shapes: Any, run: Any, tmp_path: Path, monkeypatch: Any, synchronization: dict[str, Any], most: str
) -> None:
    monkeypatch.setenv("BOX", str(tmp_path / "box"))
    main = shapes.steps("main", [{"name": "a", "template": "work", "withItems": [1, 2, 3, 4]}])
    outcome = run(shapes.workflow(main, shapes.shell("work", _COUNT, synchronization=synchronization)), objects=[LIMITS])
    assert outcome.phase == "Succeeded"
    assert (tmp_path / "box" / "most").read_text().strip() == most


def test_nobody_waits_for_a_lock_beyond_the_deadline(shapes: Any, run: Any, node: Any) -> None:
    lock = {"mutexes": [{"name": "{{inputs.parameters.x}}"}]}
    step = {"template": "work", "arguments": shapes.arguments(x="m")}
    work = shapes.shell("work", "sleep 600", synchronization=lock, inputs=shapes.inputs("x"))
    outcome = run(shapes.workflow(shapes.steps("main", [{"name": "a", **step}, {"name": "b", **step}]), work, activeDeadlineSeconds=1))
    assert node(outcome, "[0].b")["message"] == "Step exceeded its deadline"
    assert node(outcome, "[0].b")["inputs"] == {"parameters": [{"name": "x", "value": "m"}]}


@pytest.mark.parametrize(
    ("synchronization", "expected"),
    [
        (_semaphore("none"), "synchronization.semaphores: the ConfigMap 'limits' has no key 'none'"),
        (_semaphore("bad"), "synchronization.semaphores: default/ConfigMap/limits/bad: "),
        ({"semaphores": [{"database": {"key": "x"}}]}, "synchronization.semaphores[0].database: not supported on one machine"),
        ({"semaphores": [{}]}, "synchronization.semaphores: a semaphore needs a configMapKeyRef"),
    ],
)
def test_a_limit_must_be_known(shapes: Any, synchronization: dict[str, Any], expected: str) -> None:
    flow = shapes.workflow(shapes.shell("main", "true", synchronization=synchronization))
    told = [str(problem) for problem in local.problems(flow, objects=[LIMITS])]
    assert any(expected in line for line in told), told


def _memoized(shapes: Any, key: str = "{{workflow.parameters.k}}", **more: str) -> dict[str, Any]:
    memoize = {"key": key, "cache": {"configMap": {"name": "cache"}}, **more}
    outputs = shapes.output("o", "/tmp/o") | {"artifacts": [{"name": "f", "path": "/tmp/o"}]}
    make = shapes.shell("make", "echo $$ > /tmp/o", memoize=memoize, outputs=outputs)
    use = shapes.shell("use", "cat /tmp/f", inputs={"artifacts": [{"name": "f", "path": "/tmp/f"}]})
    taken = {"artifacts": [{"name": "f", "from": "{{steps.a.outputs.artifacts.f}}"}]}
    main = shapes.steps("main", [{"name": "a", "template": "make"}], [{"name": "b", "template": "use", "arguments": taken}])
    flow: dict[str, Any] = shapes.workflow(main, make, use, arguments=shapes.arguments(k="one"))
    return flow


@pytest.mark.parametrize(
    ("more", "parameters", "hit"),
    [({}, {}, True), ({"maxAge": "1h"}, {}, True), ({"maxAge": "1ms"}, {}, False), ({}, {"k": "two"}, False)],
)
def test_what_was_made_for_a_key_is_not_made_again(
    shapes: Any, run: Any, node: Any, log: Any, more: dict[str, str], parameters: dict[str, str], hit: bool
) -> None:
    first = run(_memoized(shapes))
    second = run(_memoized(shapes, **more), parameters=parameters)
    made = [node(outcome, "[0].a")["outputs"]["parameters"][0]["value"] for outcome in (first, second)]
    assert node(first, "[0].a")["memoizationStatus"] == {"hit": False, "key": "one", "cacheName": "cache"}
    assert (node(second, "[0].a")["memoizationStatus"]["hit"], made[0] == made[1]) == (hit, hit)
    assert log(second, node(second, "[1].b")).strip() == made[1]


def test_a_cache_begins_with_what_a_config_map_holds(shapes: Any, run: Any, node: Any) -> None:
    entry = '{"nodeID": "x", "outputs": {"parameters": [{"name": "o", "value": "kept"}]}, "creationTimestamp": "2021-10-12T15:14:04Z"}'
    given = {"kind": "ConfigMap", "metadata": {"name": "cache"}, "data": {"one": entry}}
    flow = _memoized(shapes)
    del flow["spec"]["templates"][0]["steps"][1]
    assert node(run(flow, objects=[given]), "[0].a")["outputs"]["parameters"] == [{"name": "o", "value": "kept"}]


def test_a_key_that_argo_does_not_take_is_an_error(shapes: Any, run: Any, node: Any) -> None:
    outcome = run(_memoized(shapes, key="a b"))
    assert node(outcome, "[0].a")["message"] == "memoize.key: expected letters, digits and -, got 'a b'"
