"""The validate step: what it lets through, what it puts aside and why, and that nothing is ever half-published."""

import json
import random
import re
import shutil
import subprocess
import sys
import textwrap

import pytest

from steps import contract, validate
from steps.release import records, repository
from steps.release.checks import BadModel
from steps.release.records import Record


def settings(workspace, models, candidate, run="run-1", keep=2):
    return validate.Settings(workspace.volume, "user", "model", "output", candidate, str(models / "prepared"), keep, run)


def environment(models, candidate, run="run-1"):
    return {"CANDIDATE": candidate, "PREPARED": models / "prepared", "WORKFLOW_UID": run}


def test_a_good_candidate_is_published_with_what_a_server_needs(workspace, models):
    candidate = workspace.stage(models / "good-1")
    code, log = workspace.run("steps.validate", **environment(models, candidate))
    assert (code, workspace.outputs()) == (0, {"version": "1"}), log
    assert "oneDNN" not in log
    extra = workspace.places.version(1) / "assets.extra"
    assert sorted(path.name for path in extra.iterdir()) == ["release.json", "sample.json", "tf_serving_warmup_requests"]
    assert list(workspace.places.staging.iterdir()) == []
    assert workspace.records() == [("publish", 1, None)]


def test_warm_up_requests_are_what_tensorflow_serving_reads(workspace, models):
    """Read with TensorFlow and the messages of tensorflow-serving-api."""
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    validate.main(settings(workspace, models, workspace.stage(models / "good-1")))
    path = workspace.places.version(1) / repository.WARM_UP
    logs = [prediction_log_pb2.PredictionLog.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(path))]
    requests = [log.predict_log.request for log in logs]
    assert [tf.make_ndarray(request.inputs["C1"]).shape for request in requests] == [(1,), (16,)]
    assert {(request.model_spec.name, request.model_spec.signature_name) for request in requests} == {("model", "serving_default")}


@pytest.mark.parametrize("model", ["nearly-equal-sample", "no-sample"])
def test_what_may_differ(workspace, models, model):
    assert validate.main(settings(workspace, models, workspace.stage(models / model))).version == 1


def test_without_a_sample_the_answers_of_the_model_are_recorded(workspace, models):
    validate.main(settings(workspace, models, workspace.stage(models / "no-sample")))
    sample = json.loads((workspace.places.version(1) / repository.SAMPLE).read_text())
    assert {name: len(values) for name, values in sample["inputs"].items()} == {"I1": 41, "I2": 41, "C1": 41, "C2": 41}
    assert sample["inputs"]["I1"][0] is None
    assert len(sample["outputs"]["probabilities"]) == 41


BAD = {
    "unequal-sample": "the trainer's answers to the sample and the SavedModel's: expected \\[",
    "nan": "probabilities of rows of eval and an all-blank row: expected finite numbers, got nan in row 0",
    "nan-where-blank": "probabilities of rows of eval and an all-blank row: expected finite numbers, got nan in row 0",
    "mixed-rows": "one row alone and the same row among others: expected",
    "refuses": "the model fails to answer rows of eval and an all-blank row.*no rows for me",
    "no-probabilities": "expected an output probabilities of float32 \\[N, 2\\], got only class_ids, logits",
    "no-class-ids": "expected an output class_ids of int64 \\[N, 1\\], got only logits, probabilities",
    "three-classes": "output probabilities: expected float32 \\[N, 2\\], got float32 \\[N, 3\\]",
    "sums-to-two": "expected each row to sum to 1, got \\[",
    "flat-class-ids": "output class_ids: expected int64 \\[N, 1\\], got int64 \\[N\\]",
    "class-id-7": "class_ids of rows of eval and an all-blank row: expected 0 to 1, got 7 in row 0",
    "text-class-ids": "output class_ids: expected int64 \\[N, 1\\], got string \\[N, 1\\]",
    "input-missing": "expected one input per column of schema.json, got others: missing C2",
    "input-unexpected": "expected one input per column of schema.json, got others: unexpected C3",
    "input-double": "input I1: expected float32 \\[N\\], got float64 \\[N\\]",
    "input-matrix": "input C1: expected string \\[N\\], got string \\[N, 1\\]",
    "input-one-row": "input I2: expected float32 \\[N\\], got float32 \\[1\\]",
    "no-signature": "expected a signature serving_default, got none",
}


@pytest.mark.parametrize("model", BAD)
def test_a_bad_model_is_put_aside_with_the_reason(workspace, models, model):
    with pytest.raises(BadModel, match=BAD[model]) as raised:
        validate.main(settings(workspace, models, workspace.stage(models / model)))
    assert raised.value.exit_code == contract.BAD_INPUT
    assert repository.versions(workspace.places.repository) == []
    assert list(workspace.places.staging.iterdir()) == []
    assert json.loads((workspace.places.rejected / "run-1/reason.json").read_text())["reason"] == workspace.last_reason()
    assert workspace.records() == [("reject", None, None)]


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def garble(path):
    content = bytearray(path.read_bytes())
    content[10:40] = bytes(30)
    path.write_bytes(bytes(content))


def write(text):
    return lambda path: path.write_text(text)


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        ("saved_model.pb", lambda path: path.unlink(), "does not load"),
        ("saved_model.pb", truncate, "does not load"),
        ("saved_model.pb", write(""), "does not load|expected a signature"),
        ("variables/variables.data-00000-of-00001", truncate, "does not load"),
        ("variables/variables.data-00000-of-00001", garble, "does not load"),
        ("variables/variables.index", lambda path: path.unlink(), "does not load"),
        ("assets.extra/sample.json", truncate, 'sample.json: expected \\{"inputs"'),
        ("assets.extra/sample.json", write("[]"), 'sample.json: expected \\{"inputs"'),
        ("assets.extra/sample.json", write('{"inputs": {"I1": []}, "outputs": {"probabilities": []}}'), "sample.json: expected"),
        (
            "assets.extra/sample.json",
            write('{"inputs": {"I1": [1, 2]}, "outputs": {"probabilities": [[0, 1]]}}'),
            r"columns have \[2\] rows, its answers 1",
        ),
        ("assets.extra/sample.json", write('{"inputs": {"I1": [1]}, "outputs": {"probabilities": [[0, 1]]}}'), "missing C1, C2, I2"),
        (
            "assets.extra/sample.json",
            write('{"inputs": {"I1": [1], "I2": ["1"], "C1": ["a"], "C2": ["b"]}, "outputs": {"probabilities": [[0, 1]]}}'),
            "column I2: expected numbers, got text",
        ),
    ],
)
def test_a_damaged_candidate_is_put_aside(workspace, models, file, damage, message):
    candidate = workspace.stage(models / "good-1")
    damage(workspace.volume / candidate / file)
    with pytest.raises(BadModel, match=message):
        validate.main(settings(workspace, models, candidate))
    assert repository.versions(workspace.places.repository) == []


def test_a_bad_model_as_a_process_exits_2_each_time_it_is_run(workspace, models):
    candidate = workspace.stage(models / "unequal-sample")
    for _ in range(2):
        code, log = workspace.run("steps.validate", **environment(models, candidate))
        assert code == contract.BAD_INPUT
        assert "the trainer's answers to the sample" in log
        assert "Traceback" not in log
    assert workspace.records() == [("reject", None, None)]


def test_the_same_candidate_of_a_run_is_published_once(workspace, models):
    for _ in range(2):
        assert validate.main(settings(workspace, models, workspace.stage(models / "good-1"))).version == 1
    assert workspace.records() == [("publish", 1, None)]
    assert list(workspace.places.staging.iterdir()) == []
    assert validate.main(settings(workspace, models, "user/model/output/staging/run-1")).version == 1
    another = workspace.stage(models / "good-1", "run-2")
    assert validate.main(settings(workspace, models, another, run="run-2")).version == 2


def test_a_version_number_is_never_used_again(workspace, models):
    for number, expected in ((1, 1), (2, 2), (3, 3)):
        candidate = workspace.stage(models / f"good-{number}", f"run-{number}")
        assert validate.main(settings(workspace, models, candidate, run=f"run-{number}")).version == expected
        shutil.rmtree(workspace.places.version(expected))


def test_only_the_newest_versions_are_kept(workspace, models):
    for number in (1, 2, 3):
        workspace.publish_stub(number)
    assert validate.main(settings(workspace, models, workspace.stage(models / "good-1"), keep=2)).version == 4
    assert repository.versions(workspace.places.repository) == [3, 4]
    assert sorted(path.name for path in workspace.places.repository.iterdir()) == ["3", "4"]


def test_versions_that_a_cluster_may_serve_are_kept(workspace, models):
    """Version 1 was released; a step was killed while it rolled version 2 out, and could not say how far it came."""
    for number in (1, 2, 3):
        workspace.publish_stub(number)
    for record in (Record("roll", 1), Record("deploy", 1), Record("roll", 2, 1)):
        records.append(workspace.places.records, record)
    assert validate.main(settings(workspace, models, workspace.stage(models / "good-1"), keep=1)).version == 4
    assert repository.versions(workspace.places.repository) == [1, 2, 4]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"CANDIDATE": "user/model/output/staging/none"}, "CANDIDATE: expected the folder of an exported model"),
        ({"CANDIDATE": "user/model"}, "CANDIDATE: expected a folder in .*staging, got"),
        ({"MODEL_NAME": "staging"}, "MODEL_NAME: 'staging' is the name of a folder"),
        ({"KEEP_VERSIONS": "0"}, "KEEP_VERSIONS: expected a whole number, 1 or more, got '0'"),
        ({"PREPARED": "nowhere"}, "PREPARED: expected a folder that the step prepare has made, got .*/nowhere"),
    ],
)
def test_bad_settings_are_named(workspace, models, change, message):
    candidate = workspace.stage(models / "good-1")
    code, log = workspace.run("steps.validate", **(environment(models, candidate) | change))
    assert code == contract.BAD_INPUT
    assert "Traceback" not in log
    assert re.search(message, log), log
    assert (workspace.volume / candidate).is_dir()


def test_killed_before_any_of_its_effects_and_run_again_it_ends_the_same(workspace, models):
    """All moments at which something changes, one run each, until a run is no longer killed."""
    for moment in range(1, 200):
        run = f"run-{moment}"
        candidate = workspace.stage(models / "good-1", run)
        code, _ = workspace.run("killed_at.py", str(moment), "validate", **environment(models, candidate, run))
        whole = {path.name for path in workspace.places.repository.glob("[0-9]*") if not (path / "assets.extra/release.json").exists()}
        assert whole == set()
        if code == 0:
            break
        assert code == -9
        again, log = workspace.run("killed_at.py", "0", "validate", **environment(models, candidate, run))
        assert (again, workspace.outputs()["version"]) == (0, str(moment)), log
    assert moment > 10
    assert repository.versions(workspace.places.repository) == [moment - 1, moment]
    assert [record[:2] for record in workspace.records()] == [("publish", number) for number in range(1, moment + 1)]
    assert not list(workspace.output.rglob(".aside-*"))


def test_killed_at_random_moments_and_run_again_it_ends_the_same(workspace, models):
    moments = random.Random(1)
    candidate = workspace.stage(models / "good-1")
    for _ in range(5):
        with workspace.start("steps.validate", **environment(models, candidate)) as step:
            try:
                step.communicate(timeout=moments.uniform(0.1, 4))
            except subprocess.TimeoutExpired:
                step.kill()
    code, log = workspace.run("steps.validate", **environment(models, candidate))
    assert (code, workspace.outputs()["version"]) == (0, "1"), log
    assert workspace.records() == [("publish", 1, None)]


def test_two_at_once_do_not_interleave(workspace, models):
    steps = [
        workspace.start(
            "steps.validate", **environment(models, workspace.stage(models / f"good-{number}", f"run-{number}"), f"run-{number}")
        )
        for number in (1, 2)
    ]
    assert [(step.communicate(timeout=120)[1], step.returncode)[1] for step in steps] == [0, 0]
    assert repository.versions(workspace.places.repository) == [1, 2]
    assert {repository.origin(workspace.places.version(number))["run"] for number in (1, 2)} == {"run-1", "run-2"}


def run_patched(workspace, code, **given):
    """The step in a process in which something is arranged first: exit code and log."""
    command = [sys.executable, "-c", f"{textwrap.dedent(code)}\ncontract.run(validate.main)"]
    done = subprocess.run(command, env=workspace.settings(**given), capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stderr


def test_sigterm_while_the_model_loads_is_no_fault_of_the_model(workspace, models):
    """A library that takes every error for one of its own, as TensorFlow's loading code is taken here, must not see the signal."""
    candidate = workspace.stage(models / "good-1")
    code = """
        import signal
        from steps import contract, validate
        from steps.release import model
        attempt = model.LoadedModel._try
        model.LoadedModel._try = lambda self, what, action: attempt(self, what, lambda: (signal.raise_signal(signal.SIGTERM), action()))
    """
    got, log = run_patched(workspace, code, **environment(models, candidate))
    assert (got, "run again to continue" in log) == (143, True), log
    assert workspace.records() == []
    assert workspace.run("steps.validate", **environment(models, candidate))[0] == 0
    assert workspace.outputs() == {"version": "1"}


def test_a_full_disk_rejects_no_model(workspace, models):
    """The largest size of a file stands in for a full disk, from the moment on at which the model has been loaded."""
    candidate = workspace.stage(models / "good-1")
    code = """
        import resource
        from steps import contract, validate
        from steps.release import model
        load = model.LoadedModel.__init__
        def load_then_full(self, folder):
            load(self, folder)
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        model.LoadedModel.__init__ = load_then_full
    """
    got, log = run_patched(workspace, code, **environment(models, candidate))
    assert got == 2, log
    assert "Traceback" not in log
    assert str(workspace.volume) in log
    assert workspace.records() == []
    assert list(workspace.places.rejected.glob("*")) == []
    assert workspace.run("steps.validate", **environment(models, candidate))[0] == 0
