"""How fast the benchmark client itself is: its own HTTP/2 (wire) and grpcio, beside ghz, against a server that costs next to nothing.

    python benchmarks/transport.py [SECONDS] [ROUNDS]

The client has the first core, the server (benchmarks/constant_server, built by go) another. A request has one row of 39 columns. Shown is
the best of some rounds, in each of which everything runs once. ghz is used where it is on the path:
`go install github.com/bojand/ghz/cmd/ghz@latest`. On a machine that has other work, `chrt -f 5 python benchmarks/transport.py 0.7 4`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from clients.benchmark.load import Closed, Constant, Course, Load, Poisson, Ramp
from clients.benchmark.transport import Endpoint, connect
from clients.serving import messages, tensors

SECONDS, ROUNDS, WARM_UP_S = 1.0, 3, 0.1
# A real-time process (see chrt) that has just been busy would be stopped for a while by the kernel.
SETTLE_S = 1.2
IN_FLIGHT, RATE = 32, 50_000.0
STALL_RATE, STALL_S = 1000.0, 5.0
PROTO = """syntax = "proto3"; package tensorflow.serving;
message Message {} service PredictionService { rpc Predict(Message) returns (Message); }"""
LOADS = {
    "one": Closed(Ramp.constant(1)),
    "closed": Closed(Ramp.constant(IN_FLIGHT)),
    "open": Poisson(Ramp.constant(RATE), 1),
    "stall": Constant(Ramp.constant(STALL_RATE)),
}


def main(seconds: float, rounds: int) -> None:
    go, cores = shutil.which("go"), sorted(os.sched_getaffinity(0))
    if go is None or len(cores) < 2:
        print(f"needs go and two cores, got {'go' if go else 'no go'} and {len(cores)}")
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "answer.pb").write_bytes(answer())
        (folder / "request.pb").write_bytes(request(0))
        (folder / "serving.proto").write_text(PROTO)
        subprocess.run([go, "build", "-o", folder / "server", "."], cwd=Path(__file__).parent / "constant_server", check=True)
        found: dict[str, list[dict[str, float]]] = {}
        for _ in range(rounds):
            with serving(folder, cores[1]) as address:
                for name, shape, transport in (
                    ("grpcio, 1 in flight", "one", "grpc"),
                    ("grpcio", "closed", "grpc"),
                    ("wire", "closed", "wire"),
                ):
                    found.setdefault(name, []).append(measured(cores[0], shape, transport, address, seconds))
                if shutil.which("ghz"):
                    found.setdefault("ghz", []).append(ghz(cores[0], folder, address, seconds))
                found.setdefault("open", []).append(measured(cores[0], "open", "wire", address, seconds))
        with serving(folder, cores[1], "-stall", "200ms", "-every", "1s") as address:
            stalled = measured(cores[0], "stall", "wire", address, STALL_S)
    show(found, stalled)


def show(found: dict[str, list[dict[str, float]]], stalled: dict[str, float]) -> None:
    rates = {name: max(run["rate"] for run in runs) for name, runs in found.items() if name != "open"}
    for name, rate in rates.items():
        in_flight = name if "flight" in name else f"{name}, {IN_FLIGHT} in flight"
        print(f"closed loop, {in_flight}: {rate:,.0f}/s, {rate / rates['grpcio, 1 in flight']:.1f} of one in flight")
    if "ghz" in rates:
        print(f"wire / ghz: {rates['wire'] / rates['ghz']:.1f}")
    best = min(found["open"], key=lambda run: run["late_p99_us"])
    late = f"late p50 {best['late_p50_us']:.0f} us, p99 {best['late_p99_us']:.0f} us"
    print(f"open loop by wire, asked for {RATE:,.0f}/s: {best['rate']:,.0f}/s, {late}")
    print(f"a server that stalls 200 ms in each second, {STALL_RATE:,.0f}/s: p99 {stalled['p99_us'] / 1e3:.1f} ms, where 190 ms is true")


@contextmanager
def serving(folder: Path, core: int, *flags: str) -> Iterator[str]:
    command = ["taskset", "-c", str(core), folder / "server", "-predict", folder / "answer.pb", "-metadata", folder / "answer.pb", *flags]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "GOMAXPROCS": "1"})
    assert server.stdout is not None
    try:
        yield server.stdout.readline().strip()
    finally:
        server.kill()
        server.wait()


def measured(core: int, *arguments: Any) -> dict[str, float]:
    command = ["taskset", "-c", str(core), sys.executable, __file__, "drive", *map(str, arguments)]
    figures: dict[str, float] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return figures


def ghz(core: int, folder: Path, address: str, seconds: float) -> dict[str, float]:
    method = [
        "--insecure",
        "--proto",
        "serving.proto",
        "--call",
        "tensorflow.serving.PredictionService.Predict",
        "--binary-file",
        "request.pb",
    ]
    command = ["taskset", "-c", str(core), "ghz", *method, "-c", str(IN_FLIGHT), "-z", f"{seconds}s", "-O", "json", address]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=folder, env={**os.environ, "GOMAXPROCS": "1"})
    return {"rate": json.loads(done.stdout)["rps"]}


def drive(shape: str, transport: str, address: str, seconds: float) -> None:
    """Print the figures of one load."""
    pool = Pool()
    load = Load(LOADS[shape], duration_ns=int(seconds * 1e9), warm_up_ns=int(WARM_UP_S * 1e9))
    client = connect(transport, Endpoint(address, one_in_flight=shape == "one"))
    client.connect(pool)
    time.sleep(SETTLE_S)
    sink, start_ns = Sink(), time.perf_counter_ns()
    client.drive(Course(load, start_ns), pool, sink, threading.Event())
    client.close()
    due_ns, sent_ns, end_ns = np.concatenate(sink.calls, axis=1)
    due_ns, sent_ns, end_ns = (instants[due_ns >= start_ns + load.warm_up_ns] for instants in (due_ns, sent_ns, end_ns))
    late, took = (sent_ns - due_ns) / 1e3, (end_ns - due_ns) / 1e3
    rate = len(due_ns) / (end_ns.max() - due_ns.min()) * 1e9
    figures = {
        "rate": rate,
        "late_p50_us": np.percentile(late, 50),
        "late_p99_us": np.percentile(late, 99),
        "p99_us": np.percentile(took, 99),
    }
    print(json.dumps({name: float(figure) for name, figure in figures.items()}))


class Sink:
    """Keeps when calls were due, sent and answered: int64 [3, k] each time."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def answered(self, numbers: Any, due_ns: Any, sent_ns: Any, end_ns: Any, places: Any) -> None:
        del numbers, places
        self.calls.append(np.stack([due_ns, sent_ns, end_ns]))

    def answer(self, place: int, body: bytes, count: int, first_ns: int) -> None:
        """Every answer is the same."""

    def failed(self, status: str, details: str, *call: int) -> None:
        sys.exit(f"call {call[0]} failed: {status}: {details}")

    def abandoned(self, count: int) -> None:
        sys.exit(f"{count} calls were not answered")


class Pool:
    """200 requests."""

    def __init__(self) -> None:
        self.bodies = [request(number) for number in range(200)]
        self.resident = 200
        self.rows = np.ones(200, np.int64)

    def place(self, number: int) -> int:
        return number % 200

    def places(self, numbers: Any) -> Any:
        return numbers % 200


def request(number: int) -> bytes:
    """One row of Criteo's columns."""
    message = messages.PredictRequest()
    message.model_spec.name = "model"
    for column in range(13):
        message.inputs[f"I{column + 1}"].CopyFrom(tensors.to_proto(np.array([number + column], np.float32)))
    for column in range(26):
        message.inputs[f"C{column + 1}"].CopyFrom(tensors.to_proto(np.array([b"%08x" % (number * column)], object)))
    body: bytes = message.SerializeToString()
    return body


def answer() -> bytes:
    message = messages.PredictResponse()
    message.model_spec.name = "model"
    message.model_spec.version.value = 1
    message.outputs["probabilities"].CopyFrom(tensors.to_field_proto(np.zeros([1, 2], np.float32)))
    message.outputs["class_ids"].CopyFrom(tensors.to_field_proto(np.zeros([1, 1], np.int64)))
    body: bytes = message.SerializeToString()
    return body


if __name__ == "__main__":
    if sys.argv[1:2] == ["drive"]:
        drive(*sys.argv[2:5], float(sys.argv[5]))
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS, int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS)
