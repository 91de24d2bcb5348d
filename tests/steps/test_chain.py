"""Several steps in one container: outputs feed settings, the first failure ends it, signals reach the step."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = """
import sys, time
from dataclasses import dataclass
from steps import contract

@dataclass(frozen=True)
class Settings:
    {setting}: contract.Text

@dataclass(frozen=True)
class Outputs:
    {output}: str

def main(settings: Settings) -> Outputs:
    value = settings.{setting}
    if value == "wait":
        print("waiting", file=sys.stderr, flush=True)
        time.sleep(60)
    if value == "bad":
        raise contract.BadInput("it is bad")
    return Outputs(value + "+{output}")

if __name__ == "__main__":
    contract.run(main)
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """The environment of a chain over two small steps, first_one and second_one, beside the real package."""
    package = tmp_path / "extra"
    package.mkdir()
    (package / "first_one.py").write_text(MODULE.format(setting="start", output="middle"))
    (package / "second_one.py").write_text(MODULE.format(setting="middle", output="final"))
    (tmp_path / "sitecustomize.py").write_text(f"import steps; steps.__path__.append({str(package)!r})")
    return {**os.environ, "PYTHONPATH": f"{tmp_path}:{os.getcwd()}", "OUTPUTS_FOLDER": str(tmp_path / "outputs")}


def chain(environ: dict[str, str], start: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "steps.chain", "first_one", "second_one"]
    return subprocess.Popen(command, env={**environ, "START": start}, text=True, stderr=subprocess.PIPE)


def test_outputs_of_a_step_are_settings_of_the_next(environ: dict[str, str], tmp_path: Path) -> None:
    with chain(environ, "go") as process:
        process.communicate(timeout=30)
    assert process.returncode == 0
    assert (tmp_path / "outputs" / "final").read_text() == "go+middle+final"


def test_the_first_failure_ends_the_chain_with_its_exit_code(environ: dict[str, str], tmp_path: Path) -> None:
    with chain(environ, "bad") as process:
        _, log = process.communicate(timeout=30)
    assert (process.returncode, log) == (2, "-- first_one\nit is bad\n")
    assert not (tmp_path / "outputs" / "final").exists()


def test_sigterm_reaches_the_step_that_runs(environ: dict[str, str]) -> None:
    with chain(environ, "wait") as process:
        assert process.stderr is not None
        assert [process.stderr.readline() for _ in range(2)] == ["-- first_one\n", "waiting\n"]
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 143


def test_a_chain_that_was_told_to_stop_starts_no_further_step(environ: dict[str, str], tmp_path: Path) -> None:
    code = (
        "import signal, sys; from pathlib import Path; from steps import chain\n"
        "stops = chain._Stops; wait = stops.wait_for\n"
        "stops.wait_for = lambda self, child: (wait(self, child), signal.raise_signal(signal.SIGTERM))[0]\n"
        "sys.exit(chain.main(['first_one', 'second_one']))"
    )
    done = subprocess.run([sys.executable, "-c", code], env={**environ, "START": "go"}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (143, "-- first_one\n")
    assert not (tmp_path / "outputs" / "final").exists()


def test_no_step_is_a_mistake() -> None:
    done = subprocess.run([sys.executable, "-m", "steps.chain"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.startswith("usage:")) == (2, True)
