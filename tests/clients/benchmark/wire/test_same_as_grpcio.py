"""The wire against grpcio: the same calls to the same servers have the same answers and the same statuses."""

import shutil
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest

from clients.benchmark.load import Closed, Constant, Course, Load, Ramp
from clients.benchmark.transport import Endpoint, Failure, Tls, connect
from clients.serving.calls import PREDICT

GO = shutil.which("go")
NEEDS_GO = pytest.mark.skipif(GO is None, reason="needs go, to build a server by grpc-go")
SERVERS = ["grpcio", pytest.param("grpc-go", marks=NEEDS_GO)]
# What a request asks for, in words.
REQUESTS = [
    b"echo",
    b"",
    bytes(100_000),
    b"big 0",
    b"big 5",
    b"big 3000000",
    b"token",
    *(b"fail %d words %d" % (code, code) for code in range(1, 17)),
    "fail 3 Größe % ☃".encode(),
    b"fail 9 ",
    b"fail 5 " + b"long " * 300,
]


def answer(request, context):
    verb, _, rest = request.partition(b" ")
    if verb == b"fail":
        code, _, words = rest.decode().partition(" ")
        context.abort(next(status for status in grpc.StatusCode if status.value[0] == int(code)), words)
    if verb == b"big":
        return bytes(int(rest))
    if verb == b"sleep":
        while context.is_active():
            time.sleep(0.01)
    if verb == b"token":
        return ",".join(value for name, value in context.invocation_metadata() if name == "authorization").encode()
    return request


@pytest.fixture(scope="module")
def go_server(tmp_path_factory):
    """Starts servers by grpc-go, and gives their addresses."""
    folder = tmp_path_factory.mktemp("go")
    running = []

    def start(*flags):
        program = folder / "go_server"
        if not program.exists():
            subprocess.run([GO, "build", "-o", program, "."], cwd=Path(__file__).parent / "go_server", check=True)
        server = subprocess.Popen([program, *flags], stdout=subprocess.PIPE, text=True)
        running.append(server)
        return server.stdout.readline().strip()

    yield start
    for server in running:
        server.kill()
        server.wait()
        server.stdout.close()


@pytest.fixture(scope="module")
def address(go_server):
    """The address of a server by its kind."""
    service, method = PREDICT.strip("/").split("/")
    server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.max_receive_message_length", -1)])
    handler = grpc.method_handlers_generic_handler(service, {method: grpc.unary_unary_rpc_method_handler(answer)})
    server.add_generic_rpc_handlers([handler])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    started = {"grpcio": f"127.0.0.1:{port}"}

    def give(kind):
        if kind not in started:
            started[kind] = go_server()
        return started[kind]

    yield give
    server.stop(None).wait()


def ask(transport, endpoint, request, method=PREDICT):
    client = connect(transport, endpoint)
    try:
        outcome = client.call(method, request)
    finally:
        client.close()
    return (outcome.status, outcome.details) if isinstance(outcome, Failure) else outcome


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("compression", [None, "gzip"])
def test_calls_end_alike(address, kind, compression):
    endpoint = Endpoint(address(kind), 20.0, metadata=(("authorization", "Bearer abc"),), compression=compression)
    for request in REQUESTS:
        assert ask("wire", endpoint, request) == ask("grpc", endpoint, request), request[:20]


@pytest.mark.parametrize("kind", SERVERS)
def test_failures_of_the_call_itself_have_the_same_status(address, kind):
    for endpoint, request, method, status in [
        (Endpoint(address(kind), 0.3), b"sleep", PREDICT, "DEADLINE_EXCEEDED"),
        (Endpoint(address(kind), 20.0, max_message_bytes=1000), b"big 1001", PREDICT, "RESOURCE_EXHAUSTED"),
        (Endpoint("127.0.0.1:1", 20.0), b"x", PREDICT, "UNAVAILABLE"),
        (Endpoint("no-such-host.invalid:1", 20.0), b"x", PREDICT, "UNAVAILABLE"),
        (Endpoint(address(kind), 20.0, tls=Tls()), b"x", PREDICT, "UNAVAILABLE"),
    ]:
        assert [ask(transport, endpoint, request, method)[0] for transport in ("wire", "grpc")] == [status, status]


def test_a_method_that_is_not_there(address):
    endpoint = Endpoint(address("grpcio"), 20.0)
    assert ask("wire", endpoint, b"x", "/no.Service/Method") == ask("grpc", endpoint, b"x", "/no.Service/Method")


@NEEDS_GO
def test_unix_sockets_and_tls(go_server, tmp_path):
    unix = f"unix:{go_server('-unix', tmp_path / 'socket')}"
    secure = go_server("-tls", tmp_path / "certificate.pem")
    tls = Tls((tmp_path / "certificate.pem").read_bytes())
    for endpoint in (Endpoint(unix, 20.0), Endpoint(secure, 20.0, tls=tls)):
        for request in (b"echo", b"big 200000", b"fail 5 no"):
            assert ask("wire", endpoint, request) == ask("grpc", endpoint, request)
        for load in LOADS.values():
            sink = drive("wire", endpoint, load, [b"echo 1", b"big 40000", bytes(30_000)])
            assert sink.answers == Counter({(0, b"echo 1"): 200, (1, bytes(40_000)): 200, (2, bytes(30_000)): 200})
    assert ask("wire", Endpoint(secure, 20.0, tls=Tls()), b"x")[1].count("certificate is not accepted") == 1
    for endpoint, words in ((Endpoint(secure, 5.0), "closed|reset|SETTINGS"), (Endpoint(unix + "-not", 5.0), "No such file")):
        status, details = ask("wire", endpoint, b"x")
        assert status == "UNAVAILABLE"
        assert any(word in details for word in words.split("|"))


class Pool:
    """Requests by place, one row each."""

    def __init__(self, bodies):
        self.bodies, self.resident = bodies, len(bodies)
        self.rows = np.ones(len(bodies), np.int64)

    def place(self, number):
        return number % len(self.bodies)

    def places(self, numbers):
        return numbers % len(self.bodies)


class Sink:
    """Counts what it is told, and checks that it fits together."""

    def __init__(self):
        self.numbers, self.answers, self.failures, self.left = Counter(), Counter(), Counter(), 0

    def answered(self, numbers, due_ns, sent_ns, end_ns, places):
        self.numbers.update(numbers.tolist())
        assert (due_ns <= sent_ns).all()
        assert (sent_ns <= end_ns).all()

    def answer(self, place, body, count, first_ns):
        self.answers[place, body] += count

    def failed(self, status, details, number, due_ns, sent_ns, end_ns):
        self.numbers[number] += 1
        self.failures[number, status, details] += 1

    def abandoned(self, count):
        self.left += count


def drive(transport, endpoint, load, bodies):
    client, pool, sink = connect(transport, endpoint), Pool(bodies), Sink()
    try:
        client.connect(pool)
        client.drive(Course(load, time.perf_counter_ns()), pool, sink, threading.Event())
    finally:
        client.close()
    return sink


LOADS = {
    "closed": Load(Closed(Ramp.constant(16)), count=600),
    "open": Load(Constant(Ramp.constant(4000.0)), count=600),
}
MIXED = [b"echo %d" % (10**place) for place in range(12)] + [b"fail 5 not here", b"big 30000", bytes(70_000), b"echo same", b"echo same"]


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("shape", LOADS)
@pytest.mark.parametrize(("connections", "bodies"), [(1, [b"echo 1", b"echo 2", b"echo 3"]), (3, MIXED)])
def test_loads_end_alike(address, kind, shape, connections, bodies):
    endpoint = Endpoint(address(kind), 20.0, connections=connections)
    wire, reference = (drive(transport, endpoint, LOADS[shape], bodies) for transport in ("wire", "grpc"))
    assert wire.numbers == reference.numbers == Counter(range(600))
    assert wire.answers == reference.answers
    assert wire.failures == reference.failures
    assert wire.left == 0


@NEEDS_GO
def test_a_server_that_allows_few_calls_at_once(go_server):
    endpoint = Endpoint(go_server("-streams", "3"), 20.0, connections=2)
    for load in LOADS.values():
        sink = drive("wire", endpoint, load, [b"echo 1", b"echo 2"])
        assert sink.answers == Counter({(0, b"echo 1"): 300, (1, b"echo 2"): 300})


@pytest.mark.parametrize("shape", LOADS)
def test_deadlines_in_a_load(address, shape):
    sink = drive("wire", Endpoint(address("grpcio"), 1.0), LOADS[shape], [b"echo"] * 299 + [b"sleep"])
    assert sink.numbers == Counter(range(600))
    # On a machine that is busy others may be late too.
    assert {299, 599} <= {number for number, _, _ in sink.failures}
    assert {status for _, status, _ in sink.failures} == {"DEADLINE_EXCEEDED"}
