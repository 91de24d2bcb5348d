"""Each kind of load over each transport, against a real server that stalls, dies and comes back."""

import contextlib
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import grpc
import pytest

from clients.benchmark import BadInput, NothingSucceeded, Settings, driving, run, summary

CHECKOUT = Path(__file__).parents[3]
WAYS = ["grpc", "wire", "rest"]


@pytest.fixture(autouse=True)
def _server_in_this_process(monkeypatch):
    """The server works in this process too, so that the client's own share of the time cannot be told."""
    monkeypatch.setattr(summary, "BUSY_SHARE", 100.0)
    monkeypatch.setattr(summary, "LATE_SHARE", 100.0)


@pytest.fixture
def table(data):
    """20 rows of two classes."""
    return data("label,x,c\n" + "".join(f"{x % 2},{x},c{x}\n" for x in range(1, 21)))


@pytest.fixture
def measure(server, rest, table):
    """A run by one of the transports."""

    def measure(way="grpc", **others):
        return run(Settings(table, rest if way == "rest" else server.address, transport=way, **others))

    return measure


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "load",
    [
        {"concurrency": 1},
        {"concurrency": 5},
        {"concurrency": 5, "connections": 3},
        {"concurrency": (1, 4), "ramp_s": 0.1},
        {"rate": 500},
        {"rate": 500, "arrivals": "poisson", "connections": 2},
        {"rate": 500, "arrivals": "bursts", "burst_size": 7},
        {"rate": (100, 900), "ramp_s": 0.1},
    ],
    ids=str,
)
def test_each_call_of_a_load_is_made_once(server, measure, way, load):
    result = measure(way, num_iteration=60, warm_up_iteration=10, **load)
    assert (result.requests, result.measured, result.failed) == (60, 50, {})
    assert sorted(server.rows("x")) == sorted([float(x) for x in range(1, 21)] * 3)
    assert (result.accuracy, result.accuracy_rows) == (0.5, 20)
    assert result.version == 3


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("load", [{"concurrency": 3}, {"rate": 200, "arrivals": "poisson"}], ids=str)
def test_a_run_of_a_duration(server, measure, way, load):
    server.takes_s = 0.001
    result = measure(way, duration_s=0.3, warm_up_s=0.1, **load)
    assert 0.25 < result.duration_s < 5
    assert result.requests == server.calls > result.measured > 10
    if "rate" in load:
        assert result.measured == pytest.approx(60, abs=35)


def test_a_recorded_schedule(server, measure, tmp_path):
    (tmp_path / "schedule").write_text("5\n5.05\n5.05\n5.3\n")
    result = measure(schedule_file=tmp_path / "schedule", warm_up_iteration=0)
    assert (result.measured, server.calls) == (4, 4)
    assert result.duration_s >= 0.3


@pytest.mark.parametrize("way", WAYS)
def test_a_stall_is_in_the_latency_of_every_call_that_was_due(server, measure, way):
    """100 calls a second, and nothing is answered for half a second from the 20th on: the 50 calls due meanwhile wait from then on."""
    stall = threading.Lock()

    def wait(call):
        if call == 20:
            with stall:
                time.sleep(0.5)
        with stall:
            pass

    server.before_answer = wait
    result = measure(way, rate=100, num_iteration=120, warm_up_iteration=0)
    assert result.measured == 120
    assert result.latency_ms.max >= 480
    # Due evenly over the stall: the mean of the 50 is 250 ms; a closed loop would show the one that was in flight.
    assert result.latency_ms.percentiles[90] >= 330
    assert result.latency_ms.mean >= 80


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("load", [{"concurrency": 1}, {"concurrency": 4}, {"rate": 100}], ids=str)
def test_failed_calls_of_each_load_are_counted_by_status(server, measure, way, load):
    server.before_answer = lambda call: grpc.StatusCode.INTERNAL if 20 < call <= 25 else None
    result = measure(way, num_iteration=60, warm_up_iteration=10, **load)
    assert result.failed == {"INTERNAL": 5}
    assert result.measured == 45
    assert "call 2" in result.warnings[0]
    assert "was told to fail" in result.warnings[0]


@pytest.mark.parametrize("load", [{"concurrency": 1}, {"concurrency": 4, "connections": 2}, {"rate": 100}], ids=str)
@pytest.mark.parametrize("way", ["grpc", "wire"])
def test_a_server_that_dies_and_comes_back(server, measure, way, load, until):
    """The run goes on: calls fail while the server is away, and are answered again."""
    type_of_server, address = type(server), server.address
    returned = []

    def die():
        until(lambda: server.calls > 30)
        server.stop()
        time.sleep(0.3)
        returned.append(type_of_server(address))

    server.takes_s = 0.001
    dying = threading.Thread(target=die)
    dying.start()
    try:
        result = measure(way, duration_s=4, **load)
    finally:
        dying.join()
        returned[0].stop()
    assert set(result.failed) <= {"UNAVAILABLE", "CANCELLED"}
    assert sum(result.failed.values()) > 0
    assert returned[0].calls > 10
    assert any(text.startswith("no call was answered for ") for text in result.warnings)
    assert result.requests >= server.calls + returned[0].calls


class Relay:
    """A way to a server that can cut one connection."""

    def __init__(self, port):
        self.port = port
        self.links = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):  # closed
            while True:
                link = (self.listener.accept()[0], socket.create_connection(("127.0.0.1", self.port)))
                self.links.append(link)
                for ends in (link, link[::-1]):
                    threading.Thread(target=self._pass, args=ends, daemon=True).start()

    @staticmethod
    def _pass(source, target):
        with contextlib.suppress(OSError):  # cut
            while part := source.recv(65536):
                target.sendall(part)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self, number):
        self.links[number][0].shutdown(socket.SHUT_RDWR)  # the other end follows

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for end in (end for link in self.links for end in link):
            end.close()


@pytest.mark.parametrize("way", ["grpc", "wire"])
def test_one_connection_of_several_is_lost(server, table, way):
    """It has a call in flight, which fails; the others go on, and all calls of the run are made."""
    relay = Relay(server.port)
    cut = []

    def wait(call):
        if call == 60:
            time.sleep(0.3)  # meanwhile each of the connections has a call in flight
            cut.append(len(relay.links))
            relay.cut(-1)
        elif call == 61:
            time.sleep(0.3)

    server.before_answer = wait
    try:
        result = run(Settings(table, relay.address, transport=way, num_iteration=200, warm_up_iteration=0, concurrency=4, connections=4))
    finally:
        relay.close()
    assert cut[0] >= 4
    assert set(result.failed) <= {"UNAVAILABLE", "CANCELLED"}
    assert 1 <= sum(result.failed.values()) <= 20
    assert result.measured == 200 - sum(result.failed.values())
    assert f"{sum(result.failed.values())} of 200 requests failed" in result.warnings[0]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("load", [{"concurrency": 1}, {"concurrency": 4}, {"rate": 50}], ids=str)
def test_a_deadline_that_no_answer_meets(server, measure, way, load):
    server.takes_s = 0.05
    with pytest.raises(NothingSucceeded, match=r"10 of 10 requests failed \(DEADLINE_EXCEEDED 10; the first: DEADLINE_EXCEEDED: .*\)"):
        measure(way, num_iteration=10, warm_up_iteration=0, deadline_s=0.001, **load)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("load", [{"concurrency": 1}, {"concurrency": 4}, {"rate": 50}], ids=str)
def test_a_run_that_is_stopped_gives_what_there_is(server, measure, way, load, monkeypatch):
    """What Ctrl-C sets is set after 40 calls; one is never answered."""
    asked, never = threading.Event(), threading.Event()

    def stop(call):
        if call == 40:
            asked.set()
            never.wait(20)

    server.before_answer = stop
    monkeypatch.setattr(driving, "_new_event", lambda: asked)
    try:
        result = measure(way, num_iteration=1_000_000, **load)
    finally:
        never.set()
    assert result.interrupted
    assert 20 <= result.measured < 10_000
    assert any("in flight when the run was stopped" in note for note in result.notes)
    assert result.warnings[0].startswith(f"interrupted after {result.requests} of 1,000,000 requests")


@pytest.mark.parametrize("way", WAYS)
def test_processes_share_a_load(server, measure, way):
    if way == "rest":
        pytest.skip("two processes are started for each way, and REST differs in nothing here")
    result = measure(way, num_iteration=61, warm_up_iteration=11, processes=2, rate=200, arrivals="poisson")
    assert (result.requests, result.measured, result.failed) == (61, 50, {})
    assert len(server.rows("x")) == 61
    assert len(server.peers) == 2
    assert (result.accuracy, result.accuracy_rows) == (0.5, 20)


def test_a_process_that_fails_says_why(measure, table, monkeypatch):
    with pytest.raises(BadInput, match="--processes: expected no more than the 2 calls in flight of --concurrency, got 3"):
        measure(concurrency=2, processes=3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        *(({"rate": rate}, "--rate: expected calls per second, above 0 and up to 10,000,000") for rate in (0.0, -5.0, 1e12, float("nan"))),
        ({"rate": (0.0, 10.0), "ramp_s": 1.0}, "--rate: expected calls per second, above 0"),
        ({"rate": (1.0, 10.0)}, "--ramp: expected together with FROM..TO"),
        ({"rate": 10.0, "ramp_s": 1.0}, "--ramp: expected together with FROM..TO"),
        ({"rate": 10.0, "concurrency": 4}, "--rate and --concurrency: expected one of them, got both"),
        ({"arrivals": "poisson"}, "--arrivals poisson: expected together with --rate"),
        ({"arrivals": "often", "rate": 1.0}, "--arrivals: expected one of constant, poisson, bursts, got 'often'"),
        ({"concurrency": 0}, "--concurrency: expected a whole number, 1 to 65,536, got 0"),
        ({"connections": 0}, "--connections: expected a whole number"),
        ({"duration_s": 0.0}, "--duration: expected seconds, above 0"),
        ({"duration_s": -1.0}, "--duration: expected seconds, above 0"),
        ({"deadline_s": float("nan")}, "--deadline: expected seconds, above 0"),
        ({"warm_up_s": -1.0}, "--warm-up: expected seconds, above 0"),
        ({"transport": "carrier pigeon"}, "--transport: expected one of grpc, rest, wire, got 'carrier pigeon'"),
        ({"compression": "gzip", "transport": "rest"}, "--compression gzip: expected together with gRPC, got --transport rest"),
        ({"cert_file": "a"}, "--cert and --key: expected both or neither, got one"),
        ({"token_file": "a", "token_env": "A"}, "--token-file and --token-env: expected one of them, got both"),
    ],
)
def test_loads_that_make_no_sense(values, message):
    with pytest.raises(BadInput) as error:
        Settings("eval.csv", **values)
    assert str(error.value).startswith(message)


LOADED_MEANWHILE = """
import ast, sys
from pathlib import Path
from clients.benchmark import Settings, driving, run

course, ended, before, after = driving.Course, driving.Ended, set(), set()
driving.Course = lambda *a: (before.update(sys.modules), course(*a))[1]
driving.Ended = lambda *a: (after.update(sys.modules), ended(*a))[1]
server, data_file, transport, more = sys.argv[1:]
run(Settings(Path(data_file), server, transport=transport, duration_s=0.3, **ast.literal_eval(more)))
print(sorted(after - before))
"""


@pytest.mark.parametrize(
    "load", [{}, {"concurrency": 3}, {"rate": 20_000.0, "arrivals": "poisson"}, {"rate": (100.0, 9000.0), "ramp_s": 0.2}]
)
@pytest.mark.parametrize("transport", ["grpc", "wire"])
def test_nothing_is_loaded_while_calls_are_timed(server, data, transport, load):
    """A library that is loaded in the middle keeps the next calls from being sent for tens of milliseconds."""
    table = data("label,x,c\n1,1,c\n0,2,d\n")
    words = [sys.executable, "-c", LOADED_MEANWHILE, server.address, str(table), transport, repr(load)]
    ended = subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr) == ("[]\n", "")
