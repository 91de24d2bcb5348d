"""Runs against a server that answers, fails, waits and changes as a test wants it."""

import re
import socket
import threading
import time
from datetime import UTC, datetime, timedelta

import grpc
import numpy as np
import pytest

from clients import benchmark
from clients.benchmark import BadInput, NothingSucceeded, Settings, driving, run, summary


def settings(server, path, batch_size=1, num_iteration=40, warm_up_iteration=10, **others):
    return Settings(path, server.address, batch_size, num_iteration, warm_up_iteration, **others)


@pytest.fixture(autouse=True)
def _server_in_this_process(monkeypatch):
    """The server works in this process too, so that the client's own share of the time cannot be told."""
    monkeypatch.setattr(summary, "BUSY_SHARE", 10.0)
    monkeypatch.setattr(summary, "LATE_SHARE", 10.0)


@pytest.fixture
def rows(data):
    """A file of so many rows: x is 1 to the number of rows, the label is 1 in every second row."""

    def write(count):
        return data("label,x,c\n" + "".join(f"{x % 2},{x},c{x}\n" for x in range(1, count + 1)))

    return write


@pytest.mark.parametrize(
    ("count", "batch_size", "num_iteration", "warm_up_iteration", "sizes"),
    [
        (40, 1, 40, 10, [1] * 40),
        (3, 1, 7, 0, [1] * 7),
        (10, 4, 3, 0, [4, 4, 2]),
        (10, 4, 7, 2, [4, 4, 2, 4, 4, 2, 4]),
        (10, 4, 2, 1, [4, 4]),
        (10, 10, 2, 0, [10, 10]),
        (1, 1, 1, 0, [1]),
        (5000, 3000, 4, 0, [3000, 2000, 3000, 2000]),
        (5000, 100, 60, 0, [100] * 60),
    ],
)
def test_the_file_is_cut_in_its_order_and_begun_again_at_its_end(server, rows, count, batch_size, num_iteration, warm_up_iteration, sizes):
    result = run(settings(server, rows(count), batch_size, num_iteration, warm_up_iteration))
    assert [len(values["x"]) for values in server.received] == sizes
    in_order = [float(x) for x in range(1, count + 1)] * num_iteration
    assert server.rows("x") == in_order[: sum(sizes)]
    assert (result.requests, result.measured) == (num_iteration, num_iteration - warm_up_iteration)
    assert result.rows == sum(sizes[warm_up_iteration:])
    assert result.accuracy_rows == min(count, sum(sizes))
    assert result.failed == {}


def test_the_figures_hang_together(server, rows):
    result = run(settings(server, rows(100), 8, 120, 20))
    assert result.warnings == ()
    assert (result.server, result.model, result.signature, result.version) == (
        server.address,
        "wide-deep-large-ds-fp32-training",
        "serving_default",
        3,
    )
    latency = result.latency_ms
    assert 0 < latency.min <= latency.percentiles[50] <= latency.percentiles[90] <= latency.percentiles[95] <= latency.max
    assert latency.min < latency.mean < latency.max
    # One in flight: the latencies, each from when its request was due, fill the interval.
    assert latency.mean * result.measured / 1000 == pytest.approx(result.duration_s)
    assert result.throughput_rows_per_s == pytest.approx(result.rows / result.duration_s)
    assert result.requests_per_s == pytest.approx(result.measured / result.duration_s)
    assert sum(part.count for part in result.histogram) == result.measured


def test_latency_is_the_time_that_the_server_takes(server, rows):
    waiting = threading.Event()
    server.before_answer = lambda call: waiting.wait(0.05 if call % 2 else 0.0)
    result = run(settings(server, rows(4), 1, 12, 0))
    assert result.latency_ms.max >= 50
    assert result.latency_ms.mean >= 25
    assert result.latency_ms.min < 50
    assert result.duration_s >= 6 * 0.05


def test_the_warm_up_is_not_timed_but_judged(server, rows):
    waiting = threading.Event()
    server.before_answer = lambda call: waiting.wait(0.5 if call <= 2 else 0.0)
    began_s = time.monotonic()
    result = run(settings(server, rows(40), 1, 40, 2))
    assert result.duration_s <= time.monotonic() - began_s - 2 * 0.5
    assert result.accuracy_rows == 40
    assert result.measured == 38


@pytest.mark.parametrize(
    ("rule", "accuracy"),
    [
        (lambda values: np.ones(len(values["x"]), np.int64), 0.5),
        (lambda values: values["x"].astype(np.int64) % 2, 1.0),
        (lambda values: 1 - values["x"].astype(np.int64) % 2, 0.0),
        (lambda values: (values["x"] <= 3).astype(np.int64), 0.6),
    ],
)
@pytest.mark.parametrize("outputs", [("class_ids", "probabilities"), ("class_ids",), ("probabilities",)])
def test_accuracy_counts_each_row_once(server, rows, rule, accuracy, outputs):
    server.outputs = {name: server.outputs[name] for name in outputs}
    server.classes_of = rule
    # One and a half passes: rows that were sent twice do not weigh more.
    result = run(settings(server, rows(10), 1, 15, 0))
    assert result.accuracy == accuracy
    assert result.accuracy_rows == 10


def test_a_row_that_is_answered_now_right_now_wrong_counts_in_part(server, rows):
    server.classes_of = lambda values: np.full(len(values["x"]), int(server.calls <= 2), np.int64)
    result = run(settings(server, rows(2), 1, 4, 0))
    assert result.accuracy == 0.5


def test_a_probability_that_is_not_a_number_is_a_wrong_answer(server, rows, monkeypatch):
    server.outputs = {"probabilities": ("float", (-1, 2))}
    monkeypatch.setattr(np, "eye", lambda *_, **__: np.full((2, 2), np.nan, np.float32))
    assert run(settings(server, rows(4), 2, 2, 0)).accuracy == 0.0


@pytest.mark.parametrize(
    ("header", "outputs", "note"),
    [
        ("x,c", None, "accuracy was not measured: the data has no column of labels (label, or --label NAME)"),
        (
            "label,x,c",
            {"a": ("float", (-1,)), "b": ("float", (-1,))},
            "accuracy was not measured: the outputs (a, b) do not say which of them answers the label; name it with --output",
        ),
    ],
)
def test_accuracy_that_cannot_be_measured_says_why(server, data, header, outputs, note):
    server.outputs = outputs or server.outputs
    result = run(settings(server, data(f"{header}\n{'1,' * header.count(',')}1\n")))
    assert result.accuracy is None
    assert note in result.notes
    assert result.warnings == ()


def test_answers_for_fewer_rows_than_were_sent(server, rows):
    whole = server.classes_of
    server.classes_of = lambda values: whole(values)[:-1] if server.calls == 2 else whole(values)
    result = run(settings(server, rows(100), 2, 40, 0))
    assert result.warnings == ("1 answers did not hold one value for each row sent",)
    assert result.accuracy_rows == 78


@pytest.mark.parametrize("when", [5, 25])
def test_failed_calls_are_counted_and_never_timed(server, rows, when):
    """One fails at once, one after a while; neither is in the figures, and the first line says so."""
    waiting = threading.Event()

    def fail(call):
        if call == when:
            return grpc.StatusCode.RESOURCE_EXHAUSTED
        if call == when + 1:
            waiting.wait(0.5)
            return grpc.StatusCode.UNAVAILABLE
        return None

    server.before_answer = fail
    result = run(settings(server, rows(40)))
    assert result.failed == {"RESOURCE_EXHAUSTED": 1, "UNAVAILABLE": 1}
    # One in flight: the time that no latency holds is that of the failed calls.
    timed_s = result.latency_ms.mean * result.measured / 1000
    assert timed_s <= result.duration_s - (0.5 if when > 10 else 0) + 1e-6
    assert result.measured == (30 if when < 10 else 28)
    assert result.requests == 40
    assert result.accuracy_rows == 38
    assert result.warnings[0] == (
        f"2 of 40 requests failed (RESOURCE_EXHAUSTED 1, UNAVAILABLE 1; the first: RESOURCE_EXHAUSTED: call {when} was told to fail)"
    )


def test_a_call_without_an_answer_has_failed_at_its_deadline(server, rows):
    never = threading.Event()
    server.before_answer = lambda call: never.wait(30) if call == 20 else None
    try:
        result = run(settings(server, rows(40), deadline_s=1.5))
    finally:
        never.set()
    assert result.failed == {"DEADLINE_EXCEEDED": 1}
    assert result.measured == 29
    assert result.latency_ms.mean * 29 / 1000 <= result.duration_s - 1.5


def test_a_server_that_no_longer_answers_is_given_up(server, rows, monkeypatch):
    monkeypatch.setattr(driving, "LEAST_PATIENCE_S", 0.0)
    never = threading.Event()
    server.before_answer = lambda call: never.wait(60) if call > 35 else None
    try:
        result = run(settings(server, rows(40), 1, 1_000_000, 5, deadline_s=1.0))
    finally:
        never.set()
    assert result.measured == 30
    assert result.requests < 50
    assert result.warnings[0].startswith(f"given up after {result.requests} of 1,000,000 requests")


def test_a_server_that_goes_away_and_comes_back(server, rows):
    server.before_answer = lambda call: grpc.StatusCode.UNAVAILABLE if 15 <= call < 20 else None
    result = run(settings(server, rows(40), 1, 50, 10))
    assert (result.measured, result.failed) == (35, {"UNAVAILABLE": 5})


@pytest.mark.parametrize("status", [grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE])
def test_no_measured_request_succeeded(server, rows, status):
    server.before_answer = lambda call: status if call > 10 else None
    with pytest.raises(NothingSucceeded) as error:
        run(settings(server, rows(40)))
    assert str(error.value).startswith(f"{server.address}: no measured request to model wide-deep-large-ds-fp32-training was answered: ")
    assert f"30 of 40 requests failed ({status.name} 30; the first: {status.name}: call 11 was told to fail)" in str(error.value)


def test_a_version_that_changes_during_the_run(server, rows):
    def change(call):
        server.version = 3 if call < 20 else 4

    server.before_answer = change
    started = datetime.now(UTC) - timedelta(seconds=1)
    result = run(settings(server, rows(40)))
    (warning,) = result.warnings
    moment = re.fullmatch(r"the model's version changed during the run: 3, then 4 \(first seen at (\S+)\)", warning)[1]
    assert started <= datetime.fromisoformat(moment) <= datetime.now(UTC)
    assert result.version == 4


def test_too_few_requests_to_rest_a_figure_on(server, rows):
    result = run(settings(server, rows(40), num_iteration=39))
    assert result.warnings == ("only 29 requests were measured, a figure needs 30",)
    assert result.latency_ms.percentiles[99] is None


@pytest.mark.parametrize("batch_size", [41, 128, 10**20])
def test_a_file_that_is_smaller_than_a_batch(server, rows, batch_size):
    path = rows(40)
    with pytest.raises(BadInput, match=rf"^-b/--batch_size: expected 40 at most, the rows of {path}, got {batch_size:,}$"):
        run(settings(server, path, batch_size))
    assert server.calls == 0


def test_notes_explain_what_was_sent(server, rows):
    result = run(settings(server, rows(10), 4, 50, 10))
    assert result.notes == (
        "the run went 16.7 times through the 3 distinct requests",
        "short requests among the measured: 13, because the file's last batch has 2 rows",
    )


def test_a_client_that_is_the_bottleneck_says_so(server, rows, monkeypatch):
    monkeypatch.setattr(summary, "BUSY_SHARE", 0.01)
    result = run(settings(server, rows(40)))
    assert any(text.startswith("the client itself was at work for ") for text in result.warnings)


def test_how_many_requests_have_ended_is_told(server, rows):
    told = []
    server.takes_s = 0.02
    run(settings(server, rows(40)), told.append)
    assert told == sorted(told)
    assert len(told) > 1
    assert told[-1] == 40


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"signature": "predict"}, r"--signature: expected one that model \S+ has \(serving_default\), got 'predict'"),
        ({"columns_file": "none.csv"}, "none.csv: expected a data file that can be read: No such file or directory"),
    ],
)
def test_bad_input_that_only_shows_later(server, rows, others, message):
    with pytest.raises(BadInput, match=message):
        run(settings(server, rows(4), **others))


def test_a_model_that_is_not_served(server, rows):
    with pytest.raises(
        NothingSucceeded, match=r"the server does not serve model typo; mend --model.*Servable not found for request: Latest\(typo\)"
    ):
        run(settings(server, rows(4), model="typo"))


def test_a_port_that_takes_connections_and_says_nothing(rows):
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(NothingSucceeded, match=r"^127\.0\.0\.1:[0-9]+: no "):
        run(Settings(rows(4), f"127.0.0.1:{silent.getsockname()[1]}", deadline_s=0.5))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        *(
            ({"server": text}, "-s/--server: expected HOST:PORT")
            for text in ("", "localhost", "localhost:", "localhost:0", "a:65536", "http://a:1", "a b:1")
        ),
        ({"batch_size": 0}, "-b/--batch_size: expected a whole number, 1 or more, got 0"),
        ({"num_iteration": 0}, "-n/--num_iteration: expected a whole number, 1 or more, got 0"),
        ({"num_iteration": 10}, "-w/--warm_up_iteration: expected 0 to 9, .* got 10"),
        ({"warm_up_iteration": 40}, "-w/--warm_up_iteration: expected 0 to 39, .* got 40"),
        ({"warm_up_iteration": -1}, "-w/--warm_up_iteration: expected a whole number, 0 or more, got -1"),
        ({"format": "avazu"}, "--format: expected one of criteo, census, got 'avazu'"),
        ({"format": "criteo", "columns_file": "a"}, "--format and --columns: expected one of them, got both"),
    ],
)
def test_settings_that_make_no_sense(values, message):
    with pytest.raises(BadInput, match=message):
        Settings("eval.csv", **values)


@pytest.mark.parametrize("address", ["localhost:8500", "10.0.0.7:1", "[::1]:8500", "a-b.c_d:65535"])
def test_addresses(address):
    assert Settings("eval.csv", address).server == address


def test_the_example_of_the_package_runs(server, rows, monkeypatch):
    """What its documentation shows, against this server and this file."""
    import clients.benchmark

    (path := rows(256)).rename(path.with_name("eval.csv"))
    monkeypatch.chdir(path.parent)
    _, _, example = clients.benchmark.__doc__.partition("\n\n")
    exec(example.replace("localhost:8500", server.address).replace("p99<10ms", "p99<10s"), {})
    assert server.calls == 500


def test_every_name_of_the_package_is_there():
    assert set(benchmark.__all__) <= set(dir(benchmark))
    assert all(callable(getattr(benchmark, name)) for name in benchmark.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = benchmark.nothing
