"""Small models, and real server processes that serve them."""

import contextlib
import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import grpc
import pytest

ROOT = Path(__file__).parents[3]
DEADLINE_S = 60


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, what):
    """The first true value of a condition."""
    deadline = time.monotonic() + DEADLINE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {DEADLINE_S} s until {what}"
        time.sleep(0.02)
    return value


@dataclasses.dataclass
class Server:
    """A running server process and the ways in."""

    process: subprocess.Popen
    port: int
    rest_port: int
    log: Path

    @property
    def channel(self):
        if not hasattr(self, "_channel"):
            self._channel = grpc.insecure_channel(f"127.0.0.1:{self.port}", options=[("grpc.max_receive_message_length", -1)])
        return self._channel

    @property
    def prediction(self):
        from tensorflow_serving.apis import prediction_service_pb2_grpc

        return prediction_service_pb2_grpc.PredictionServiceStub(self.channel)

    @property
    def models(self):
        from tensorflow_serving.apis import model_service_pb2_grpc

        return model_service_pb2_grpc.ModelServiceStub(self.channel)

    def states(self, model):
        """The state of each version, by the name of the state."""
        from tensorflow_serving.apis import get_model_status_pb2 as status

        request = status.GetModelStatusRequest()
        request.model_spec.name = model
        try:
            response = self.models.GetModelStatus(request, timeout=DEADLINE_S)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                return {}
            raise
        return {row.version: status.ModelVersionStatus.State.Name(row.state) for row in response.model_version_status}

    def wait_for(self, model, states):
        wait_until(lambda: self.states(model) == states, f"{model} is {states}, not {self.states(model)}")

    def end(self, number=signal.SIGTERM):
        """Stop the process; its exit code."""
        if hasattr(self, "_channel"):
            self._channel.close()
            del self._channel
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)


def command(*flags):
    return [sys.executable, "-m", "steps.serve", *flags]


def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error::DeprecationWarning:steps"}


@contextlib.contextmanager
def running(folder, *flags, port=None):
    """A server that answers, with a gRPC and a REST port the kernel chose."""
    folder.mkdir(parents=True, exist_ok=True)
    port, rest_port, log = port or free_port(), free_port(), folder / "server.log"
    with open(log, "w") as file:
        process = subprocess.Popen(
            command(f"--port={port}", f"--rest_api_port={rest_port}", *flags), env=environment(), stdout=file, stderr=file, cwd=folder
        )
    server = Server(process, port, rest_port, log)
    try:
        wait_until(lambda: "gRPC at" in log.read_text() or process.poll() is not None, "the server serves")
        assert process.poll() is None, log.read_text()
        yield server
    finally:
        server.end(signal.SIGKILL)


@pytest.fixture(scope="session")
def start():
    return running


def save(folder, signatures, module):
    import tensorflow as tf

    tf.saved_model.save(module, str(folder), signatures=signatures)
    return folder


def save_scale(folder, factor):
    """A model that multiplies: x float32 [N] -> y float32 [N]."""
    import tensorflow as tf

    module = tf.Module()
    module.factor = tf.Variable(float(factor))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def scale(x):
        return {"y": x * module.factor}

    return save(folder, {"serving_default": scale}, module)


@pytest.fixture(scope="session")
def scale():
    """`scale(folder, factor)` saves a model that multiplies."""
    return save_scale


def save_zoo(folder):  # noqa: C901 (one function in it for each signature)
    """A model with a signature for each thing that can be asked of a server."""
    import tensorflow as tf

    module = tf.Module()

    def spec(name, dtype=tf.float32, shape=(None,)):
        return tf.TensorSpec(shape, dtype, name=name)

    @tf.function(input_signature=[spec("a"), spec("b"), spec("word", tf.string), spec("pair", tf.float32, (None, 2))])
    def columns(a, b, word, pair):
        total = tf.where(tf.math.is_nan(a), -1.0, a) + 10.0 * b
        return {
            "total": total[:, None] + pair,
            "length": tf.cast(tf.strings.length(word), tf.int64)[:, None] - 2,
            "shout": tf.strings.upper(word),
        }

    @tf.function(input_signature=[spec("x"), spec("y")])
    def picky(x, y):
        with tf.control_dependencies([tf.debugging.assert_greater_equal(x, 0.0, message="x must not be negative")]):
            return {"root": tf.sqrt(x) + y}

    @tf.function(input_signature=[spec("x", shape=(2,))])
    def whole(x):
        return {"sum": tf.reduce_sum(x)}

    @tf.function(input_signature=[spec("x")])
    def loose(x):
        return {"unlike": tf.reshape(tf.reduce_sum(x), [1])}

    @tf.function(input_signature=[spec("x")])
    def twice(x):
        return {"x": x * 2.0}

    @tf.function(input_signature=[spec("x")])
    def slow(x):
        def busy(i, total):
            return i + 1, total + tf.reduce_sum(tf.random.stateless_normal([1000, 500], [1, i]))

        _, total = tf.while_loop(lambda i, _: i < tf.cast(x[0], tf.int32), busy, (0, 0.0))
        return {"x": x + 0.0 * total}

    @tf.function(input_signature=[spec("text", tf.string, ())])
    def scalar(text):
        return {"echo_bytes": text}

    kinds = [
        tf.float64, tf.int32, tf.int64, tf.uint8, tf.int8, tf.int16, tf.uint16, tf.uint32, tf.uint64, tf.bool, tf.half, tf.complex64,
    ]  # fmt: skip

    @tf.function(input_signature=[spec(kind.name, kind, (None, None)) for kind in kinds])
    def kinds_of(*values):
        return {f"{kind.name}_out": tf.identity(value) for kind, value in zip(kinds, values, strict=True)}

    @tf.function(input_signature=[spec("x", shape=None)])
    def anything(x):
        return {"x": x, "bfloat": tf.cast(x, tf.bfloat16)}

    signatures = {
        "serving_default": columns,
        "picky": picky,
        "whole": whole,
        "loose": loose,
        "twice": twice,
        "slow": slow,
        "scalar": scalar,
        "kinds": kinds_of,
        "anything": anything,
    }
    return save(folder, signatures, module)


@pytest.fixture(scope="session")
def zoo_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo")
    save_zoo(folder / "1")
    return folder


@pytest.fixture(scope="session")
def zoo(zoo_folder, tmp_path_factory):
    """A server of the model with all signatures, shared by all tests that do not change it."""
    with running(tmp_path_factory.mktemp("server"), "--model_name=zoo", f"--model_base_path={zoo_folder}") as server:
        yield server


@pytest.fixture(scope="session")
def ask():
    """`ask(server, inputs, ...)`: the outputs as arrays, asked with tensorflow-serving-api's own messages."""
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    def request(inputs, model="zoo", signature="", version=None, label=None, output_filter=()):
        message = predict_pb2.PredictRequest()
        message.model_spec.name = model
        message.model_spec.signature_name = signature
        if version is not None:
            message.model_spec.version.value = version
        if label is not None:
            message.model_spec.version_label = label
        message.output_filter.extend(output_filter)
        for name, value in inputs.items():
            message.inputs[name].CopyFrom(value if hasattr(value, "tensor_shape") else tf.make_tensor_proto(value))
        return message

    def ask(server, inputs, **options):
        response = server.prediction.Predict(request(inputs, **options), timeout=DEADLINE_S)
        return {name: tf.make_ndarray(tensor) for name, tensor in response.outputs.items()}

    ask.request = request
    return ask


@pytest.fixture
def run_to_end(tmp_path):
    """`run_to_end(*flags)`: a server that ends by itself; its exit code and what it said."""

    def run(*flags):
        result = subprocess.run(
            command(*flags),
            env=environment(),
            cwd=tmp_path,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=DEADLINE_S,
        )
        return result.returncode, result.stdout

    return run


@pytest.fixture
def port():
    return free_port()
