"""The default training program, run by its steps: it learns, goes on exactly where it stopped, and exports what it is."""

import contextlib
import json
import random
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[3]
CENSUS = ROOT.parent / "shared" / "data" / "census"


def arrays_of(workspace, step: int) -> dict:
    with np.load(workspace.folders()[-1] / f"step-{step:08}" / "arrays.npz") as archive:
        return {name: archive[name] for name in archive.files}


def state_of(workspace, step: int) -> dict:
    return json.loads((workspace.folders()[-1] / f"step-{step:08}" / "state.json").read_text())


def wait_for_line(process: subprocess.Popen, text: str) -> str:
    """Read a step's log up to the line that holds a text."""
    read = []
    for line in process.stdout:
        read.append(line)
        if text in line:
            return "".join(read)
    raise AssertionError(f"the step ended before it said {text!r}: {''.join(read)}")


def asked(candidate: Path, rows: list[dict]) -> list[list[float]]:
    """The probabilities that a SavedModel gives for each row alone, then for all of them together; checks the outputs' kinds."""
    script = """
    import json, os, sys
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf
    rows = json.load(open(0))
    loaded = tf.saved_model.load(sys.argv[1])
    serve = loaded.signatures["serving_default"]
    spec = serve.structured_input_signature[1]
    assert {name: (s.shape.as_list(), s.dtype.name) for name, s in spec.items()} == {
        name: ([None], "string" if isinstance(value, str) else "float32") for name, value in rows[0].items()}
    def ask(rows):
        answers = serve(**{name: tf.constant([float("nan") if row[name] is None else row[name] for row in rows], spec[name].dtype)
                           for name in spec})
        kinds = {name: (a.shape.as_list(), a.dtype.name) for name, a in answers.items()}
        assert kinds == {"probabilities": ([len(rows), 2], "float32"), "class_ids": ([len(rows), 1], "int64"),
                         "logits": ([len(rows), 1], "float32")}, kinds
        return answers["probabilities"].numpy().tolist()
    print(json.dumps(sum([ask([row]) for row in rows], []) + ask(rows)))
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(candidate)]
    done = subprocess.run(command, input=json.dumps(rows), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_learns_although_columns_are_constant_empty_or_gappy(trained):
    evidence = trained.evidence()
    assert evidence["verdict"] == "passed"
    assert evidence["accuracy"] > evidence["majority_class_rate"] + 0.1
    assert evidence["auc"] > 0.8
    assert (evidence["examples"], evidence["step"], evidence["checkpoint"]) == (300, 400, "step-00000400")
    assert [point["step"] for point in evidence["history"]] == list(range(50, 401, 50))
    assert evidence["history"][-1]["accuracy"] == evidence["accuracy"]
    assert set(evidence["versions"]) == {"python", "numpy", "keras", "tensorflow"}
    state = state_of(trained, 400)
    assert (state["epoch"], state["offset"]) == divmod(400 * 32, 600)
    assert all(np.isfinite(array).all() for array in arrays_of(trained, 400).values())


def test_killed_at_random_moments_it_ends_the_same(trained, workspace):
    """Stopped by SIGTERM (which saves), then killed at random moments, and run again: the same bits as without an interruption."""
    workspace.settings = trained.settings | {"RESTART_LIMIT": "5"}
    process = workspace.start("train")
    wait_for_line(process, "under way: step 1 of 400")
    process.send_signal(signal.SIGTERM)
    log, _ = process.communicate(timeout=60)
    assert process.returncode == 143, log
    saved = [int(path.name[5:]) for path in workspace.folders()[0].glob("step-*")]
    assert len(saved) == 1
    assert 1 <= saved[0] < 400
    moments = random.Random(5)
    for _ in range(3):
        process = workspace.start("train")
        try:
            process.communicate(timeout=moments.uniform(0.2, 5))
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate(timeout=60)
    code, log = workspace.train()
    assert code == 0, log
    assert len(workspace.attempts()["attempts"]) == 1, "kills use up no attempt"
    assert not list(workspace.volume.glob("**/.aside-*"))
    there, here = arrays_of(trained, 400), arrays_of(workspace, 400)
    assert {name: array.shape for name, array in here.items()} == {name: array.shape for name, array in there.items()}
    for name, array in there.items():
        assert np.array_equal(here[name], array), name
    assert state_of(workspace, 400) == state_of(trained, 400)
    same = ("accuracy", "auc", "loss", "history", "interval", "verdict")
    assert {name: workspace.evidence()[name] for name in same} == {name: trained.evidence()[name] for name in same}


def test_an_export_killed_at_random_moments_ends_the_same(trained, tmp_path):
    made = []
    for name, kills in (("calm", 0), ("killed", 5)):
        shutil.copytree(trained.volume, tmp_path / name)
        workspace = type(trained)(tmp_path / name, trained.settings | {"CHECKPOINTS": trained.output("checkpoints")})
        moments = random.Random(8)
        for _ in range(kills):
            process = workspace.start("export")
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=moments.uniform(0.3, 5))
            process.kill()
            process.communicate(timeout=60)
        code, log = workspace.run("export")
        assert code == 0, log
        (candidate,) = (workspace.volume / "ann/clicks/output/staging").iterdir()
        assert candidate == workspace.volume / workspace.output("candidate"), "nothing else lies in staging"
        assert not list(workspace.volume.glob("**/.aside-*"))
        files = sorted(str(path.relative_to(candidate)) for path in candidate.rglob("*"))
        made.append((candidate.name, files, (candidate / "assets.extra" / "sample.json").read_text()))
    assert made[0] == made[1]


def test_an_export_that_does_not_fit_on_the_disk(trained, tmp_path):
    """A limit of the size of files stands in for a full disk, which needs a file system of its own."""
    shutil.copytree(trained.volume, tmp_path / "volume")
    workspace = type(trained)(tmp_path / "volume", trained.settings | {"CHECKPOINTS": trained.output("checkpoints")})
    command = ["/bin/sh", "-c", f"ulimit -f 1024; exec {sys.executable} -m steps.export"]
    done = subprocess.run(command, cwd=ROOT, env=workspace.environment(), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "staging" in done.stderr
    assert workspace.run("export")[0] == 0


def test_a_new_run_goes_on_and_a_damaged_newest_checkpoint_is_set_aside(trained, tmp_path):
    shutil.copytree(trained.volume, tmp_path, dirs_exist_ok=True)
    workspace = type(trained)(tmp_path, trained.settings | {"STEPS": "10", "WORKFLOW_UID": "run-2"})
    code, log = workspace.train()
    assert code == 0
    assert "continuing from step-00000400" in log
    assert workspace.evidence(run="run-2")["step"] == 410
    newest = workspace.folders()[-1] / "step-00000410" / "arrays.npz"
    newest.write_bytes(newest.read_bytes()[:1000])
    code, log = workspace.train(WORKFLOW_UID="run-3", STEPS="5")
    assert code == 0
    assert "step-00000410: a damaged checkpoint" in log
    assert "continuing from step-00000400" in log
    evidence = workspace.evidence(run="run-3")
    assert evidence["step"] == 405
    assert [point["step"] for point in evidence["history"] if "accuracy" in point] == [400, 405]


def test_export_answers_as_the_trained_model_does(trained, tmp_path):
    shutil.copytree(trained.volume, tmp_path, dirs_exist_ok=True)
    workspace = type(trained)(tmp_path, trained.settings)
    code, log = workspace.export()
    assert code == 0, log
    candidate = tmp_path / workspace.output("candidate")
    sample = json.loads((candidate / "assets.extra/sample.json").read_text())
    names = list(sample["inputs"])
    assert len(sample["inputs"]["count"]) == 64
    assert None in sample["inputs"]["gappy"]
    assert "" in sample["inputs"]["colour"]
    rows = [dict(zip(names, values, strict=True)) for values in zip(*sample["inputs"].values(), strict=True)]
    blank = {name: "" if isinstance(value, str) else None for name, value in rows[0].items()}
    strange = [blank] + [rows[0] | {"count": value, "constant": value, "empty": value, "gappy": -value} for value in (3e38, 0.0, -1e9)]
    strange.append(rows[0] | {"colour": "never seen", "city": "\u00e9" * 1000})
    answers = np.array(asked(candidate, rows + strange))
    alone, together = np.split(answers, 2)
    assert np.abs(alone - together).max() < 1e-5
    assert np.isfinite(answers).all()
    assert np.abs(answers.sum(axis=1) - 1).max() < 1e-5
    assert np.abs(alone[:64] - np.array(sample["outputs"]["probabilities"])).max() < 1e-5


@pytest.mark.parametrize(("kind", "batch_size"), [("numbers", "8"), ("categories", "1")])
def test_tiny_data_of_one_kind_of_column(tmp_path, prepared_writer, workspace, kind, batch_size):
    """No categories, or no numbers; fewer rows than a batch, or a batch of one row."""
    column = {"value": np.array([1, np.nan, 3], np.float32)} if kind == "numbers" else {"value": ["a", "", "c"]}
    part = {"label": [0, 1, 1]} | column
    prepared_writer(tmp_path / "tiny", part, {name: values[:1] for name, values in part.items()})
    code, log = workspace.train(PREPARED="tiny", STEPS="3", BATCH_SIZE=batch_size)
    assert code == 0, log
    assert workspace.evidence()["examples"] == 1
    code, log = workspace.export(PREPARED="tiny", BATCH_SIZE=batch_size)
    assert code == 0, log


def test_a_checkpoint_that_does_not_fit_on_the_disk(workspace):
    """A limit of the size of files stands in for a full disk, which needs a file system of its own."""
    command = ["/bin/sh", "-c", f"ulimit -f 4096; exec {sys.executable} -m steps.train"]
    environment = workspace.environment(STEPS="2")
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2, done.stderr
    assert f"File too large: {workspace.folders()[0]}" in done.stderr
    assert "; mend the path, its rights or the free space" in done.stderr
    assert "Traceback" not in done.stderr
    assert not [path.name for path in workspace.folders()[0].iterdir() if path.is_dir()], "nothing half-written stays"


def test_the_log_is_for_people_and_home_is_left_alone(trained):
    assert not list((trained.volume / "home").iterdir())
    for line in trained.log.splitlines():
        assert not line.startswith(("WARNING", "I0000", "W0000", "E0000"))
        assert "oneDNN" not in line


@pytest.mark.skipif(not CENSUS.is_dir(), reason=f"needs the UCI census income data (adult.data, adult.test) in {CENSUS}")
def test_census_reaches_the_accuracy_that_is_asked_of_it(workspace):
    shutil.copytree(CENSUS, workspace.volume / "datasets/census")
    settings = {"DATA": "datasets/census", "DATA_FORMAT": "census"}
    code, log = workspace.run("prepare", **settings)
    assert code == 0, log
    code, log = workspace.train(PREPARED=workspace.output("prepared"), STEPS="500", BATCH_SIZE="512", TARGET_ACCURACY="0.85")
    assert code == 0, log
    assert workspace.evidence()["accuracy"] >= 0.855
    assert workspace.evidence()["majority_class_rate"] == pytest.approx(0.7638, abs=1e-4)
