"""Killed at any moment, the same command goes on; Ctrl-C leaves no process; two at once are refused."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines import local

CHECKOUT = Path(__file__).parents[3]
PROGRAM = """
import os, resource, sys
from pathlib import Path
if "LARGEST_FILE" in os.environ:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(os.environ["LARGEST_FILE"]), resource.RLIM_INFINITY))
from pipelines import local
try:
    marks = {os.environ["MARKS"]: Path(os.environ["MARKS"])}
    outcome = local.run(local.load(Path(sys.argv[1])), workspace=Path(sys.argv[2]), display=local.Lines(sys.stderr), paths=marks)
except local.RunnerError as error:
    sys.exit(f"refused ({error.exit_code}): {error}")
sys.exit(outcome.exit_code)
"""
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a runner as a process of its own, in the test's workspace; the folder $MARKS is where pods leave marks."""
    started: list[subprocess.Popen[str]] = []
    (tmp_path / "marks").mkdir()

    def begin(workflow: dict[str, Any], **variables: str) -> subprocess.Popen[str]:
        (tmp_path / "workflow.yaml").write_text(yaml.safe_dump(workflow))
        command = [sys.executable, "-c", PROGRAM, str(tmp_path / "workflow.yaml"), str(tmp_path / "workspace")]
        environment = {**os.environ, "MARKS": str(tmp_path / "marks"), "PYTHONPATH": str(CHECKOUT), **variables}
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def _wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def _end(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, text = process.communicate(timeout=60)
    return process.returncode, text


def _status(tmp_path: Path) -> dict[str, Any]:
    (folder,) = [path for path in (tmp_path / "workspace" / "runs").iterdir() if path.is_dir() and not path.name.startswith(".")]
    return local.read_status(folder)


def _marked(tmp_path: Path) -> Counter[str]:
    return Counter(path.name.rsplit("-", 1)[0] for path in (tmp_path / "marks").iterdir())


def _long(shapes: Any) -> dict[str, Any]:
    """A step, then three long ones with children of their own, then a step."""
    mark = 'touch "$MARKS/{{node.name}}-$$"'
    flow: dict[str, Any] = shapes.workflow(
        shapes.steps(
            "main",
            [{"name": "a", "template": "short"}],
            [{"name": "b", "template": "long", "withItems": [1, 2]}],
            [{"name": "c", "template": "short"}],
        ),
        shapes.shell("short", mark),
        shapes.shell(
            "long",
            f'{mark}; test -e "$MARKS/go-on" && exit; trap "touch $MARKS/term-$$; exit 143" TERM; '
            'sleep 300 & echo $! > "$MARKS/child-$$"; wait',
            retryStrategy={"limit": 1},
        ),
    )
    return flow


def _children(tmp_path: Path) -> list[int]:
    return [int(path.read_text()) for path in (tmp_path / "marks").glob("child-*") if path.read_text().strip()]


def test_ctrl_c_stops_everything_and_the_same_command_goes_on(
    shapes: Any, start: Start, tmp_path: Path, running: Callable[[int], bool]
) -> None:
    process = start(_long(shapes))
    _wait_for(lambda: len(_children(tmp_path)) == 2, "both pods run")
    process.send_signal(signal.SIGINT)
    code, text = _end(process)
    assert code == 130, text
    assert "interrupted" in text
    assert "the same command goes on" in text
    assert len(list((tmp_path / "marks").glob("term-*"))) == 2, "pods were asked to end"
    assert not any(map(running, _children(tmp_path)))
    assert _status(tmp_path)["phase"] == "Running"
    uid = json.loads(next((tmp_path / "workspace" / "runs").glob("*/run.json")).read_text())["uid"]

    (tmp_path / "marks" / "go-on").touch()
    code, text = _end(start(_long(shapes)))
    assert code == 0, text
    status = _status(tmp_path)
    assert status["phase"] == "Succeeded"
    names = {node["name"] for node in status["nodes"].values()}
    assert "wf[1].b(0:1)(0)" in names
    assert "wf[1].b(0:1)(1)" not in names, "an interruption is no attempt"
    marked = _marked(tmp_path)
    assert marked["wf[0].a"] == 1, "what had succeeded is not run again"
    assert marked["wf[1].b(0:1)"] == 2
    assert json.loads(next((tmp_path / "workspace" / "runs").glob("*/run.json")).read_text())["uid"] == uid


def test_ctrl_c_twice_kills_at_once(shapes: Any, start: Start, tmp_path: Path, running: Callable[[int], bool]) -> None:
    stubborn = 'trap "" TERM; echo $$ > "$MARKS/child-$$"; while :; do sleep 300; done'
    process = start(shapes.workflow(shapes.shell("main", stubborn)))
    _wait_for(lambda: len(_children(tmp_path)) == 1, "the pod runs")
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    _wait_for(lambda: "interrupted" in process.stderr.readline(), "the first is understood")  # type: ignore[union-attr]
    process.send_signal(signal.SIGINT)
    assert _end(process)[0] == 130
    assert not any(map(running, _children(tmp_path)))


def test_a_pod_that_does_not_end_is_killed_after_its_grace_period(
    shapes: Any, start: Start, tmp_path: Path, running: Callable[[int], bool]
) -> None:
    stubborn = 'trap "" TERM; echo $$ > "$MARKS/child-$$"; while :; do sleep 300; done'
    process = start(shapes.workflow(shapes.shell("main", stubborn), podSpecPatch="terminationGracePeriodSeconds: 1"))
    _wait_for(lambda: len(_children(tmp_path)) == 1, "the pod runs")
    process.send_signal(signal.SIGTERM)
    assert _end(process)[0] == 143
    assert not any(map(running, _children(tmp_path)))


def test_a_killed_runner_takes_its_pods_along(shapes: Any, start: Start, tmp_path: Path, running: Callable[[int], bool]) -> None:
    process = start(_long(shapes))
    _wait_for(lambda: len(_children(tmp_path)) == 2, "both pods run")
    process.kill()
    _end(process)
    assert not any(map(running, _children(tmp_path)))


def test_what_a_killed_runner_tried_is_cleared_up_by_the_next(shapes: Any, run: Any, tmp_path: Path) -> None:
    (tmp_path / "workspace" / "runs" / ".root" / "root" / "etc").mkdir(parents=True)
    run(shapes.workflow(shapes.shell("main", "true")))
    assert [path.name for path in (tmp_path / "workspace" / "runs").iterdir() if path.is_dir() and path.name.startswith(".")] == []


def test_two_at_once_in_one_workspace_are_refused(shapes: Any, start: Start, tmp_path: Path) -> None:
    first = start(_long(shapes))
    _wait_for(lambda: len(_children(tmp_path)) == 2, "the first runs")
    code, text = _end(start(_long(shapes)))
    assert code == 1
    assert re.search(rf"refused \(2\): .*another run uses this workspace \(process {first.pid}\); wait for it", text)
    first.send_signal(signal.SIGINT)
    assert _end(first)[0] == 130


def _random_shape(shapes: Any) -> dict[str, Any]:
    """Steps, a DAG, a loop, retries and conditions, whose outcome depends on every part."""
    pause = "sleep 0.1"
    add = shapes.shell(
        "add",
        f"{pause}; echo $(({{{{inputs.parameters.x}}}} + 1)) > /tmp/o",
        inputs=shapes.inputs("x"),
        outputs=shapes.output("o", "/tmp/o"),
    )
    flaky = shapes.shell(
        "flaky",
        f"{pause}; test {{{{retries}}}} = 2 || exit 3; echo $(({{{{inputs.parameters.x}}}} * 10)) > /tmp/o",
        inputs=shapes.inputs("x"),
        outputs=shapes.output("o", "/tmp/o"),
        retryStrategy={"limit": 4, "expression": "lastRetry.exitCode == '3'"},
    )
    graph = shapes.dag(
        "graph",
        {"name": "p", "template": "add", "arguments": shapes.arguments(x="{{inputs.parameters.x}}")},
        {"name": "q", "template": "flaky", "depends": "p", "arguments": shapes.arguments(x="{{tasks.p.outputs.parameters.o}}")},
        {"name": "r", "template": "add", "depends": "q.Failed", "arguments": shapes.arguments(x="0")},
        inputs=shapes.inputs("x"),
        outputs={"parameters": [{"name": "o", "valueFrom": {"parameter": "{{tasks.q.outputs.parameters.o}}"}}]},
    )
    main = shapes.steps(
        "main",
        [{"name": "loop", "template": "graph", "withItems": [1, 2], "arguments": shapes.arguments(x="{{item}}")}],
        [{"name": "no", "template": "add", "when": "1 == 2", "arguments": shapes.arguments(x="0")}],
        [
            {
                "name": "sum",
                "template": "add",
                "arguments": shapes.arguments(x="{{=sum(map(fromJSON(steps.loop.outputs.parameters.o), asInt(#)))}}"),
            }
        ],
        outputs={"parameters": [{"name": "o", "valueFrom": {"parameter": "{{steps.sum.outputs.parameters.o}}"}}]},
    )
    flow: dict[str, Any] = shapes.workflow(main, graph, add, flaky)
    return flow


def _essence(status: dict[str, Any]) -> dict[str, Any]:
    """What must be the same however often a run was killed."""
    kept = ("type", "phase", "message", "displayName", "boundaryID", "outputs", "inputs", "children")
    nodes = {node["name"]: {key: node[key] for key in kept if key in node} for node in status["nodes"].values()}
    for node in nodes.values():
        node["children"] = sorted(node.get("children", []))
    return {"phase": status["phase"], "nodes": nodes}


@pytest.mark.parametrize("seed", range(4))
def test_a_run_killed_at_random_moments_equals_an_uninterrupted_one(
    shapes: Any, start: Start, run: Any, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = _random_shape(shapes)
    (tmp_path / "other-marks").mkdir()
    monkeypatch.setenv("MARKS", str(tmp_path / "other-marks"))
    expected = _essence(dict(run(workflow, workspace=tmp_path / "uninterrupted").status))
    assert expected["nodes"]["wf"]["outputs"]["parameters"] == [{"name": "o", "value": "51"}]

    chance = random.Random(seed)
    for kill in range(8):
        process = start(workflow)
        _wait_for(lambda: any((tmp_path / "workspace" / "runs").glob("*/status.json")), "the run has begun")
        time.sleep(chance.uniform(0.1, 0.6) if kill else 0)
        if chance.random() < 0.5:
            _kill_a_pod(process.pid)
        process.kill()
        _end(process)
        if _status(tmp_path)["phase"] == "Succeeded":
            break
    else:
        code, text = _end(start(workflow))
        assert code == 0, text
    assert kill > 0, "it was killed on its way"
    assert _essence(_status(tmp_path)) == expected


def _kill_a_pod(runner: int) -> None:
    """Kill one of the pods together with their runner: its end may or may not be noticed."""
    os.kill(runner, signal.SIGSTOP)
    launchers = _children_of(runner)
    for keeper in [keeper for launcher in launchers for keeper in _children_of(launcher)][:1]:
        for first in _children_of(keeper):
            with contextlib.suppress(ProcessLookupError):
                os.kill(first, signal.SIGKILL)


def _children_of(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def test_a_full_disk_is_a_clear_error_and_the_run_goes_on_afterwards(shapes: Any, start: Start, tmp_path: Path) -> None:
    loop = {"name": "a", "template": "ok", "withSequence": {"count": 40}}
    workflow = shapes.workflow(shapes.steps("main", [loop]), shapes.shell("ok", 'touch "$MARKS/{{node.name}}-$$"'))
    code, text = _end(start(workflow, LARGEST_FILE="12000"))
    assert code == 1
    assert re.search(r"refused \(2\): .*: File too large; mend .* then the same command goes on", text), text
    assert "Traceback" not in text
    done = _marked(tmp_path)
    assert 0 < len(done) < 40
    assert _end(start(workflow))[0] == 0
    assert len(_marked(tmp_path)) == 40


def test_a_workspace_that_cannot_be_is_a_clear_error(shapes: Any, run: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(local.StorageFailed, match="Not a directory; mend the path"):
        run(shapes.workflow(shapes.shell("main", "true")), workspace=tmp_path / "file")


def test_a_run_that_has_ended_is_begun_anew(shapes: Any, run: Any, tmp_path: Path) -> None:
    workflow = shapes.workflow(shapes.shell("main", "exit 1"))
    first, second = run(workflow), run(workflow)
    assert first.folder != second.folder
    other = run(workflow, parameters={"P": "1"})
    assert other.folder not in (first.folder, second.folder)


def test_a_torn_journal_is_read_up_to_the_tear(shapes: Any, run: Any) -> None:
    outcome = run(shapes.workflow(shapes.steps("main", [{"name": "a", "template": "ok"}]), shapes.shell("ok", "true")))
    whole = local.read_status(outcome.folder)
    lines = [json.dumps({"status": {"message": "from the journal"}}), json.dumps({"node": {**whole["nodes"]["wf"], "message": "changed"}})]
    (outcome.folder / "journal.jsonl").write_text(lines[0] + "\n" + lines[1] + "\n" + '{"node": {"id": "half')
    status = local.read_status(outcome.folder)
    assert status["message"] == "from the journal"
    assert status["nodes"]["wf"]["message"] == "changed"
    assert status["nodes"]["wf"]["children"] == whole["nodes"]["wf"]["children"]


def test_a_damaged_state_is_a_clear_error(shapes: Any, run: Any) -> None:
    outcome = run(shapes.workflow(shapes.shell("main", "true")))
    (outcome.folder / "status.json").write_text("{")
    with pytest.raises(local.DamagedRun, match="remove the folder to begin anew"):
        run(shapes.workflow(shapes.shell("main", "true")))


@pytest.mark.parametrize("retried", [False, True])
def test_a_step_whose_work_went_with_the_interruption_runs_again(
    start: Start, run: Any, shapes: Any, tmp_path: Path, retried: bool
) -> None:
    marks = tmp_path / "marks"
    retry = {"retryStrategy": {"limit": "2"}} if retried else {}
    wait = "test -e $MARKS/interrupted || { touch $MARKS/waits; sleep 60; }"
    workflow = shapes.workflow(
        shapes.steps("main", *([{"name": name, "template": name}] for name in ("before", "starts", "waits"))),
        shapes.shell("before", "echo x >>$MARKS/before", **retry),
        shapes.shell("starts", "echo x >>$MARKS/starts", **retry),
        shapes.shell("waits", wait, **retry),
    )
    process = start(workflow)
    _wait_for((marks / "waits").exists, "the last step to start")
    (marks / "interrupted").touch()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    os.environ["MARKS"] = str(marks)
    try:
        outcome = run(local.load(tmp_path / "workflow.yaml"), again=("starts",))
    finally:
        del os.environ["MARKS"]
    assert outcome.phase == "Succeeded"
    assert {path.name: path.read_text().count("x") for path in marks.iterdir() if path.name in ("before", "starts")} == {
        "before": 1,
        "starts": 2,
    }
    assert all(node["phase"] == "Succeeded" for node in outcome.status["nodes"].values())
