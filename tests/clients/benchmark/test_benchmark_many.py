"""The commands that make or read several runs: --sweep, --find-rate and compare, and the page of each."""

import csv
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

from clients.benchmark import BadInput, NotMet, Settings, find_rate, require, run, sweep
from clients.benchmark.__main__ import main
from clients.benchmark.statistics.figures import figures
from clients.benchmark.statistics.histogram import Histogram
from clients.benchmark.statistics.series import Series


@pytest.fixture
def table(data):
    return data("label,x,c\n" + "".join(f"{x % 2},{x},c{x}\n" for x in range(1, 101)))


def silent(settings, said):
    return lambda done: None


def test_a_sweep(server, table, tmp_path, capsys):
    files = ["--json", tmp_path / "sweep.json", "--html", tmp_path / "sweep.html", "--csv", tmp_path / "sweep.csv"]
    words = [
        "-s",
        server.address,
        "-d",
        table,
        "--duration",
        "0.2",
        "--warm-up",
        "0.05",
        "--sweep",
        "batch=1,20",
        "concurrency=1,2",
        *files,
    ]
    assert main([str(word) for word in words]) == 0
    told = capsys.readouterr()
    assert told.err.splitlines()[0] == "run 1 of 4: batch 1, concurrency 1"
    record = json.loads((tmp_path / "sweep.json").read_text())
    settings = [run["setting"] for run in record["runs"]]
    assert settings == [{"batch": batch, "concurrency": concurrency} for batch in (1, 20) for concurrency in (1, 2)]
    assert [run["batch_size"] for run in record["runs"]] == [1, 1, 20, 20]
    assert record["unmeasured"] == []
    rows = list(csv.DictReader((tmp_path / "sweep.csv").read_text().splitlines()))
    assert [(row["batch"], row["concurrency"]) for row in rows] == [("1", "1"), ("1", "2"), ("20", "1"), ("20", "2")]
    page = (tmp_path / "sweep.html").read_text()
    assert "Runs" in page
    assert not re.search(r"(src|href)=|url\(|@import|<script", page)


def test_a_sweep_whose_server_dies_has_a_cell_that_says_so(server, table):
    """It dies within the second run of three."""
    server.takes_s = 0.002

    def tell(settings, said):
        return lambda done: server.stop() if said.startswith("2 of 3") and done > 5 else None

    base = Settings(table, server.address, duration_s=0.5, warm_up_iteration=0)
    whole, broken, missing = sweep.sweep(sweep.combinations(base, ["batch=1,2,5"]), tell)
    assert whole.result.failed == {}
    assert broken.result.measured > 0
    assert set(broken.result.failed) <= {"UNAVAILABLE", "CANCELLED"}
    assert (missing.result, "no server answers there by gRPC" in missing.why) == (None, True)
    told = sweep.text([whole, broken, missing])
    assert re.search(r"^NOT TO BE TRUSTED \(batch 2\): .*requests failed", told, re.M)
    assert re.search(r"^not measured \(batch 5\): .*no server answers there", told, re.M)
    assert re.search(r"^ +5 +- +- +- +- +-$", told, re.M)
    assert sweep.as_record([whole, broken, missing])["unmeasured"] == [{"setting": {"batch": 5}, "why": missing.why}]


@pytest.mark.parametrize(
    ("axes", "expected"),
    [
        (["size=1"], "--sweep size=1: expected NAME=VALUE,VALUE,... with NAME one of batch, concurrency, rate, connections, processes"),
        (["batch"], "--sweep batch: expected NAME=VALUE"),
        (["batch=one"], "--sweep batch=one: expected numbers, with commas between"),
        (["batch=1", "batch=2"], "--sweep: expected each of batch, batch once"),
        (["batch=0"], "-b/--batch_size: expected a whole number, 1 or more, got 0"),
        (["rate=5", "concurrency=2"], "--rate and --concurrency: expected one of them"),
        (["batch=" + ",".join(map(str, range(1, 300)))], "--sweep: expected at most 200 combinations, got 299"),
    ],
)
def test_sweeps_that_make_no_sense(axes, expected):
    with pytest.raises(BadInput) as found:
        sweep.combinations(Settings(data_file="eval.csv"), axes)
    assert str(found.value).startswith(expected)


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([(100, 5.0)], [0]),
        ([(100, 5.0), (200, 9.0), (150, 10.0), (50, 4.0), (60, 6.0)], [3, 0, 1]),
        ([(100, 5.0), (100, 5.0)], [0, 1]),
        ([(100, None), (50, 4.0)], [1]),
    ],
)
def test_the_front_holds_what_no_other_beats(points, expected):
    def cell(rate, p99):
        result = SimpleNamespace(
            throughput_rows_per_s=rate, latency_ms=SimpleNamespace(percentiles={99: p99}), figures=SimpleNamespace(failed=0)
        )
        return sweep.Cell({}, result)

    assert sweep.front([*(cell(*point) for point in points), sweep.Cell({}, None, "down")]) == expected


class Queue:
    """A server that answers one call after another, each in 2 ms, and a client that sends late above some rate: simulated."""

    def __init__(self, client_limit=1e9):
        self.client_limit = client_limit
        self.rates = []

    def run(self, settings, tell):
        if settings.rate is None:
            return SimpleNamespace(requests_per_s=100.0)
        self.rates.append(settings.rate)
        random = np.random.default_rng(len(self.rates))
        due_ms = np.cumsum(random.exponential(1000 / settings.rate, max(1, round(settings.duration_s * settings.rate))))
        # The end of each call is the latest of what came before it, and its own time.
        served = 2.0 * np.arange(1, len(due_ms) + 1)
        end_ms = served + np.maximum.accumulate(due_ms - (served - 2.0))
        latency, lateness, series = Histogram(), Histogram(), Series(0)
        latency.add(((end_ms - due_ms) * 1e6).astype(np.int64))
        lateness.add(np.full(len(due_ms), 20_000_000 if settings.rate > self.client_limit else 10_000))
        series.add((end_ms * 1e6).astype(np.int64), ((end_ms - due_ms) * 1e6).astype(np.int64), np.ones(len(due_ms), np.int64))
        found = figures(latency, lateness, series, 0, len(due_ms), 0, int(end_ms[-1] * 1e6))
        return SimpleNamespace(
            figures=found,
            throughput_rows_per_s=found.rows_per_s.value,
            requests_per_s=found.requests_per_s.value,
            accuracy=None,
            interrupted=False,
            warnings=(),
        )


@pytest.mark.parametrize(
    ("objective", "client_limit", "least", "most", "why"),
    [
        # A queue with Poisson arrivals and a constant service time: at 0.85 of its 500/s, a call waits 5.7 ms on average.
        ("mean<8ms", 1e9, 380, 480, "at "),
        ("p99<20ms", 1e9, 330, 460, "at "),
        ("p99<1us", 1e9, None, None, "none that was tried"),
        ("p99<20ms", 150, 120, 150, "the client, not the server, was the limit at "),
        ("p99<20ms", 1, None, None, "the client, not the server, was the limit: try --processes"),
    ],
)
def test_the_highest_rate_is_found(monkeypatch, objective, client_limit, least, most, why):
    queue = Queue(client_limit)
    monkeypatch.setattr(find_rate, "run", queue.run)
    found = find_rate.find_rate(Settings(data_file="eval.csv"), [objective], silent)
    assert found.limit.startswith(why)
    assert len(found.trials) <= find_rate.MOST_TRIALS
    if least is None:
        assert found.rate is None
        return
    assert least <= found.rate <= most
    assert found.trials[-1].confirming
    assert found.trials[-1].holds
    assert queue.rates[0] == 50


def test_the_highest_rate_of_a_real_server(server, table, tmp_path, capsys):
    server.takes_s = 0.01
    files = ["--json", tmp_path / "found.json", "--html", tmp_path / "found.html"]
    words = ["-s", server.address, "-d", table, "--find-rate", "p50<1us", "--rate", "100", "--duration", "0.2", "--warm-up", "0.05", *files]
    assert main([str(word) for word in words]) == 11
    assert capsys.readouterr().out.startswith("find-rate   no rate holds p50<1us; ")
    record = json.loads((tmp_path / "found.json").read_text())
    assert (record["kind"], record["rate"], record["objectives"]) == ("find-rate", None, ["p50<1us"])
    assert "no rate holds p50&lt;1us" in (tmp_path / "found.html").read_text()


def test_compare(server, table, tmp_path, capsys):
    files = [str(tmp_path / name) for name in ("before.json", "after.json")]
    for file, takes_s in zip(files, (0.0, 0.01), strict=True):
        server.takes_s = takes_s
        assert main(["-s", server.address, "-d", str(table), "-n", "90", "--json", file]) == 0
    capsys.readouterr()
    assert main(["compare", *files, "--html", str(tmp_path / "page.html")]) == 0
    lines = {line[:12].strip(): line[12:] for line in capsys.readouterr().out.splitlines() if not line.startswith("MIND")}
    assert re.fullmatch(r"worse: \S+ rows/s, then \S+, x 0\.\S+ \[\S+, \S+\]", lines["throughput"])
    assert lines["p50"].startswith("worse: ")
    assert lines["p99"] == "cannot be said: needs 368 measured requests in both runs"
    page = (tmp_path / "page.html").read_text()
    assert "What changed" in page
    assert not re.search(r"(src|href)=|url\(|@import|<script", page)
    assert main(["compare", *files, "--fail-on-worse"]) == 11
    assert main(["compare", *reversed(files), "--fail-on-worse"]) == 0


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "expected a record that can be read: No such file or directory"),
        ("", "it holds no record of a run: it is not JSON"),
        ("[]", "it holds no record of a run: expected the record of one run in format 2"),
        ('{"format": 1}', "it holds no record of a run: expected the record of one run in format 2"),
        ('{"format": 2, "kind": "sweep"}', "it holds no record of a run: expected the record of one run in format 2"),
        ('{"format": 2, "kind": "run"}', "it holds no record of a run: 'latency_counts'"),
        (b"\xff\xfe", "it holds no record of a run: it is not JSON"),
    ],
)
def test_what_cannot_be_compared(tmp_path, capsys, content, expected):
    path = tmp_path / "record.json"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert main(["compare", str(path), str(path)]) == 2
    assert capsys.readouterr().err.startswith(f"benchmark: {path}: {expected}")


def test_an_objective_is_asserted_in_a_test(server, table):
    result = run(Settings(data_file=table, server=server.address, num_iteration=70))
    require(result, "p50<10s", "errors<10%")
    with pytest.raises(NotMet, match=r"^p50<1us: not met, \S+ ms; p99<10ms: cannot be said, 60 calls were measured, 368 are needed"):
        require(result, "p50<10s", "p50<1us", "p99<10ms")
    with pytest.raises(AssertionError):
        require(result, "p50<1us")
