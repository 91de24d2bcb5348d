"""A run goes on from one of its nodes: what was before is kept, what comes after runs again."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pipelines.local import rewind


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    folder = tmp_path / "marks"
    folder.mkdir()
    return folder


def _marked(marks: Path) -> Counter[str]:
    """How often each node ran, and forget it."""
    found = Counter(line for path in marks.glob("ran") for line in path.read_text().splitlines())
    (marks / "ran").unlink(missing_ok=True)
    return found


def _graph(shapes: Any, marks: Path) -> dict[str, Any]:
    """Steps around a DAG, a loop, attempts, exit handlers; `flaky` needs two attempts each time."""
    ran = f'echo "{{{{node.name}}}}" >> {marks}/ran'
    value = shapes.shell(
        "value",
        f"{ran}; echo $(({{{{inputs.parameters.x}}}} + 1)) > /tmp/o",
        inputs=shapes.inputs("x"),
        outputs=shapes.output("o", "/tmp/o"),
    )
    flaky = shapes.shell("flaky", f"{ran}; test {{{{retries}}}} = 1", retryStrategy={"limit": 2})
    tasks = (
        {"name": "p", "template": "value", "arguments": shapes.arguments(x="1")},
        {"name": "q", "template": "value", "depends": "p", "arguments": shapes.arguments(x="{{tasks.p.outputs.parameters.o}}")},
        {"name": "r", "template": "flaky", "depends": "p"},
    )
    graph = shapes.dag(
        "graph", *tasks, outputs={"parameters": [{"name": "o", "valueFrom": {"parameter": "{{tasks.q.outputs.parameters.o}}"}}]}
    )
    loop = {"name": "loop", "template": "value", "withItems": [10, 20], "arguments": shapes.arguments(x="{{item}}")}
    main = shapes.steps(
        "main",
        [{"name": "first", "template": "value", "arguments": shapes.arguments(x="0")}],
        [{"name": "inner", "template": "graph", "hooks": {"exit": {"template": "bye"}}}, loop],
        [{"name": "last", "template": "value", "arguments": shapes.arguments(x="{{steps.inner.outputs.parameters.o}}")}],
    )
    flow: dict[str, Any] = shapes.workflow(main, graph, value, flaky, shapes.shell("bye", ran), onExit="bye")
    return flow


ALWAYS = {"wf[2].last": 1, "wf.onExit": 1}
INNER = {"wf[1].inner.onExit": 1}
WHOLE = {"wf[1].inner.p": 1, "wf[1].inner.q": 1, "wf[1].inner.r": 2}


@pytest.mark.parametrize(
    ("name", "again"),
    [
        ("last", ALWAYS),
        ("q", {**ALWAYS, **INNER, "wf[1].inner.q": 1}),
        ("r", {**ALWAYS, **INNER, "wf[1].inner.r": 2}),
        ("r(1)", {**ALWAYS, **INNER, "wf[1].inner.r": 1}),
        ("p", {**ALWAYS, **INNER, **WHOLE}),
        ("loop(1:20)", {**ALWAYS, "wf[1].loop(1:20)": 1}),
        ("inner", {**ALWAYS, **INNER, **WHOLE}),
        ("wf.onExit", {"wf.onExit": 1}),
    ],
)
def test_from_a_node_on(shapes: Any, run: Any, tmp_path: Path, name: str, again: dict[str, int]) -> None:
    shared = tmp_path.parent  # one run for all of the table
    marks, workspace, paths = shared / "marks", shared / "workspace", {str(shared): shared}
    flow = _graph(shapes, marks)
    if not marks.exists():
        marks.mkdir()
        assert run(flow, workspace=workspace, paths=paths).phase == "Succeeded"
    before = run(flow, workspace=workspace, paths=paths, restart_from="wf.onExit")
    _marked(marks)
    after = run(flow, workspace=workspace, paths=paths, restart_from=name)
    assert after.folder == before.folder
    assert after.phase == "Succeeded", after.status
    assert _marked(marks) == Counter(again)

    def essence(outcome: Any) -> dict[str, Any]:
        kept = ("type", "phase", "message", "inputs", "outputs", "boundaryID")
        found = {one["name"]: {key: one.get(key) for key in kept} for one in outcome.status["nodes"].values()}
        by_id = outcome.status["nodes"]
        edges = {(one["name"], by_id[child]["name"]) for one in by_id.values() for child in one.get("children", ())}
        return {"nodes": found, "edges": edges}

    assert essence(after) == essence(before)


def test_what_failed_runs_again_too(shapes: Any, run: Any, marks: Path, phases: Any) -> None:
    once = f"echo {{{{node.name}}}} >> {marks}/ran; test -e {marks}/mended"
    flow = shapes.workflow(
        shapes.dag(
            "main",
            {"name": "good", "template": "good"},
            {"name": "bad", "template": "bad"},
            {"name": "after-bad", "template": "good", "depends": "bad"},
            {"name": "after-good", "template": "good", "depends": "good"},
        ),
        shapes.shell("good", f"echo {{{{node.name}}}} >> {marks}/ran"),
        shapes.shell("bad", once, retryStrategy={"limit": 1}),
    )
    first = run(flow)
    assert (first.phase, phases(first)["after-bad"]) == ("Failed", "Omitted")
    _marked(marks)
    (marks / "mended").touch()
    second = run(flow, restart_from="after-good")
    assert (second.phase, second.folder) == ("Succeeded", first.folder)
    assert _marked(marks) == Counter({"wf.after-good": 1, "wf.bad": 1, "wf.after-bad": 1})
    assert phases(second)["after-bad"] == "Succeeded"
    assert "message" not in second.status or not second.status["message"]


def test_a_node_that_is_not_there(shapes: Any, run: Any) -> None:
    flow = shapes.workflow(shapes.steps("main", [{"name": "alpha", "template": "ok"}], [{"name": "beta", "template": "both"}]))
    flow["spec"]["templates"] += [shapes.shell("ok", "true"), shapes.steps("both", [{"name": "alpha", "template": "ok"}])]
    with pytest.raises(rewind.NoSuchNode, match="has no run of this workflow with these parameters; run it without first"):
        run(flow, restart_from="alpha")
    run(flow)
    with pytest.raises(rewind.NoSuchNode, match=r"--from gamma: the run has no such node, but alpha, beta, wf$"):
        run(flow, restart_from="gamma")
    with pytest.raises(rewind.NoSuchNode, match=r"--from alhpa: .*; did you mean alpha"):
        run(flow, restart_from="alhpa")
    with pytest.raises(rewind.NoSuchNode, match=r"--from alpha: 2 nodes are called so; give one of the ids wf-\d+, wf-\d+"):
        run(flow, restart_from="alpha")
    assert run(flow, restart_from="wf[0].alpha").phase == "Succeeded"
