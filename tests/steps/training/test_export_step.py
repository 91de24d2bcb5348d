"""The export step around programs of any kind: staging, idempotence, and what is refused at a glance."""

import json
import signal
import time
from pathlib import Path

import pytest

SAMPLE = {"inputs": {name: [] for name in ("count", "constant", "empty", "gappy", "colour", "city")}, "outputs": {"probabilities": []}}
GOOD = f"""
mkdir $EXPORT/assets.extra
echo serving_default $CHECKPOINT > $EXPORT/saved_model.pb
echo '{json.dumps(SAMPLE)}' > $EXPORT/assets.extra/sample.json
"""
TRAIN = """echo '{"accuracy": 0.9, "examples": 300, "step": 20, "checkpoint": "step-20"}' > $RESULT"""


@pytest.fixture
def trainable(workspace, tmp_path):
    """The workspace with a shell script for a training program, trained; `program(body)` sets what it does for `export`."""
    folder = tmp_path / "program"
    folder.mkdir()

    def write(body: str) -> None:
        (folder / "program").write_text(f"#!/bin/sh\nif [ $1 = train ]; then\n{TRAIN}\nelse\n{body}\nfi\n")
        (folder / "program").chmod(0o755)

    workspace.settings = {"MODEL_DIR": str(folder), "MODEL_SCRIPT": "program", "TARGET_ACCURACY": "0.75"}
    workspace.program = write
    write(GOOD)
    assert workspace.train()[0] == 0
    return workspace


def staged(workspace) -> list[str]:
    return [path.name for path in (workspace.volume / "ann/clicks/output/staging").glob("*")]


def test_a_candidate_lies_in_staging_whole(trainable):
    code, log = trainable.export()
    assert code == 0, log
    candidate = trainable.volume / trainable.output("candidate")
    assert candidate.parent == trainable.volume / "ann/clicks/output/staging"
    assert (candidate / "saved_model.pb").read_text() == "serving_default step-20\n", "the checkpoint that passed is named to the program"


def test_export_run_again_does_nothing(trainable):
    trainable.export()
    first = trainable.output("candidate")
    trainable.program("exit 1")
    assert trainable.export()[0] == 0
    assert trainable.output("candidate") == first


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        ("true", 2, "got no such file"),
        ("echo other > $EXPORT/saved_model.pb", 2, "one without that signature"),
        (GOOD + 'echo \'{"inputs": {"count": []}}\' > $EXPORT/assets.extra/sample.json', 2, "to hold the columns count, constant"),
        (GOOD + "echo nonsense > $EXPORT/assets.extra/sample.json", 2, "to hold the columns count, constant"),
        ("exit 1", 1, "exit code 1"),
        ("exit 2", 2, "exit code 2"),
        ("exit 3", 1, "does not have"),
        ("exit 138", 138, "exit code 138"),
        ("kill -KILL $$", 137, "killed by signal 9"),
    ],
)
def test_what_is_refused_leaves_nothing_in_staging(trainable, body, code, says):
    trainable.program(body)
    got, log = trainable.export()
    assert (got, staged(trainable)) == (code, []), log
    assert says in log


def test_a_run_that_missed_the_gate_exports_nothing(trainable):
    assert trainable.train(WORKFLOW_UID="run-2", TARGET_ACCURACY="0.95")[0] == 3
    code, log = trainable.export(WORKFLOW_UID="run-2")
    assert code == 2
    assert "missed the gate" in log


def test_no_checkpoints(trainable):
    code, log = trainable.export(CHECKPOINTS="elsewhere")
    assert code == 2
    assert log.startswith("CHECKPOINTS: expected")


def test_a_killed_export_leaves_nothing_behind_once_it_is_run_again(trainable):
    trainable.program("touch $CHECKPOINTS/ready; sleep 300")
    process = trainable.start("export", CHECKPOINTS=trainable.output("checkpoints"))
    deadline = time.monotonic() + 30
    while not Path(trainable.folders()[0], "ready").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert len(staged(trainable)) == 1
    trainable.program(GOOD)
    assert trainable.export()[0] == 0
    assert staged(trainable) == [Path(trainable.output("candidate")).name]
