"""The gate around programs of any kind: exit codes, budgets, evidence, signals and locks. No program here trains anything."""

import contextlib
import json
import os
import signal
import time
from pathlib import Path

import pytest

PRELUDE = "#!/bin/sh\n"


@pytest.fixture
def gated(workspace, tmp_path):
    """The workspace with a shell script for a training program: `gated(body)` sets what the script does."""
    folder = tmp_path / "program"
    folder.mkdir()

    def write(body: str) -> None:
        (folder / "program").write_text(PRELUDE + body + "\n")
        (folder / "program").chmod(0o755)

    workspace.settings = {"MODEL_DIR": str(folder), "MODEL_SCRIPT": "program"}
    workspace.program = write
    return workspace


def says(accuracy: float, examples: int = 300, **more) -> str:
    """A line of shell that writes a RESULT."""
    return f"echo '{json.dumps({'accuracy': accuracy, 'examples': examples, 'step': 20} | more)}' > $RESULT"


def wait_until(condition, what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"waited too long until {what}"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] not in "ZX"
    return False


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("TARGET_ACCURACY", "abc", "a number above 0 and at most 1"),
        ("TARGET_ACCURACY", "75", "a number above 0 and at most 1"),
        ("TARGET_ACCURACY", "-1", "a number above 0 and at most 1"),
        ("TARGET_ACCURACY", "0", "a number above 0 and at most 1"),
        ("TARGET_ACCURACY", "nan", "a number above 0 and at most 1"),
        ("STEPS", "0", "a whole number, 1 or more"),
        ("BATCH_SIZE", "12.5", "a whole number, 1 or more"),
        ("RETRY_LIMIT", "-1", "a whole number, 0 or more"),
        ("MODEL_SCRIPT", "../elsewhere", "a name"),
        ("MODEL_SCRIPT", "nothing.py", "no such file"),
        ("PREPARED", "elsewhere", "without a schema.json"),
    ],
)
def test_bad_settings_are_refused_before_training(gated, name, value, expected):
    gated.program("touch $CHECKPOINTS/ran")
    code, log = gated.train(**{name: value})
    assert code == 2
    assert log.startswith(f"{name}: expected")
    assert expected in log
    assert not list(gated.volume.glob("**/ran"))


def test_accuracy_budget_is_spent_attempt_by_attempt(gated):
    gated.program("echo x >> $CHECKPOINTS/count\n" + says(0.7, checkpoint="step-20"))
    ends = [gated.train(TARGET_ACCURACY="0.75") for _ in range(4)]
    assert [code for code, _ in ends] == [3, 3, 4, 4]
    for number, (_, log) in enumerate(ends[:3], start=1):
        assert f"accuracy 0.7000 [0.6459, 0.7491] is below the target 0.75: attempt {number} of 3" in log
    assert (gated.folders()[0] / "count").read_text() == "x\n" * 3, "a start without an attempt left trains nothing"
    for attempt in (1, 2, 3):
        evidence = gated.evidence(attempt)
        assert (evidence["verdict"], evidence["attempt"], evidence["target"]) == ("missed", attempt, 0.75)
    assert not (gated.volume / "outputs").exists()


def test_a_pass_writes_outputs_and_evidence_and_is_not_repeated(gated):
    history = [{"step": 20, "loss": 0.4, "accuracy": 0.9}]
    gated.program(
        "echo x >> $CHECKPOINTS/count\n" + says(0.9, checkpoint="step-20", auc=0.95, loss=0.4, history=history, versions={"numpy": "2"})
    )
    first, second = gated.train(TARGET_ACCURACY="0.75"), gated.train(TARGET_ACCURACY="0.75")
    assert (first[0], second[0]) == (0, 0), first[1] + second[1]
    assert (gated.folders()[0] / "count").read_text() == "x\n"
    low, high = float(gated.output("accuracy_low")), float(gated.output("accuracy_high"))
    assert (gated.output("accuracy"), gated.output("attempts")) == ("0.9", "1")
    assert low < 0.9 < high
    evidence = json.loads((gated.volume / gated.output("evidence")).read_text())
    assert evidence == gated.evidence() | {"verdict": "passed", "interval": [low, high], "auc": 0.95, "examples": 300, "seed": 1}
    assert evidence["parameters"]["TARGET_ACCURACY"] == 0.75
    assert evidence["versions"]["numpy"] == "2"
    assert evidence["history"] == history
    assert evidence["data_sha256"] == "0" * 64
    assert (gated.volume / gated.output("checkpoints")) == gated.folders()[0]


def test_majority_class_never_passes_and_the_message_says_so(gated):
    counts = json.loads((gated.volume / "prepared/schema.json").read_text())["eval"]["class_counts"]
    gated.program(says(max(counts) / 300))
    code, log = gated.train(TARGET_ACCURACY="0.1", RETRY_LIMIT="0")
    assert code == 4
    assert f"always answering the majority class, {max(counts) / 300:.4f}, though it reaches the target 0.1" in log


def test_without_a_target_a_poor_model_is_only_warned_of(gated):
    gated.program(says(0.3))
    code, log = gated.train()
    assert code == 0
    assert "not surely better than always answering the majority class" in log
    assert gated.evidence()["verdict"] == "unchecked"


@pytest.mark.parametrize("result", ["echo nonsense > $RESULT", says(0.9, examples=299), says(90), "true"])
def test_results_that_are_not_believed(gated, result):
    gated.program(result)
    code, log = gated.train(TARGET_ACCURACY="0.75")
    assert code == 2
    assert "RESULT: expected" in log
    assert gated.attempts()["attempts"] == []


def test_an_old_result_is_not_believed(gated):
    gated.program(says(0.7) + "\nif [ $ATTEMPT = 2 ]; then rm $RESULT; exit 0; fi")
    assert gated.train(TARGET_ACCURACY="0.75")[0] == 3
    assert gated.train(TARGET_ACCURACY="0.75")[0] == 2


def test_a_program_that_says_nothing_passes_where_nothing_is_checked(gated):
    gated.program("true")
    code, log = gated.train()
    assert code == 0, log
    assert (gated.output("accuracy"), gated.output("attempts")) == ("", "1")
    assert gated.evidence()["accuracy"] is None


@pytest.mark.parametrize(
    ("body", "code", "judged"),
    [
        ("exit 1", 1, 0),
        ("exit 2", 2, 0),
        ("exit 3", 3, 1),
        (says(0.9) + "; exit 3", 3, 1),
        ("exit 4", 4, 1),
        ("exit 5", 1, 0),
        ("exit 77", 1, 0),
        ("no-such-command", 1, 0),
        ("exit 138", 138, 0),
        ("exit 143", 143, 0),
        ("kill -KILL $$", 137, 0),
        ("kill -SEGV $$", 139, 0),
    ],
)
def test_exit_codes_of_a_program_are_taken_at_their_word(gated, body, code, judged):
    gated.program(body)
    assert gated.train(TARGET_ACCURACY="0.75")[0] == code
    assert len(gated.attempts()["attempts"]) == judged


def test_a_program_that_gives_up_ends_the_run(gated):
    gated.program("exit 4")
    assert gated.train(TARGET_ACCURACY="0.75")[0] == 4
    assert gated.train(TARGET_ACCURACY="0.75")[0] == 4
    assert gated.attempts()["starts"] == 1


def test_kills_use_up_restarts_and_no_attempt(gated):
    gated.program(f"echo x >> $CHECKPOINTS/count\n[ $(wc -l < $CHECKPOINTS/count) -le 2 ] && exit 137\n{says(0.7)}")
    codes = [gated.train(TARGET_ACCURACY="0.75", RETRY_LIMIT="1")[0] for _ in range(4)]
    assert codes == [137, 137, 3, 4]
    assert [gated.attempts()["starts"], len(gated.attempts()["attempts"])] == [4, 2]


def test_restarts_have_a_limit(gated):
    gated.program("exit 137")
    ends = [gated.train() for _ in range(4)]
    assert [code for code, _ in ends] == [137, 137, 137, 1]
    assert "RESTART_LIMIT allows 2" in ends[3][1]


def test_a_new_run_has_a_fresh_budget_in_the_same_folder(gated):
    gated.program(says(0.7))
    assert [gated.train(TARGET_ACCURACY="0.75", RETRY_LIMIT="0", WORKFLOW_UID=run)[0] for run in ("one", "one", "two")] == [4, 4, 4]
    assert len(gated.folders()) == 1
    assert gated.attempts("two")["starts"] == 1


@pytest.mark.parametrize(
    ("name", "value", "says_so"), [("BATCH_SIZE", "64", "BATCH_SIZE is 64, was 32"), ("SEED", "2", "SEED is 2, was 1")]
)
def test_changed_settings_start_afresh_and_say_so(gated, name, value, says_so):
    gated.program(says(0.9))
    gated.train()
    code, log = gated.train(**{name: value})
    assert code == 0
    assert "starting afresh" in log
    assert says_so in log
    assert len(gated.folders()) == 2


def test_a_changed_program_starts_afresh(gated):
    gated.program(says(0.9))
    gated.train()
    gated.program(says(0.91))
    assert "MODEL_SCRIPT is program" in gated.train()[1]


def test_what_a_program_finds_in_its_environment(gated):
    gated.program("pwd > $CHECKPOINTS/found; env >> $CHECKPOINTS/found; echo $1 >> $CHECKPOINTS/found")
    assert gated.train()[0] == 0
    folder = gated.folders()[0]
    found = (folder / "found").read_text().splitlines()
    assert (found[0], found[-1]) == (gated.settings["MODEL_DIR"], "train")
    for line in (f"PREPARED={gated.volume}/prepared", f"CHECKPOINTS={folder}", "ATTEMPT=1", "RUN_ID=run-1", "STEPS=20", "TARGET_ACCURACY="):
        assert line in found
    assert not [line for line in found if line.startswith("OUTPUTS_FOLDER=")]


def test_a_file_that_is_no_program(gated):
    gated.program("true")
    path = Path(gated.settings["MODEL_DIR"], "program")
    path.chmod(0o644)
    assert gated.train()[0] == 2
    path.write_text("no first line")
    path.chmod(0o755)
    code, log = gated.train()
    assert code == 2
    assert "cannot be started" in log


def test_a_target_beyond_what_is_possible_is_warned_of(gated):
    path = gated.volume / "prepared/schema.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"synthetic": True, "best_accuracy": 0.8}))
    gated.program(says(0.79))
    code, log = gated.train(TARGET_ACCURACY="0.9", RETRY_LIMIT="0")
    assert code == 4
    assert "above 0.8000, the best that any model can reach" in log
    assert (gated.evidence()["synthetic"], gated.evidence()["best_accuracy"]) == (True, 0.8)


def test_sigterm_reaches_the_program_which_is_waited_for(gated):
    gated.program('trap "echo saved > $CHECKPOINTS/saved; exit 143" TERM\ntouch $CHECKPOINTS/ready\nwhile true; do sleep 0.05; done')
    process = gated.start("train")
    wait_until(lambda: list(gated.volume.glob("ann/clicks/checkpoints/*/ready")), "the program runs")
    process.send_signal(signal.SIGTERM)
    log, _ = process.communicate(timeout=30)
    assert process.returncode == 143, log
    assert (gated.folders()[0] / "saved").exists()
    assert gated.attempts()["attempts"] == []


def test_sigterm_reaches_what_a_shell_script_runs(gated):
    gated.program("sleep 300 & echo $! > $CHECKPOINTS/child; wait")
    process = gated.start("train")
    wait_until(lambda: any(path.read_text() for path in gated.volume.glob("ann/clicks/checkpoints/*/child")), "the child runs")
    child = int((gated.folders()[0] / "child").read_text())
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 143
    wait_until(lambda: not alive(child), "the child has ended")


def test_a_program_and_what_it_runs_die_with_a_step_that_was_killed(gated):
    gated.program("sleep 300 & echo $! > $CHECKPOINTS/pid; wait")
    process = gated.start("train")
    wait_until(lambda: any(path.read_text() for path in gated.volume.glob("ann/clicks/checkpoints/*/pid")), "the program runs")
    pid = int((gated.folders()[0] / "pid").read_text())
    process.kill()
    process.communicate(timeout=30)
    wait_until(lambda: not alive(pid), "the program has ended")
    gated.program(says(0.9))
    assert gated.train()[0] == 0, "the lock went with it"


def test_the_second_of_two_at_once_is_refused(gated):
    gated.program("touch $CHECKPOINTS/ready; while [ ! -e $CHECKPOINTS/go ]; do sleep 0.05; done\n" + says(0.9))
    process = gated.start("train")
    wait_until(lambda: list(gated.volume.glob("ann/clicks/checkpoints/*/ready")), "the program runs")
    code, log = gated.train(WORKFLOW_UID="run-2")
    assert code == 2
    assert "another run trains or exports here" in log
    (gated.folders()[0] / "go").touch()
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_a_damaged_count_of_attempts_is_named(gated):
    gated.program(says(0.7))
    gated.train(TARGET_ACCURACY="0.75")
    (gated.folders()[0] / "attempts-run-1.json").write_text("{")
    code, log = gated.train(TARGET_ACCURACY="0.75")
    assert code == 2
    assert "attempts-run-1.json: expected the count" in log


def test_an_unwritable_volume_is_bad_input(gated):
    if os.geteuid() == 0:
        blocked = gated.volume / "ann"  # root may write anywhere, but not into a file
        blocked.write_text("")
    else:
        gated.volume.chmod(0o555)
    gated.program("true")
    code, log = gated.train()
    assert code == 2
    assert "Traceback" not in log
