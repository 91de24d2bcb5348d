"""The benchmark step: what it starts, what it hands on, and how each end of the client becomes one of the step."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RESULT = {
    "rows": 200,
    "accuracy": 0.8,
    "throughput_rows_per_s": 1234.5,
    "requests_per_s": 9.6,
    "latency_ms": {"p50": 1.5, "p90": 2.0, "p99": 3.25},
}


@pytest.fixture
def client(tmp_path):
    """A folder with a client of its own, which does what it is told and says what it was asked."""

    def make(*, result=None, code=0, does=""):
        package = tmp_path / "clients" / "benchmark"
        package.mkdir(parents=True)
        (tmp_path / "clients/__init__.py").touch()
        (package / "__init__.py").touch()
        (package / "__main__.py").write_text(
            textwrap.dedent(f"""
            import sys, time, pathlib
            print("arguments", *sys.argv[1:], flush=True)
            {does}
            if {result!r} is not None:
                pathlib.Path(sys.argv[sys.argv.index("--json") + 1]).write_text({json.dumps(result)!r})
            sys.exit({code})
            """)
        )
        return tmp_path

    return make


def start(folder, **settings):
    environment = {
        "NFS_PATH": folder / "volume",
        "USER_NAME": "user",
        "MODEL_NAME": "model",
        "OUTPUT_DIR": "output",
        "PREPARED": "user/model/prepared/abc",
    }
    environment |= {
        "ADDRESS": "localhost:8500",
        "WORKFLOW_UID": "run-1",
        "OUTPUTS_FOLDER": folder / "outputs",
        "PYTHONPATH": ROOT,
    } | settings
    environment = os.environ | {name: str(value) for name, value in environment.items()}
    return subprocess.Popen([sys.executable, "-m", "steps.benchmark"], cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)


def run(folder):
    with start(folder) as step:
        log = step.communicate(timeout=60)[1]
    return step.returncode, log


def outputs(folder):
    return {path.name: path.read_text() for path in (folder / "outputs").iterdir()}


def test_it_runs_the_client_and_hands_its_figures_on(client):
    folder = client(result=RESULT)
    code, log = run(folder)
    assert code == 0, log
    assert outputs(folder) == {
        "throughput": "1234.5",
        "latency_p50_ms": "1.5",
        "latency_p99_ms": "3.25",
        "result": "user/model/output/benchmark/run-1.json",
    }
    assert json.loads((folder / "volume/user/model/output/benchmark/run-1.json").read_text()) == RESULT
    arguments = f"-s localhost:8500 -d {folder}/volume/user/model/prepared/abc/eval.csv --model model -b 128 -n 400 -w 20 --json"
    assert f"arguments {arguments}" in log
    assert [path.name for path in (folder / "volume/user/model/output/benchmark").iterdir()] == ["run-1.json"]


def test_a_percentile_that_cannot_be_told_is_an_empty_output(client):
    folder = client(result=RESULT | {"latency_ms": {"p50": 1.5, "p90": None, "p99": None}})
    assert run(folder)[0] == 0
    assert outputs(folder)["latency_p99_ms"] == ""


@pytest.mark.parametrize(
    ("ends", "code", "message"),
    [
        ({"code": 10}, 138, "no request succeeded"),
        ({"code": 2}, 2, "it refused its input"),
        ({"code": 7}, 1, "unexpected exit code 7"),
        ({"does": "import os; os.kill(os.getpid(), 9)"}, 138, "killed (exit code -9)"),
    ],
)
def test_an_end_of_the_client_is_an_end_of_the_step(client, ends, code, message):
    folder = client(**ends)
    got, log = run(folder)
    assert (got, message in log, "Traceback" in log) == (code, True, False), log
    assert list((folder / "volume/user/model/output/benchmark").iterdir()) == []


def test_the_client_ends_with_the_step(client):
    folder = client(does="print('pid', __import__('os').getpid(), flush=True); time.sleep(60)")
    with start(folder) as step:
        pid = next(int(line.split()[1]) for line in step.stderr if line.startswith("pid"))
        step.send_signal(signal.SIGTERM)
        step.communicate(timeout=30)
    assert step.returncode == 143
    assert not Path(f"/proc/{pid}").exists()
