"""The step contract, through a real process: settings, outputs and exit codes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from steps import contract

STEP = """
import errno, os, sys, time
from dataclasses import dataclass
from steps import contract

@dataclass(frozen=True)
class Settings:
    target_accuracy: contract.Fraction
    steps: contract.Positive
    what: contract.Text

@dataclass(frozen=True)
class Outputs:
    accuracy: float
    nothing: str | None

def main(settings: Settings) -> Outputs:
    if settings.what == "wait":
        try:
            print("waiting", file=sys.stderr, flush=True)
            time.sleep(60)
        except Exception as error:
            raise contract.BadInput("a library took the signal for an error of its own") from error
    if settings.what.startswith("errno:"):
        code = getattr(errno, settings.what[6:])
        raise OSError(code, os.strerror(code), "/data/file")
    if settings.what != "fine":
        raise getattr(contract, settings.what, KeyError)("what it says")
    return Outputs(0.5, None)

contract.run(main)
"""
FINE = {"TARGET_ACCURACY": "0.75", "STEPS": "5", "WHAT": "fine"}


def start(settings: dict[str, str], **more: str) -> "subprocess.Popen[str]":
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": os.getcwd(), **settings, **more}
    return subprocess.Popen([sys.executable, "-c", STEP], env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def run(settings: dict[str, str], **more: str) -> tuple[int, str]:
    with start(settings, **more) as process:
        _, log = process.communicate(timeout=30)
    return process.returncode, log


def test_outputs_are_files_of_their_name(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there" / "yet"
    assert run(FINE, OUTPUTS_FOLDER=str(folder)) == (0, "")
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"accuracy": "0.5", "nothing": ""}


def test_without_a_folder_outputs_are_told() -> None:
    assert run(FINE) == (0, "accuracy: 0.5\nnothing: None\n")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("TARGET_ACCURACY", "abc", "a number above 0 and at most 1"),
        ("TARGET_ACCURACY", "75", "a number above 0 and at most 1"),
        ("TARGET_ACCURACY", "-1", "a number above 0 and at most 1"),
        ("TARGET_ACCURACY", "nan", "a number above 0 and at most 1"),
        ("STEPS", "0", "a whole number, 1 or more"),
        ("STEPS", "5.0", "a whole number, 1 or more"),
        ("STEPS", "９", "a whole number, 1 or more"),
        ("STEPS", "", "a whole number, 1 or more"),
        ("WHAT", "two\nlines", "one line of text"),
    ],
)
def test_a_wrong_setting_is_named_before_any_work(name: str, value: str, expected: str) -> None:
    code, log = run({**FINE, name: value})
    assert code == 2
    assert log.startswith(f"{name}: expected {expected}")
    assert repr(value) in log
    assert "Traceback" not in log


def test_a_missing_setting_is_named() -> None:
    settings = {name: value for name, value in FINE.items() if name != "STEPS"}
    code, log = run(settings)
    assert (code, "STEPS" in log, "not set" in log) == (2, True, True)


@pytest.mark.parametrize(
    ("what", "code", "trace"),
    [
        ("BadInput", 2, False),
        ("BelowTarget", 3, False),
        ("BudgetSpent", 4, False),
        ("Transient", 138, False),
        ("a bug", 1, True),
        ("errno:ENOSPC", 2, False),
        ("errno:EACCES", 2, False),
        ("errno:EROFS", 2, False),
        ("errno:ENOENT", 2, False),
        ("errno:EIO", 138, False),
        ("errno:ESTALE", 138, False),
        ("errno:ECONNREFUSED", 138, False),
        ("errno:EDOM", 1, True),
    ],
)
def test_each_end_has_its_exit_code(what: str, code: int, trace: bool) -> None:
    got, log = run({**FINE, "WHAT": what})
    assert (got, "Traceback" in log) == (code, trace)
    if what.startswith("errno:") and not trace:
        assert "/data/file" in log


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_a_step_without_a_stack_trace(number: signal.Signals, code: int) -> None:
    with start({**FINE, "WHAT": "wait"}) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "waiting\n"
        process.send_signal(number)
        _, log = process.communicate(timeout=30)
    assert (process.returncode, "Traceback" in log, "run again" in log) == (code, False, True)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (contract.NAME, ["a", "wide-deep_1.0", "_x"], ["", ".", "..", "-x", "a/b", "a b", "é", "x" * 200]),
        (contract.PORT, ["1", "65535"], ["0", "65536", "-1", "http", "8500 "]),
        (contract.COUNT, ["0", "10"], ["-1", "1e3", "0x10", "9" * 30]),
        (contract.FRACTION, ["1", "0.0001", ""], ["0", "1.01", "inf", "75%"]),
        (contract.SHA256, ["", "ab" * 32], ["ab", "xy" * 32]),
        (contract.FOLDER, ["/", "/nfs"], ["", "nfs", "./nfs"]),
    ],
)
def test_kinds_take_and_refuse(kind: contract.Kind, good: list[str], bad: list[str]) -> None:
    for text in good:
        contract.parse("NAME", kind, text)
    for text in bad:
        with pytest.raises(contract.BadInput, match="NAME: expected"):
            contract.parse("NAME", kind, text)


def test_the_contract_imports_the_standard_library_only() -> None:
    code = "import json, sys, steps.contract; print(json.dumps([m.split('.')[0] for m in sys.modules]))"
    loaded = set(json.loads(subprocess.run([sys.executable, "-S", "-c", code], check=True, capture_output=True, text=True).stdout))
    assert loaded - set(sys.stdlib_module_names) <= {"__main__", "steps", "sitecustomize", "usercustomize"}
