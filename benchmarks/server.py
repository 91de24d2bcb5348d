"""How fast the embedded server is, beside the model called in process and gRPC alone (the limits), and a plain gRPC server (the peer).

python benchmarks/server.py [SECONDS]

The model is the default one with the columns of Criteo's format, so a request has 39 tensors. The plain server is what
people write: a thread pool, tensorflow-serving-api's stubs, and one call of the model for each request. "gRPC alone"
answers the same bytes to every request without reading it. The callers are one process of their own that sends requests
built beforehand, each caller one after the other; the servers are asked in turn, on the same machine. Each figure is the
median of the rounds.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[1]
MODEL = "wide_deep"
ROUNDS = 3
# Rows in a request, and requests in flight.
LOADS = ((1, 1), (1, 8), (1, 32), (128, 2))
BODIES = {1: 256, 128: 8}


def main(seconds: float) -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        child("build", str(folder))
        in_process = json.loads(child("limit", str(folder), str(seconds)))
        with contextlib.ExitStack() as stack:
            ports = [stack.enter_context(serving(folder, name, *arguments)) for name, arguments in servers(folder).items()]
            alone, peer, own = json.loads(child("load", str(folder), str(seconds), *map(str, ports)))
    print(f"{os.cpu_count()} processors; rows/s and the median latency of a request, median of {ROUNDS} rounds of {seconds:g} s")
    print(f"{'':24}{'in process':>20}{'gRPC alone':>21}{'plain server':>22}{'embedded server':>21}   embedded is")
    for load_, *figures in zip(LOADS, in_process, alone, peer, own, strict=True):
        rates = [rate for rate, _ in figures]
        cells = "".join(f"{rate:>10,.0f}/s {latency_ms:>6.2f} ms" for rate, latency_ms in figures)
        ratios = f"{rates[3] / rates[2]:.1f} x plain, {rates[3] / rates[1]:.2f} of gRPC alone, {rates[3] / rates[0]:.2f} of in process"
        print(f"batch {load_[0]:>3}, {load_[1]:>2} in flight {cells}   {ratios}")
    print("in process: one caller, with as many rows in a call as the servers have rows in flight")


def servers(folder: Path) -> dict[str, tuple[str, ...]]:
    """The arguments of each server's process, by name."""
    return {
        "alone": (__file__, "alone", str(folder)),
        "plain": (__file__, "plain", str(folder)),
        "embedded": ("-m", "steps.serve", f"--model_name={MODEL}", f"--model_base_path={folder / MODEL}"),
    }


def child(*arguments: str) -> str:
    """What one part of this benchmark prints, in a process of its own."""
    command = [sys.executable, __file__, *arguments]
    ended = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    if ended.returncode:
        sys.exit(ended.stderr)
    return ended.stdout


def environment() -> dict[str, str]:
    """The environment of a part: it finds the project's packages."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_HOME": os.devnull}


@contextlib.contextmanager
def serving(folder: Path, name: str, *arguments: str) -> Iterator[int]:
    """A server process while the block runs; yields its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / f"{name}.log"
    with open(log, "w") as file:
        process = subprocess.Popen([sys.executable, *arguments, f"--port={port}"], cwd=ROOT, env=environment(), stdout=file, stderr=file)
    try:
        deadline = time.monotonic() + 60
        while f"127.0.0.1:{port}" not in log.read_text():
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"the {name} server does not start: {log.read_text()}")
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait()


def build(folder: Path) -> None:
    """The default model as it is before training, which is as fast as afterwards, and requests with rows of its format."""
    from steps import prepare
    from steps.fetch import address, generator
    from steps.models import wide_deep_tensorflow

    (folder / "data").mkdir()
    generator.write(folder / "data", address.Generated(2000, 1000, 1))
    prepared = folder / prepare.main(prepare.Settings(folder, "me", "model", "data", "criteo", 1)).prepared
    wide_deep_tensorflow.prepare(1)
    from steps.models import wide_deep_export, wide_deep_features
    from steps.models.wide_deep_network import WideDeep

    data = wide_deep_features.load(prepared)
    wide_deep_export.export(WideDeep(data.columns, data.statistics, 1), prepared, folder / MODEL / "1")
    (folder / "prepared").symlink_to(prepared)


def columns(folder: Path, rows: int, position: int) -> dict[str, Any]:
    """The columns of some rows of the evaluation data."""
    import numpy as np
    import pyarrow.parquet as pq

    table = pq.read_table(folder / "prepared" / "eval.parquet").drop_columns("label").slice(position * rows % 800, rows)
    return {
        name: np.array([text.encode() for text in column.to_pylist()], object) if str(column.type) == "string" else column.to_numpy()
        for name, column in zip(table.column_names, table.columns, strict=True)
    }


def limit(folder: Path, seconds: float) -> None:
    """Print the rows/s and the median latency in ms of calls of the model, by as many rows as are in flight."""
    from steps.serve.model import Model, SessionOptions

    model = Model(folder / MODEL / "1", SessionOptions(0, 0, ("serve",)))
    signature = model.signatures["serving_default"]
    results = []
    for rows, in_flight in LOADS:
        given = columns(folder, rows * in_flight, 0)
        feeds = [given[alias] for alias in signature.inputs]
        model.run(signature, tuple(signature.outputs), feeds)
        latencies: list[float] = []
        end = time.perf_counter() + seconds
        while (started := time.perf_counter()) < end:
            model.run(signature, tuple(signature.outputs), feeds)
            latencies.append(time.perf_counter() - started)
        results.append((rows * in_flight * len(latencies) / seconds, median(latencies) * 1e3))
    print(json.dumps(results))


def alone(_folder: Path, port: int) -> None:
    """Answer every request with the bytes of the same answer."""
    from concurrent.futures import ThreadPoolExecutor

    import grpc
    import numpy as np

    from clients.serving import calls
    from steps.serve.wire import ResponseWriter

    outputs = {
        "probabilities": np.zeros([1, 2], np.float32),
        "class_ids": np.zeros([1, 1], np.int64),
        "logits": np.zeros([1, 1], np.float32),
    }
    answer = ResponseWriter(MODEL, 1, "serving_default").write(outputs)
    handler = grpc.unary_unary_rpc_method_handler(lambda request, context: answer)  # noqa: ARG005 (grpc's signature)
    service, method = calls.PREDICT.strip("/").split("/")
    server = grpc.server(ThreadPoolExecutor(32))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    print(f"127.0.0.1:{port}", flush=True)
    server.wait_for_termination()


def plain(folder: Path, port: int) -> None:
    """Serve the model as people write it."""
    from concurrent.futures import ThreadPoolExecutor

    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    call = tf.saved_model.load(str(folder / MODEL / "1")).signatures["serving_default"]

    class Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]
        def Predict(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
            outputs = call(**{name: tf.constant(tf.make_ndarray(tensor)) for name, tensor in request.inputs.items()})
            response = predict_pb2.PredictResponse()
            for name, output in outputs.items():
                response.outputs[name].CopyFrom(tf.make_tensor_proto(output.numpy()))
            return response

    server = grpc.server(ThreadPoolExecutor(32))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Prediction(), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    print(f"127.0.0.1:{port}", flush=True)
    server.wait_for_termination()


def load(folder: Path, seconds: float, *ports: int) -> None:
    """Print for each server and each load the rows/s and the median latency in ms, the answers of the models being alike."""
    from clients.serving import messages, tensors

    bodies: dict[int, list[bytes]] = {}
    for rows, count in BODIES.items():
        bodies[rows] = []
        for position in range(count):
            request = messages.PredictRequest()
            request.model_spec.name = MODEL
            for name, values in columns(folder, rows, position).items():
                request.inputs[name].CopyFrom(tensors.to_proto(values))
            bodies[rows].append(request.SerializeToString())
    print(json.dumps(asyncio.run(_load(seconds, ports, bodies))))


async def _load(seconds: float, ports: tuple[int, ...], bodies: dict[int, list[bytes]]) -> list[list[tuple[float, float]]]:
    import grpc

    from clients.serving import calls

    channels = [grpc.aio.insecure_channel(f"127.0.0.1:{port}") for port in ports]
    servers = [channel.unary_unary(calls.PREDICT) for channel in channels]
    await _check(servers[1:], bodies)
    found: dict[tuple[int, tuple[int, int]], list[tuple[float, float]]] = {}
    for _ in range(ROUNDS):
        for which, server in enumerate(servers):
            for rows, in_flight in LOADS:
                await _round(server, bodies[rows], in_flight, seconds / 4)
                latencies = await _round(server, bodies[rows], in_flight, seconds)
                figures = rows * len(latencies) / seconds, median(latencies) * 1e3
                found.setdefault((which, (rows, in_flight)), []).append(figures)
    for channel in channels:
        await channel.close()
    return [
        [(median(rate for rate, _ in found[which, size]), median(ms for _, ms in found[which, size])) for size in LOADS]
        for which in range(len(ports))
    ]


async def _check(servers: list[Callable[[bytes], Any]], bodies: dict[int, list[bytes]]) -> None:
    """End the program where the servers do not answer alike."""
    import numpy as np

    from clients.serving import messages, tensors

    for rows in bodies.values():
        raw = [await server(rows[0]) for server in servers]
        answers = [tensors.to_array(messages.PredictResponse.FromString(answer).outputs["probabilities"]) for answer in raw]
        if not np.allclose(answers[0], answers[1], atol=1e-5):
            sys.exit("the servers do not answer alike")


async def _round(server: Callable[[bytes], Any], bodies: list[bytes], in_flight: int, seconds: float) -> list[float]:
    """The latencies of the requests that were answered within some seconds."""
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    async def caller(position: int) -> None:
        while (started := time.perf_counter()) < end:
            await server(bodies[position % len(bodies)])
            latencies.append(time.perf_counter() - started)
            position += in_flight

    await asyncio.gather(*(caller(position) for position in range(in_flight)))
    return latencies


if __name__ == "__main__":
    if len(sys.argv) > 2:
        verb, where, *rest = sys.argv[1:]
        arguments = [int(text.rpartition("=")[2]) if text.isdigit() or "port" in text else float(text) for text in rest]
        {"limit": limit, "plain": plain, "alone": alone, "load": load, "build": build}[verb](Path(where), *arguments)
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
