"""A chain with no workflow engine around it: what is started again, what is not, and the log that stays."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

# A step that ends with the codes of a list, one a start, and waits where the code is "wait".
MODULE = """
import sys, time
from pathlib import Path

codes = Path(sys.argv[0]).with_name("codes")
first, *rest = codes.read_text().split()
codes.write_text(" ".join(rest))
print(f"this start ends with {first}", file=sys.stderr, flush=True)
time.sleep(60 if first == "wait" else 0)
sys.exit(int(first))
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """The environment of `python -m steps.alone step`, its waits as good as none."""
    package = tmp_path / "extra"
    package.mkdir()
    (package / "step.py").write_text(MODULE)
    (tmp_path / "sitecustomize.py").write_text(
        f"import steps; steps.__path__.append({str(package)!r})\nimport steps.alone\nsteps.alone.FIRST_WAIT_S = 0.01"
    )
    places = {"NFS_PATH": str(tmp_path / "volume"), "USER_NAME": "ann", "MODEL_NAME": "clicks", "OUTPUT_DIR": "output"}
    return {**os.environ, **places, "RESTART_LIMIT": "2", "PYTHONPATH": f"{tmp_path}:{os.getcwd()}", "OUTPUTS_FOLDER": str(tmp_path / "o")}


def start(environ: dict[str, str], tmp_path: Path, codes: str) -> "subprocess.Popen[str]":
    (tmp_path / "extra" / "codes").write_text(codes)
    return subprocess.Popen([sys.executable, "-W", "ignore", "-m", "steps.alone", "step"], env=environ, text=True, stderr=subprocess.PIPE)


@pytest.mark.parametrize(
    ("codes", "ends_with", "starts"),
    [
        ("0", 0, 1),
        ("3 3 3 0", 0, 4),
        ("138 0", 0, 2),
        ("137 143 0", 0, 3),
        ("138 138 138 0", 138, 3),
        ("3 138 3 138 4", 4, 5),
        ("2 0", 2, 1),
        ("1 0", 1, 1),
        ("4 0", 4, 1),
    ],
)
def test_a_step_is_started_again_by_the_table_of_exit_codes(
    environ: dict[str, str], tmp_path: Path, codes: str, ends_with: int, starts: int
) -> None:
    with start(environ, tmp_path, codes) as process:
        _, said = process.communicate(timeout=60)
    log = (tmp_path / "volume/ann/clicks/output/training.log").read_text()
    assert (process.returncode, said.count("this start ends"), log.count("this start ends")) == (ends_with, starts, starts), said
    if ends_with:
        assert f"the steps ended with exit code {ends_with}" in said
    else:
        assert (tmp_path / "o/log").read_text() == "ann/clicks/output/training.log"


def test_a_signal_to_stop_reaches_the_step_and_nothing_is_started_again(environ: dict[str, str], tmp_path: Path) -> None:
    with start(environ, tmp_path, "wait 0") as process:
        assert process.stderr is not None
        while "this start ends" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 143, said
    assert (tmp_path / "extra" / "codes").read_text() == "0"


def test_without_a_step_it_says_how(environ: dict[str, str]) -> None:
    done = subprocess.run([sys.executable, "-m", "steps.alone"], env=environ, text=True, capture_output=True, check=False)
    assert (done.returncode, "usage: python -m steps.alone STEP" in done.stderr) == (2, True)
