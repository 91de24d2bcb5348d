"""Whole runs that go wrong: bad input, missed targets, kills and interruptions, two at once."""

import json
import os
import random
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SMALL = ("-p", "DATA_URL=generated://criteo?rows=4000&seed=1", "-p", "STEPS=20", "-p", "TARGET_ACCURACY=")


def output_folder(place: Any) -> Path:
    return place.workspace / "tiphys" / "wide-deep-large-ds-fp32-training" / "output"


def wait_for(condition: Callable[[], Any], process: "subprocess.Popen[str]", seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def program(folder: Path, body: str) -> tuple[str, ...]:
    """Parameters that name a training program: a shell script."""
    path = folder / "program.sh"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return "-p", f"MODEL_DIR={folder}", "-p", "MODEL_SCRIPT=program.sh"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("train-and-serve", "-p", "TARGET_ACURACY=0.8"), "did you mean TARGET_ACCURACY?"),
        (("train-and-serve", "-p", "TARGET_ACCURACY=abc"), "TARGET_ACCURACY: expected a number above 0 and at most 1"),
        (("train-and-serve", "-p", "TARGET_ACCURACY=75"), "got '75'"),
        (("train-and-serve", "-p", "TARGET_ACCURACY=-1"), "got '-1'"),
        (("train-and-serve", "-p", "NFS_SERVER=10.0.0.1"), "set by the site"),
        (("train-and-serve", "-p", "STEPS"), "expected NAME=VALUE"),
        (("train", "-p", "REPLICAS=2"), "the workflow takes no such parameter"),
        (("train-and-server",), "expected a pipeline (rollback, train, train-and-serve) or a YAML file"),
    ],
)
def test_a_bad_command_line_is_refused_before_anything_starts(place: Any, arguments: tuple[str, ...], told: str) -> None:
    code, out, err = place.run(*arguments)
    assert (code, out, told in err, "Traceback" in err) == (2, "", True, False), err
    assert not place.workspace.exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"0,1\n", "40"),
        (b"", "empty"),
        (b"label,I1\n" + b"0" + b"," * 39 + b"\n", "header"),
    ],
)
def test_bad_data_ends_with_the_file_and_the_line(place: Any, content: bytes, told: str) -> None:
    data = place.folder / "data.csv"
    data.write_bytes(content)
    code, out, err = place.run("train", "-p", f"DATA_URL=file://{data}")
    assert code == 2
    assert "data.csv" in err
    assert told in err
    assert "Traceback" not in err
    assert "page" in out


def test_a_target_that_is_out_of_reach_ends_with_4_and_evidence_of_each_attempt(place: Any) -> None:
    body = "n=$(($(cat $CHECKPOINTS/n 2>/dev/null || echo 0) + 1)); echo $n >$CHECKPOINTS/n\n"
    body += 'echo "{\\"accuracy\\": 0.8$n, \\"examples\\": 400, \\"step\\": $n}" >$RESULT'
    own = program(place.folder, body)
    small = ("-p", "DATA_URL=generated://criteo?rows=4000&seed=1")
    code, out, err = place.run("train", *small, *own, "-p", "TARGET_ACCURACY=0.99", "-p", "RETRY_LIMIT=2")
    assert code == 4, err
    line = next(line for line in out.splitlines() if line.strip().startswith("accuracy"))
    assert re.search(r"0\.8300 \[.*\], target 0.99: missed after 3 attempts; synthetic data", line)
    evidence = sorted(output_folder(place).glob("evidence/*/attempt-*.json"))
    assert [json.loads(path.read_text())["accuracy"] for path in evidence] == [0.81, 0.82, 0.83]
    assert "0.99" in Path(out.split("page")[1].strip()).read_text()


def test_attempts_go_on_until_the_target_is_reached(place: Any) -> None:
    body = "[ $1 = export ] && exit 2\nn=$(($(cat $CHECKPOINTS/n 2>/dev/null || echo 0) + 1)); echo $n >$CHECKPOINTS/n\n"
    body += 'echo "{\\"accuracy\\": 0.8$n, \\"examples\\": 400, \\"step\\": $n}" >$RESULT'
    own = program(place.folder, body)
    small = ("-p", "DATA_URL=generated://criteo?rows=4000&seed=1")
    code, out, err = place.run("train", *small, *own, "-p", "TARGET_ACCURACY=0.83", "-p", "RETRY_LIMIT=5")
    assert "target 0.83: passed after 3 attempts" in out, err
    assert code == 2, "the program refuses to export, and the run ends with its exit code"


def test_a_port_in_use_is_named_before_anything_starts(place: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", place.ports[0]))
        taken.listen()
        code, _, err = place.run("train-and-serve", *SMALL)
    assert code == 2
    assert str(place.ports[0]) in err
    assert "TF_SERVING_PORT" in err
    assert not place.workspace.exists()


def test_the_second_of_two_runs_in_one_workspace_is_refused(place: Any) -> None:
    body = "touch started; exec sleep 60"
    first = place.start("train", "-p", "DATA_URL=generated://criteo?rows=1000&seed=1", *program(place.folder, body))
    wait_for((place.folder / "started").exists, first)
    code, _, err = place.run("train", "-p", "STEPS=7")
    assert code == 2
    assert "another run uses this workspace" in err
    assert str(first.pid) in err
    os.kill(first.pid, signal.SIGINT)
    first.communicate(timeout=60)
    assert first.returncode == 130
    assert place.processes() == []


def test_ctrl_c_saves_and_the_same_command_goes_on(place: Any) -> None:
    arguments = (
        "train",
        "-p",
        "DATA_URL=generated://criteo?rows=4000&seed=1",
        "-p",
        "STEPS=600",
        "-p",
        "BATCH_SIZE=64",
        "-p",
        "TARGET_ACCURACY=",
    )
    process = place.start(*arguments)
    logs = place.workspace / "runs"
    wait_for(lambda: any(re.search(r"train +\d+%", path.read_text()) for path in logs.glob("*/nodes/*/main.log")), process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=100)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert place.processes() == []
    code, out, err = place.run(*arguments)
    assert code == 0, err
    assert "after 1 attempt" in out, "an interruption uses up no attempt"
    assert len(list(logs.glob("train-*"))) == 1, "it is the same run"


def test_a_run_killed_again_and_again_ends_as_one_that_was_not(place: Any) -> None:
    moments = random.Random(5)
    for _ in range(5):
        process = place.start("train-and-serve", *SMALL)
        time.sleep(moments.uniform(0.5, 5))
        process.kill()
        process.communicate()
    code, out, err = place.run("train-and-serve", *SMALL)
    assert code == 0, err
    assert len(list(place.workspace.glob("runs/train-and-serve-*"))) == 1, "it is the same run"
    records = [json.loads(line) for line in (output_folder(place) / "releases.jsonl").read_text().splitlines()]
    assert [record["action"] for record in records if record["action"] == "publish"] == ["publish"]
    repository = output_folder(place) / "wide-deep-large-ds-fp32-training"
    assert [path.name for path in repository.iterdir()] == ["1"]
    assert "version    1 of" in out
    assert place.processes() == []


def test_a_run_interrupted_behind_deploy_serves_again_when_it_goes_on(place: Any) -> None:
    process = place.start("train-and-serve", *SMALL)
    wait_for((output_folder(place) / "benchmark").exists, process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=100)
    assert process.returncode == 130
    assert place.processes() == []
    code, out, err = place.run("train-and-serve", *SMALL)
    assert code == 0, err
    assert "benchmark" in out
    assert place.processes() == []


def test_a_second_run_that_is_refused_leaves_the_server_of_the_first_alone(place: Any) -> None:
    first = place.start("train-and-serve", *SMALL, "-p", "RESTART_LIMIT=0")
    wait_for((output_folder(place) / "serving.json").exists, first)
    other = place.start_command(
        [sys.executable, "-m", "pipelines", "run", "train-and-serve", "--workspace", str(place.workspace), *unused_ports()]
    )
    _, told = other.communicate(timeout=100)
    assert (other.returncode, "another run uses this workspace" in told) == (2, True), told
    out, err = first.communicate(timeout=200)
    assert first.returncode == 0, err
    assert "rows/s" in out


def unused_ports() -> tuple[str, ...]:
    return "-p", "TF_SERVING_PORT=1999", "-p", "TF_SERVING_REST_PORT=1998"


@pytest.mark.parametrize(
    ("body", "code", "told"),
    [
        ("[ $1 = export ] && exit 2; true", 2, "accuracy   not measured, no target: unchecked after 1 attempt"),
        ("exit 4", 4, "page"),
    ],
)
def test_a_program_that_measures_nothing_still_has_a_summary_and_a_page(place: Any, body: str, code: int, told: str) -> None:
    data = ("-p", "DATA_URL=generated://criteo?rows=1000&seed=1")
    got, out, err = place.run("train", *data, "-p", "TARGET_ACCURACY=", *program(place.folder, body))
    assert got == code, err
    assert told in out
    assert Path(out.split("page")[1].strip()).is_file()
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        "kind: Workflow",
        "{kind: Workflow, apiVersion: argoproj.io/v1alpha1, metadata: null, spec: null}",
        "{kind: Workflow, apiVersion: argoproj.io/v1alpha1, metadata: {labels: [a]}, spec: {arguments: [1]}}",
        "{kind: Workflow, metadata: {labels: {app.kubernetes.io/part-of: tiphys}}, spec: {arguments: {parameters: [7]}}}",
    ],
)
def test_a_file_that_is_no_workflow_is_refused_in_words(place: Any, text: str) -> None:
    path = place.folder / "workflow.yaml"
    path.write_text(text)
    code, out, err = place.run(str(path), "-p", "a=b")
    assert (code, out, "Traceback" in err) == (2, "", False), err


def test_roll_back_where_nothing_was_released_makes_no_folder(place: Any) -> None:
    code, _, err = place.command("pipelines", "rollback", "--workspace", str(place.workspace))
    assert (code, "expected a workspace" in err) == (2, True), err
    assert not place.workspace.exists()
