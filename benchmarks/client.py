"""How fast the benchmark client is, as its users start it, beside what people use instead, against a server that costs next to nothing.

python benchmarks/client.py [SECONDS] [ROUNDS]

The client has the first core, the server (benchmarks/constant_server, built by go) another. A request has one row of 39 columns.
The peers: the script that people write (a stub, one call after the other, the mean), with one message for all calls and with a
message for each, built by TensorFlow's make_tensor_proto; grpc.aio with 32 callers; grpcio's core without Python above it, as the
limit of what grpcio can do; and ghz where it is on the path (`go install github.com/bojand/ghz/cmd/ghz@latest`). All run once in
each round; a figure is the median of the rounds, a ratio the median of the rounds' ratios, because a machine's speed changes.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import IO, Any, NamedTuple

ROOT = Path(__file__).parents[1]
COLUMNS = 39
IN_FLIGHT = 32
OPEN_RATE = 50_000
OPEN = ("--rate", str(OPEN_RATE), "--arrivals", "poisson", "--transport", "wire", "--warm-up", "0.5")
STALL = ("--rate", "1000", "--duration", "10", "-w", "0")
NAIVE = "script, 1 in flight, one message for all"
BUILT = "script, 1 in flight, a message for each"
# What a client that speaks gRPC with arrays has to load, and what one with TensorFlow's messages loads.
LOADED = {
    "grpcio, numpy and protobuf": "import grpc, numpy, google.protobuf.any_pb2",
    "TensorFlow's messages": "import grpc, tensorflow; from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc",
}
CLOSED = ("--concurrency", str(IN_FLIGHT))
PROTO = """syntax = "proto3"; package tensorflow.serving;
message Message {} service PredictionService { rpc Predict(Message) returns (Message); }"""


def main(seconds: float, rounds: int) -> None:
    """Print the figures."""
    go, cores = shutil.which("go"), sorted(os.sched_getaffinity(0))
    if go is None or len(cores) < 2:
        sys.exit(f"expected go and two cores, got {'go' if go else 'no go'} and {len(cores)}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([go, "build", "-o", folder / "server", "."], cwd=Path(__file__).parent / "constant_server", check=True)
        on(cores[0], sys.executable, __file__, "files", str(folder))
        found: dict[str, list[float]] = {}
        late: list[dict[str, float]] = []
        starts: dict[str, list[Start]] = {}
        with serving(folder, cores[1]) as (address, _):
            for _ in range(rounds):
                for name, rate in one_round(folder, cores[0], address, seconds).items():
                    found.setdefault(name, []).append(rate)
                late.append(client(folder, cores[0], address, *OPEN, "--duration", str(seconds))["lateness_ms"])
        with serving(folder, cores[1]) as (address, server):
            for _ in range(rounds + 2):
                for way in ("grpc", "wire"):
                    starts.setdefault(f"this client by {way}", []).append(start(folder, cores[0], address, way, server))
                for name, imports in LOADED.items():
                    starts.setdefault(f"loading {name}", []).append(ended(cores[0], imports))
        with serving(folder, cores[1], "-stall", "200ms", "-every", "1s") as (address, _):
            stalled = {way: client(folder, cores[0], address, "--transport", way, *STALL) for way in ("grpc", "wire")}
    show(found, late, starts, stalled)


def show(found: dict[str, list[float]], late: list[dict[str, float]], starts: dict[str, list[Start]], stalled: dict[str, Any]) -> None:
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}; calls/s of one core")
    for name, rates in found.items():
        ratios = (median(rate / peer for rate, peer in zip(rates, found[script], strict=True)) for script in (NAIVE, BUILT))
        print("{:<44}{:>10,.0f}/s   {:5.1f} x and {:5.1f} x the scripts".format(name, median(rates), *ratios))
    for level in ("p50", "p99"):
        lateness_us = [run[level] * 1e3 for run in late]
        figures = f"{min(lateness_us):.0f} us at best, {median(lateness_us):.0f} us in the median run"
        print(f"open loop by wire, Poisson, {OPEN_RATE:,}/s: sent late by {figures} ({level})")
    print("seconds to the first request (loading: to the end) and megabytes, the least and the median of the runs")
    for name, parts in starts.items():
        seconds, memory = ([getattr(part, field) for part in parts] for field in Start._fields)
        print(f"{name:<44}{min(seconds):6.2f} s {median(seconds):6.2f} s {min(memory):6.0f} MB {median(memory):6.0f} MB")
    for way, record in stalled.items():
        latency = record["latency_ms"]
        print(
            f"200 ms of stall in each second at 1,000/s, by {way}: p50 {latency['p50']:.2f} ms, p99 {latency['p99']:.1f} ms; true is 190 ms"
        )


def one_round(folder: Path, core: int, address: str, seconds: float) -> dict[str, float]:
    """Calls per second, by name."""
    asked = {
        "this client by grpcio, 1 in flight": (),
        f"this client by grpcio, {IN_FLIGHT} in flight": CLOSED,
        f"this client by wire, {IN_FLIGHT} in flight": (*CLOSED, "--transport", "wire"),
    }
    rates = {
        NAIVE: float(on(core, sys.executable, __file__, "script", str(folder), address, str(seconds))),
        BUILT: float(on(core, sys.executable, __file__, "building_script", str(folder), address, str(seconds))),
        f"grpcio's core, {IN_FLIGHT} in flight": float(on(core, sys.executable, __file__, "bare_core", str(folder), address, str(seconds))),
        f"grpc.aio, {IN_FLIGHT} in flight": float(on(core, sys.executable, __file__, "aio", str(folder), address, str(seconds))),
    }
    for name, flags in asked.items():
        rates[name] = client(folder, core, address, "--duration", str(seconds), *flags)["requests_per_s"]
    if shutil.which("ghz"):
        method = ["--proto", str(folder / "serving.proto"), "--call", "tensorflow.serving.PredictionService.Predict"]
        method += ["--binary-file", str(folder / "request.pb"), "-c", str(IN_FLIGHT), "-z", f"{seconds}s", "-O", "json"]
        rates[f"ghz, {IN_FLIGHT} in flight"] = json.loads(on(core, "ghz", "--insecure", *method, address))["rps"]
    return rates


def on(core: int, *command: str) -> str:
    """What a command prints, run on one core."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GOMAXPROCS": "1"}
    ended = subprocess.run(["taskset", "-c", str(core), *command], env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        sys.exit(ended.stderr)
    return ended.stdout


def client(folder: Path, core: int, address: str, *flags: str) -> dict[str, Any]:
    """The record of a run."""
    command = (sys.executable, "-m", "clients.benchmark", "-s", address, "-d", str(folder / "eval.csv"), "--json", str(folder / "record"))
    on(core, *command, *flags)
    record: dict[str, Any] = json.loads((folder / "record").read_text())
    return record


class Start(NamedTuple):
    """Seconds until a process did what it was started for, and its most memory in megabytes."""

    seconds: float
    memory_mb: float


def start(folder: Path, core: int, address: str, way: str, server: IO[str]) -> Start:
    """Of a run of one request, as the console script starts it: until it came to the server, which prints when."""
    words = ["tiphys-bench", "-s", address, "-d", str(folder / "eval.csv"), "-n", "1", "-w", "0", "--transport", way]
    began_ns = time.time_ns()
    whole = ended(core, f"import sys; sys.argv = {words!r}\nfrom clients.benchmark.__main__ import main; main()")
    return Start((int(server.readline()) - began_ns) / 1e9, whole.memory_mb)


def ended(core: int, code: str) -> Start:
    """Of a run of Python from start to end. The kernel's own figure of its memory begins with that of the process that started it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    code += "\nprint(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])"
    began = time.perf_counter()
    said = subprocess.run(
        ["taskset", "-c", str(core), sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    if said.returncode:
        sys.exit(said.stderr)
    return Start(time.perf_counter() - began, int(said.stdout.split()[-1]) / 1024)


@contextmanager
def serving(folder: Path, core: int, *flags: str) -> Iterator[tuple[str, IO[str]]]:
    """The server while the block runs; yields its address, and what it prints: when the first request of each client came."""
    files: list[str | Path] = ["-predict", folder / "answer.pb", "-metadata", folder / "metadata.pb"]
    command = ["taskset", "-c", str(core), folder / "server", *files, *flags]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "GOMAXPROCS": "1"})
    assert server.stdout is not None
    try:
        yield server.stdout.readline().strip(), server.stdout
    finally:
        server.kill()
        server.wait()


def files(folder: Path) -> None:
    """Write what the server answers, a request for ghz, and rows for the client."""
    import numpy as np

    from clients.benchmark.settings import Settings
    from clients.serving import messages, tensors

    names = [f"f{number}" for number in range(COLUMNS)]
    model = Settings(None, generate=True).model
    response = messages.PredictResponse()
    response.model_spec.name, response.model_spec.version.value = model, 1
    response.outputs["probabilities"].CopyFrom(tensors.to_field_proto(np.array([[0.25, 0.75]], np.float32)))
    (folder / "answer.pb").write_bytes(response.SerializeToString())
    signatures = messages.SignatureDefMap()
    signature = signatures.signature_def["serving_default"]
    for group, tensor, shape in [*((signature.inputs, name, (-1,)) for name in names), (signature.outputs, "probabilities", (-1, 2))]:
        group[tensor].dtype = messages.DATA_TYPES["DT_FLOAT"]
        for size in shape:
            group[tensor].tensor_shape.dim.add(size=size)
    metadata = messages.GetModelMetadataResponse()
    metadata.model_spec.CopyFrom(response.model_spec)
    metadata.metadata["signature_def"].Pack(signatures)
    (folder / "metadata.pb").write_bytes(metadata.SerializeToString())
    rows = np.random.default_rng(1).normal(size=(100, COLUMNS)).round(3)
    lines = [",".join(["label", *names]), *(",".join(["1", *map(str, row)]) for row in rows)]
    (folder / "eval.csv").write_text("\n".join(lines) + "\n")
    (folder / "request.pb").write_bytes(request(model, rows[0]).SerializeToString())
    (folder / "serving.proto").write_text(PROTO)


def request(model: str, row: Any) -> Any:
    """A request as a message."""
    import numpy as np

    from clients.serving import messages, tensors

    built = messages.PredictRequest()
    built.model_spec.name = model
    for number, value in enumerate(row):
        built.inputs[f"f{number}"].CopyFrom(tensors.to_proto(np.array([value], np.float32)))
    return built


def script(_folder: Path, address: str, seconds: float) -> None:
    """Print the calls per second of what people write."""
    import grpc

    from clients.serving import calls

    with grpc.insecure_channel(address) as channel:
        predict, message = calls.predict(channel), request("model", [0.5] * COLUMNS)
        predict(message)
        latencies = []
        end = time.time() + seconds
        while (began := time.time()) < end:
            predict(message)
            latencies.append(time.time() - began)
    print(1 / (sum(latencies) / len(latencies)))


def building_script(folder: Path, address: str, seconds: float) -> None:
    """Print the same where each call has a row of its own, and its message is built for it, as users of TensorFlow do."""
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    lines = (folder / "eval.csv").read_text().splitlines()[1:]
    rows = [[float(text) for text in line.split(",")[1:]] for line in lines]
    with grpc.insecure_channel(address) as channel:
        stub, done = prediction_service_pb2_grpc.PredictionServiceStub(channel), 0
        began = None
        while began is None or time.time() - began < seconds:
            message = predict_pb2.PredictRequest()
            message.model_spec.name = "model"
            for number, value in enumerate(rows[done % len(rows)]):
                message.inputs[f"f{number}"].CopyFrom(tf.make_tensor_proto([value], dtype=tf.float32))
            stub.Predict(message)
            began, done = began or time.time(), done + 1
        print((done - 1) / (time.time() - began))


def bare_core(folder: Path, address: str, seconds: float) -> None:
    """Print the calls per second of grpcio's compiled part, which is not for users: each event is followed by the next call."""
    from grpc._cython import cygrpc

    from clients.serving import calls

    body, method = (folder / "request.pb").read_bytes(), calls.PREDICT.encode()
    channel = cygrpc.Channel(address.encode(), (), None)

    def call() -> None:
        operations = (
            cygrpc.SendInitialMetadataOperation(None, 0),
            cygrpc.SendMessageOperation(body, 0),
            cygrpc.SendCloseFromClientOperation(0),
            cygrpc.ReceiveInitialMetadataOperation(0),
            cygrpc.ReceiveMessageOperation(0),
            cygrpc.ReceiveStatusOnClientOperation(0),
        )
        channel.integrated_call(0, method, None, None, None, None, ((operations, bool),), None)

    for _ in range(IN_FLIGHT):
        call()
    channel.next_call_event()
    call()
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        if not channel.next_call_event().success:
            sys.exit("a call failed")
        done += 1
        call()
    print(done / (time.perf_counter() - began))
    sys.stdout.flush()
    os._exit(0)  # the calls in flight are not waited for


def aio(_folder: Path, address: str, seconds: float) -> None:
    """Print the calls per second of callers in one asyncio loop, of encoded requests."""
    import grpc.aio

    from clients.serving import calls

    async def measure() -> float:
        async with grpc.aio.insecure_channel(address) as channel:
            predict, body = channel.unary_unary(calls.PREDICT), request("model", [0.5] * COLUMNS).SerializeToString()
            await predict(body)
            done, began = 0, time.perf_counter()

            async def caller() -> None:
                nonlocal done
                while time.perf_counter() - began < seconds:
                    await predict(body)
                    done += 1

            await asyncio.gather(*(caller() for _ in range(IN_FLIGHT)))
            return done / (time.perf_counter() - began)

    print(asyncio.run(measure()))


if __name__ == "__main__":
    peers = {"script": script, "building_script": building_script, "bare_core": bare_core, "aio": aio}
    if sys.argv[1:2] == ["files"]:
        files(Path(sys.argv[2]))
    elif sys.argv[1:2] and sys.argv[1] in peers:
        peers[sys.argv[1]](Path(sys.argv[2]), sys.argv[3], float(sys.argv[4]))
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 2.0, int(sys.argv[2]) if len(sys.argv) > 2 else 3)
