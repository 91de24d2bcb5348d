"""The command line as a user has it: a process, its output, its exit code."""

import csv
import http.server
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import packages_distributions
from pathlib import Path

import grpc
import pytest

from clients.benchmark import progress
from clients.benchmark.__main__ import main
from clients.benchmark.statistics.histogram import Histogram
from clients.benchmark.statistics.series import Series

CHECKOUT = Path(__file__).parents[3]
# An interval; a bound may be missing.
BOUNDS = r" \[\S+, \S+\]"


def command(*arguments, folder=CHECKOUT, **options):
    """Starts the command line in a process of its own."""
    words = [sys.executable, "-W", "error", "-m", "clients.benchmark", *map(str, arguments)]
    return subprocess.Popen(words, cwd=folder, text=True, **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options})


def finished(process):
    """Exit code, standard output and standard error."""
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def steady(out):
    """The lines of a result; a machine that has other work is not steady, and the client says so."""
    return [line for line in out.splitlines() if not line.startswith("not steady")]


@pytest.fixture
def table(data, server):
    """100 rows, for a server that takes its time: a client that is as busy as the server would say so."""
    server.takes_s = 0.002
    return data("label,x,c\n" + "".join(f"{x % 2},{x},c{x}\n" for x in range(1, 101)))


def test_a_run_prints_what_was_measured(server, table):
    code, out, err = finished(command("-s", server.address, "-d", table, "-b", 10, "-n", 120, "-w", 20))
    assert (code, err) == (0, "")
    model, requests, accuracy, log_loss, auc, calibration, average, throughput, percentiles, extremes, note = steady(out)
    assert model == f"model       wide-deep-large-ds-fp32-training, version 3, signature serving_default, at {server.address}"
    assert re.fullmatch(r"requests    100 measured in \S+ s after 20 of warm-up, one in flight, batch size 10, 0 failed", requests)
    assert accuracy == "accuracy    0.5000 (0.4038 to 0.5962) over 100 rows"
    assert re.fullmatch(r"log loss    7\.97\d+ \(.*\) over 100 rows", log_loss)
    assert auc == "AUC         0.5000 (0.5000 to 0.5000) over 100 rows"
    assert calibration == "calibration error 0.5000, predicted 1.0000 on average, 0.5000 came true"
    assert re.fullmatch(r"average     \S+ ms per request", average)
    assert re.fullmatch(rf"throughput  \S+{BOUNDS} rows/s, \S+{BOUNDS} requests/s", throughput)
    needed = r", p99 needs 368 measured requests \(-n 388\), p99.9 needs 3,688 measured requests \(-n 3708\)"
    assert re.fullmatch(rf"percentiles p50 \S+ ms{BOUNDS}, p90 \S+ ms{BOUNDS}, p95 \S+ ms{BOUNDS}{needed}", percentiles)
    assert re.fullmatch(r"extremes    min \S+ ms, max \S+ ms", extremes)
    assert note == "note        the run went 12.0 times through the 10 distinct requests"


def test_the_defaults_and_the_long_flags_are_those_of_the_original(server, table):
    """40 requests of one row, 10 of them warm-up; the latency of one row; no p99 of 30 samples."""
    short = finished(command("-s", server.address, "-d", table))
    long = finished(
        command("--server", server.address, "--data_file", table, "--batch_size=1", "--num_iteration=40", "--warm_up_iteration=10")
    )
    for code, out, err in (short, long):
        assert (code, err) == (0, "")
        assert re.search(r"^requests    30 measured in \S+ s after 10 of warm-up, one in flight, batch size 1, 0 failed$", out, re.M)
        assert re.search(r"^latency     \S+ ms \(batch size 1\)$", out, re.M)
        assert re.search(
            r"^percentiles p50 \S+ ms \[\S+, \S+\], p90 needs 36 measured requests \(-n 46\), p95 needs 72 measured requests \(-n 82\), ",
            out,
            re.M,
        )


def test_the_record(server, table, tmp_path):
    server.before_answer = lambda call: grpc.StatusCode.UNAVAILABLE if call == 30 else None
    code, _, err = finished(command("-s", server.address, "-d", table, "-b", 4, "-n", 60, "-w", 5, "--json", tmp_path / "record.json"))
    assert (code, err) == (0, "")
    record = json.loads((tmp_path / "record.json").read_text())
    latency = record.pop("latency_ms")
    assert list(latency) == ["mean", "p50", "p90", "p95", "p99", "p99.9", "min", "max"]
    assert latency["p99"] is None
    assert latency["min"] <= latency["p50"] <= latency["p90"] <= latency["max"]
    histogram = record.pop("histogram")
    assert sum(part["count"] for part in histogram) == 54
    assert all(set(part) == {"from_ms", "to_ms", "count"} for part in histogram)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", record.pop("started"))
    assert record.pop("throughput_rows_per_s") == pytest.approx(54 * 4 / record["duration_s"])
    assert record.pop("requests_per_s") == pytest.approx(54 / record.pop("duration_s"))
    quality = record.pop("quality")
    assert quality["rows"] == 100
    assert quality["accuracy"]["value"] == 0.5
    assert [version["version"] for version in quality["versions"]] == [3]
    assert list(record.pop("intervals")) == ["throughput_rows_per_s", "requests_per_s", "p50", "p90", "p95", "p99", "p99.9"]
    assert set(record.pop("lateness_ms")) == {"mean", "p50", "p99", "max"}
    assert record.pop("server_side") == {"versions_before": {"3": "AVAILABLE"}, "versions_after": {"3": "AVAILABLE"}, "work": None}
    assert all(set(drift) == {"name", "first", "second", "change", "p_value", "steady"} for drift in record.pop("drift"))
    assert (record["settings"].pop("data_file"), record.pop("settings")["num_iteration"]) == (table.name, 60)
    assert set(record.pop("software")) == {"python", "tiphys", "grpcio", "numpy", "protobuf"}
    assert set(record.pop("machine")) == {"cpus", "cpu", "memory_bytes", "system", "kernel"}
    assert Histogram.from_record(record.pop("latency_counts")).totals.max_ns == pytest.approx(latency["max"] * 1e6)
    assert Histogram.from_record(record.pop("lateness_counts")).totals.count == 54
    assert Series.from_record(record.pop("series")).calls.sum() <= 54
    assert record == {
        "format": 2,
        "kind": "run",
        "server": server.address,
        "model": "wide-deep-large-ds-fp32-training",
        "signature": "serving_default",
        "version": 3,
        "load": "one in flight",
        "batch_size": 4,
        "requests": 60,
        "warm_up": 5,
        "measured": 54,
        "failed": {"UNAVAILABLE": 1},
        "failed_measured": 1,
        "confidence": 0.95,
        "requirements": [],
        "rows": 54 * 4,
        "accuracy": 0.5,
        "accuracy_rows": 100,
        "warnings": ["1 of 60 requests failed (UNAVAILABLE 1; the first: UNAVAILABLE: call 30 was told to fail)"],
        "notes": ["the run went 2.4 times through the 25 distinct requests"],
    }
    assert sorted(os.listdir(tmp_path)) == sorted([table.name, "record.json"])


def test_a_result_that_should_not_be_trusted_says_so_on_its_first_line(server, table):
    server.before_answer = lambda call: grpc.StatusCode.INTERNAL if call == 10 else None
    code, out, _ = finished(command("-s", server.address, "-d", table, "-n", 20, "-w", 0, "-b", 5))
    assert code == 0
    assert out.startswith(
        "NOT TO BE TRUSTED: 1 of 20 requests failed (INTERNAL 1; the first: INTERNAL: call 10 was told to fail); "
        "only 19 requests were measured, a figure needs 30"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-d", "none.csv"], "benchmark: none.csv: expected a data file that can be read: No such file or directory"),
        (["-d", "."], "benchmark: .: expected a data file that can be read: Is a directory"),
        (
            ["-d", "TABLE", "-n", "10"],
            "benchmark: -w/--warm_up_iteration: expected 0 to 9, fewer than the 10 requests of -n/--num_iteration",
        ),
        (["-d", "TABLE", "-b", "0"], "benchmark: -b/--batch_size: expected a whole number, 1 or more, got 0"),
        (["-d", "TABLE", "-s", "localhost"], "benchmark: -s/--server: expected HOST:PORT"),
        (
            ["-d", "TABLE", "--json", "no/such/folder.json"],
            "benchmark: --json: expected a file that can be written in a folder that exists",
        ),
        (["-d", "TABLE", "--json", "."], "benchmark: --json: expected a file that can be written in a folder that exists"),
        (["-d", "TABLE", "--signature", "classify"], "benchmark: --signature: expected one that model "),
        (["-d", "TABLE", "-b", "many"], "invalid int value: 'many'"),
        (["-d", "TABLE", "--format", "criteo", "--columns", "a"], "not allowed with argument"),
        (["-d", "TABLE", "--batch-size", "1"], "unrecognized arguments: --batch-size"),
        (["-d", "TABLE", "--rate", "10.."], "argument --rate: expected calls per second, or a ramp such as 100..5000, got '10..'"),
        (["-d", "TABLE", "--concurrency", "1e3"], "argument --concurrency: expected a whole number, or a ramp such as 1..64, got '1e3'"),
        (["-d", "TABLE", "-n", "5"], "got 10, which is the default"),
        (["-d", "TABLE", "--expect", "TABLE"], "--expect: expected an NPZ file, as --save-answers and np.savez write it, got something"),
        (["-d", "TABLE", "--save-answers", "no/such/answers.npz"], "--save-answers: expected a file that can be written in a folder"),
        (["compare", "one.json"], "the following arguments are required: after; `tiphys-bench compare --help` lists the flags"),
        ([], "benchmark: -d/--data_file: expected a file of rows; or --generate"),
    ],
)
def test_bad_input_is_exit_code_2(server, table, arguments, message):
    arguments = [str(table) if word == "TABLE" else word for word in arguments]
    place = [] if "compare" in arguments else ["-s", server.address]
    code, out, err = finished(command(*place, *arguments))
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert server.calls == 0


def test_nothing_listens(table):
    code, out, err = finished(command("-s", "127.0.0.1:1", "-d", table))
    assert (code, out) == (10, "")
    assert re.fullmatch(r"benchmark: 127.0.0.1:1: no server answers there by gRPC; start it, or mend -s/--server .*UNAVAILABLE.*\n", err)


def test_the_model_is_missing(server, table):
    code, out, err = finished(command("-s", server.address, "-d", table, "--model", "typo"))
    assert (code, out) == (10, "")
    assert re.fullmatch(r"benchmark: \S+: the server does not serve model typo; mend --model.*NOT_FOUND: Servable not found.*\n", err)


class Garbled(grpc.GenericRpcHandler):
    """Answers every call with bytes that are no message."""

    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(lambda body, context: b"\xff")


@pytest.mark.parametrize("kind", ["rest", "other", "garbled"])
def test_the_port_is_another_service(table, kind):
    if kind == "rest":
        other = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
        threading.Thread(target=other.serve_forever, daemon=True).start()
        port, stop, words = other.server_port, lambda: (other.shutdown(), other.server_close()), "8501 is REST"
    else:
        other = grpc.server(ThreadPoolExecutor(1))
        if kind == "garbled":
            other.add_generic_rpc_handlers([Garbled()])
        port, stop, words = (
            other.add_insecure_port("127.0.0.1:0"),
            lambda: other.stop(None).wait(),
            "does not speak TensorFlow Serving's API",
        )
        other.start()
    try:
        code, out, err = finished(command("-s", f"127.0.0.1:{port}", "-d", table))
    finally:
        stop()
    assert (code, out, err.count("\n")) == (10, "", 1)
    assert words in err


def test_every_measured_request_failed(server, table):
    server.before_answer = lambda call: grpc.StatusCode.INTERNAL
    code, out, err = finished(command("-s", server.address, "-d", table))
    assert (code, out, err.count("\n")) == (10, "", 1)
    assert "40 of 40 requests failed (INTERNAL 40; the first: INTERNAL: call 1 was told to fail)" in err


def test_ctrl_c_gives_the_result_so_far(server, table, until, tmp_path):
    process = command("-s", server.address, "-d", table, "-n", 1_000_000_000, "-w", 10, "--json", tmp_path / "record.json")
    until(lambda: server.calls > 200)
    process.send_signal(signal.SIGINT)
    code, out, err = finished(process)
    assert (code, err) == (130, "")
    assert re.match(r"NOT TO BE TRUSTED: interrupted after [\d,]+ of 1,000,000,000 requests\n", out)
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["measured"] == record["requests"] - 10 >= 190
    assert record["accuracy"] == 0.5


def test_ctrl_c_soon_after_the_start_of_a_long_run_loses_no_interval(server, table, until, tmp_path):
    process = command("-s", server.address, "-d", table, "--duration", 3600, "--json", tmp_path / "record.json")
    until(lambda: server.calls > 500)
    process.send_signal(signal.SIGINT)
    assert finished(process)[0] == 130
    record = json.loads((tmp_path / "record.json").read_text())
    assert None not in (*record["intervals"]["requests_per_s"], *record["intervals"]["p50"])
    assert len(record["drift"]) == 2


def test_ctrl_c_gives_the_result_of_all_processes_and_leaves_none(server, table, until):
    """As a terminal does: the signal goes to every process of the group."""
    words = ("-s", server.address, "-d", table, "-n", 1_000_000_000, "--concurrency", 2, "--processes", 2, "--transport", "wire")
    process = command(*words, start_new_session=True)
    until(lambda: server.calls > 100)
    os.killpg(process.pid, signal.SIGINT)
    code, out, err = finished(process)
    assert (code, err) == (130, "")
    told = re.match(r"NOT TO BE TRUSTED: interrupted after ([\d,]+) of 1,000,000,000 requests", out)
    assert int(told[1].replace(",", "")) > 50
    assert len(server.peers) == 2
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


@pytest.mark.parametrize("loading", ["_multiarray_umath", "_message.abi3", "cygrpc"])
def test_ctrl_c_while_the_client_loads_its_libraries(server, table, until, loading):
    """When the process has opened a library of numpy, protobuf or gRPC, it is still loading more: these may lose the signal."""
    process = command("-s", server.address, "-d", table, "-n", 1_000_000_000)
    until(lambda: loading in Path(f"/proc/{process.pid}/maps").read_text())
    process.send_signal(signal.SIGINT)
    code, _, err = finished(process)
    assert code == 130
    assert "Traceback" not in err


def until_said(process, start):
    """Reads what a process says of itself until a line begins so."""
    assert any(line.startswith(start) for line in process.stderr)


def test_ctrl_c_in_a_sweep_gives_the_runs_so_far(server, table, tmp_path):
    words = ("--duration", "0.3", "--warm-up", "0.05", "--sweep", "batch=1,2,50", "--json", tmp_path / "sweep.json")
    process = command("-s", server.address, "-d", table, *words)
    until_said(process, "run 3 of 3: batch 50")
    process.send_signal(signal.SIGINT)
    code, out, err = finished(process)
    assert (code, err) == (130, "")
    assert [run["batch_size"] for run in json.loads((tmp_path / "sweep.json").read_text())["runs"]][:2] == [1, 2]
    assert "rows/s" in out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--sweep", "batch=1,2"), "interrupted in the first run of 2, before one was measured"),
        (("--find-rate", "p50<1s"), "interrupted before a rate was measured"),
    ],
)
def test_ctrl_c_before_a_run_of_many_was_measured(server, table, until, words, expected):
    hanging = threading.Event()
    server.before_answer = lambda call: hanging.wait(60)
    process = command("-s", server.address, "-d", table, *words)
    until(lambda: server.calls == 1)
    process.send_signal(signal.SIGINT)
    code, out, err = finished(process)
    hanging.set()
    assert (code, out, err.splitlines()[-1]) == (130, "", f"benchmark: {expected}")


def test_ctrl_c_in_a_search_tells_the_rate_so_far(server, table, tmp_path):
    process = command("-s", server.address, "-d", table, "--rate", 50, "--find-rate", "p50<1s", "--json", tmp_path / "found.json")
    until_said(process, "run 100 requests/s")
    process.send_signal(signal.SIGINT)
    code, out, err = finished(process)
    assert (code, err) == (130, "")
    assert "find-rate   50 requests/s hold p50<1s; the search was interrupted, and the rate is not confirmed" in out
    assert json.loads((tmp_path / "found.json").read_text())["rate"] == 50


def test_ctrl_c_while_the_processes_start(server, table, until):
    process = command("-s", server.address, "-d", table, "--concurrency", 2, "--processes", 2, start_new_session=True)
    until(lambda: len(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()) == 2)
    os.killpg(process.pid, signal.SIGINT)
    assert finished(process) == (130, "", "benchmark: interrupted before the first request\n")
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_ctrl_c_while_the_server_hangs(server, table, until):
    hanging = threading.Event()
    server.before_answer = lambda call: hanging.wait(60) if call == 50 else None
    process = command("-s", server.address, "-d", table, "-n", 100)
    until(lambda: server.calls == 50)
    process.send_signal(signal.SIGINT)
    code, out, _ = finished(process)
    hanging.set()
    assert code == 130
    assert out.startswith("NOT TO BE TRUSTED: interrupted after 49 of 100 requests")


def test_ctrl_c_before_anything_was_measured(server, table, until):
    hanging = threading.Event()
    server.before_answer = lambda call: hanging.wait(60) if call == 5 else None
    process = command("-s", server.address, "-d", table)
    until(lambda: server.calls == 5)
    process.send_signal(signal.SIGINT)
    result = finished(process)
    hanging.set()
    assert result == (130, "", "benchmark: interrupted after 4 requests, before one was measured\n")


def test_a_bar_on_a_terminal(server, table):
    ours, theirs = pty.openpty()
    process = command("-s", server.address, "-d", table, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:  # the other side of a terminal was closed
        pass
    os.close(ours)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"\r[##############################] 40 of 40 requests\r\x1b[K" in shown
    assert out.startswith("model ")


def test_the_bar_says_how_many_rows_were_read(server, table, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(progress, "_EVERY_S", 0.0)
    assert main(["-s", server.address, "-d", str(table), "-b", "20"]) == 0
    shown = capsys.readouterr().err
    assert "\r100 rows read\r[" in shown
    assert shown.endswith("40 of 40 requests\r\x1b[K")


@pytest.mark.parametrize("flag", ["--json", "--save-answers"])
def test_a_file_that_cannot_be_written_does_not_lose_the_figures(server, table, tmp_path, flag):
    """Through a link to a full device, both of which stay what they are."""
    link = tmp_path / "full"
    link.symlink_to("/dev/full")
    code, out, err = finished(command("-s", server.address, "-d", table, flag, link))
    assert code == 2
    assert out.startswith("model ")
    assert err == f"benchmark: {flag}: the result could not be written to {link}: No space left on device\n"
    assert (link.is_symlink(), link.is_char_device()) == (True, True)


def test_standard_output_that_cannot_be_written(server, table, tmp_path):
    with open("/dev/full", "w") as full:
        code, _, err = finished(command("-s", server.address, "-d", table, "--json", tmp_path / "record.json", stdout=full))
    assert (code, err) == (2, "benchmark: standard output: the result could not be written: No space left on device\n")
    assert json.loads((tmp_path / "record.json").read_text())["measured"] == 30
    with open("/dev/full", "w") as full:
        code, _, err = finished(command("compare", tmp_path / "record.json", tmp_path / "record.json", stdout=full))
    assert (code, err) == (2, "benchmark: standard output: the result could not be written: No space left on device\n")


def test_the_clients_work_alone_and_without_tensorflow(server, table, tmp_path):
    """Only the folder of the clients is there; after a run, nothing but grpcio, numpy and protobuf has been imported."""
    shutil.copytree(CHECKOUT / "clients", tmp_path / "alone" / "clients")
    program = (
        "import runpy, sys\n"
        "try:\n    runpy.run_module('clients.benchmark', run_name='__main__')\n"
        "except SystemExit as end:\n    assert end.code == 0, end\n"
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)\n"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    process = subprocess.run(
        [sys.executable, "-c", program, "-s", server.address, "-d", table],
        cwd=tmp_path / "alone",
        env=environment,
        text=True,
        capture_output=True,
        timeout=60,
    )
    assert process.returncode == 0, process.stderr
    imported = set(process.stderr.split())
    packages = {owner for name, owners in packages_distributions().items() if name in imported for owner in owners}
    assert "clients" in imported
    assert not imported & {"steps", "pipelines"}
    # setuptools is what a virtual environment starts by itself.
    assert packages - {"setuptools", "tiphys", "typing_extensions"} == {"grpcio", "numpy", "protobuf"}


@pytest.mark.parametrize(
    ("objectives", "code", "verdicts"),
    [
        (["p50<10s", "errors<10%", "accuracy>=50%"], 0, ["met", "met", "met"]),
        (["p50<10s", "p90<1us"], 11, ["met", "not met"]),
        (["p99<10s"], 11, ["cannot be said"]),
    ],
)
def test_what_is_required(server, table, objectives, code, verdicts):
    ended, out, err = finished(command("-s", server.address, "-d", table, "-n", 70, "--require", *objectives))
    assert (ended, err) == (code, "")
    told = [line.removeprefix("required    ") for line in out.splitlines() if line.startswith("required")]
    assert [line.split(", ")[0] for line in told] == [f"{text}: {verdict}" for text, verdict in zip(objectives, verdicts, strict=True)]


def test_a_malformed_requirement_is_refused_before_the_run(server, table):
    code, out, err = finished(command("-s", server.address, "-d", table, "--require", "p99<10"))
    assert (code, out) == (2, "")
    assert err.startswith("benchmark: requirement 'p99<10': expected p99 in us or ms or s, got no unit; such as")
    assert server.calls == 0


def test_the_page_and_the_table(server, table, tmp_path):
    files = ["--html", tmp_path / "report.html", "--csv", tmp_path / "table.csv"]
    code, _, err = finished(command("-s", server.address, "-d", table, "-n", 70, "--require", "p90<10s", *files))
    assert (code, err) == (0, "")
    page = (tmp_path / "report.html").read_text()
    for text in ("Latency over time", "Throughput over time", "Percentiles", "Histogram", "p90&lt;10s", "Figures", "How it was measured"):
        assert text in page
    assert not re.search(r"(src|href)=|url\(|@import|<script", page)
    (row,) = csv.DictReader((tmp_path / "table.csv").read_text().splitlines())
    assert (row["measured"], row["rows"], row["failed"], row["latency_p99_ms"]) == ("60", "60", "0", "")
    assert float(row["latency_p50_ms_low"]) <= float(row["latency_p50_ms"]) <= float(row["latency_p50_ms_high"] or "inf")


def test_reports_that_cannot_be_written_do_not_lose_the_others(server, table, tmp_path):
    files = ["--json", "/dev/full", "--html", tmp_path / "report.html", "--csv", "/dev/full"]
    code, out, err = finished(command("-s", server.address, "-d", table, *files))
    each = [f"{flag}: the result could not be written to /dev/full: No space left on device" for flag in ("--json", "--csv")]
    assert (code, err) == (2, f"benchmark: {'; '.join(each)}\n")
    assert out.startswith("model ")
    assert "report.html" in os.listdir(tmp_path)


def test_rows_that_are_made_up_and_answers_beside_recorded_ones(server, tmp_path):
    """Two runs over the same generated rows; then the model answers otherwise."""
    server.inputs = {"x": ("float", (-1, -1)), "c": ("string", (-1,))}
    server.classes_of = lambda values: (values["x"][:, 0] > server.version / 8).astype("int64")
    words = ("-s", server.address, "--generate", "--shape", "x=3", "--seed", "5", "-b", 40, "-n", 2, "-w", 0)
    answers = tmp_path / "answers.npz"
    assert finished(command(*words, "--save-answers", answers))[0] == 0
    code, out, _ = finished(command(*words, "--expect", answers))
    assert code == 0
    assert re.search(r"^recorded +80 rows compared in .*, 0 differ$", out, re.M)
    server.version = 5
    code, out, _ = finished(command(*words, "--expect", answers, "--tolerance", "1e-3,0"))
    assert code == 11
    assert re.match(r"NOT TO BE TRUSTED: .*\d+ of 80 rows differ from the recorded answers \(row \d+, ", out)
