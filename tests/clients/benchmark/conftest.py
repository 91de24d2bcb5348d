"""A model server for the client's tests: real gRPC on 127.0.0.1, no TensorFlow, told by each test how to behave."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import grpc
import numpy as np
import pytest

from clients.serving import calls, messages, tensors

MODEL = "wide-deep-large-ds-fp32-training"


def signature(inputs, outputs):
    """A SignatureDef from {name: (type, shape)}; a shape of None is one of unknown rank."""
    definition = messages.SignatureDef(method_name="tensorflow/serving/predict")
    for group, specs in ((definition.inputs, inputs), (definition.outputs, outputs)):
        for name, (dtype, shape) in specs.items():
            group[name].dtype = messages.DATA_TYPES[f"DT_{dtype.upper()}"]
            if shape is None:
                group[name].tensor_shape.unknown_rank = True
            for size in shape or ():
                group[name].tensor_shape.dim.add(size=size)
    return definition


class ModelServer:
    """Serves one model. A test sets its `inputs`, how it answers, fails and waits, and reads what it `received`.

    An answer takes `takes_s` seconds; `before_answer` may wait longer, change the version, or return a status to fail with.
    """

    outputs: ClassVar = {"probabilities": ("float", (-1, 2)), "class_ids": ("int64", (-1, 1)), "logits": ("float", (-1, 1))}

    def __init__(self):
        self.inputs = {"x": ("float", (-1,)), "c": ("string", (-1,))}
        self.version = 3
        self.takes_s = 0.0
        self.received = []
        self.calls = 0
        self.classes_of = lambda values: (values["x"] > 0).astype(np.int64)
        self.before_answer = lambda call: None
        self._server = grpc.server(ThreadPoolExecutor(max_workers=2), options=[("grpc.so_reuseport", 0)])
        handlers = {calls.PREDICT: self._predict, calls.GET_MODEL_METADATA: self._metadata}
        for path, handler in handlers.items():
            service, method = path.strip("/").split("/")
            methods = {method: grpc.unary_unary_rpc_method_handler(handler)}
            self._server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, methods)])
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self.address = f"127.0.0.1:{self.port}"
        self._server.start()

    def stop(self):
        self._server.stop(None).wait()

    def rows(self, name):
        """All values received for an input, in the order in which they came."""
        return [value for values in self.received for value in values[name].ravel().tolist()]

    def _metadata(self, body, context):
        request = messages.GetModelMetadataRequest.FromString(body)
        if request.model_spec.name != MODEL:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: Latest({request.model_spec.name})")
        signatures = messages.SignatureDefMap()
        signatures.signature_def["serving_default"].CopyFrom(signature(self.inputs, self.outputs))
        signatures.signature_def["__saved_model_init_op"].CopyFrom(messages.SignatureDef())
        response = messages.GetModelMetadataResponse()
        response.model_spec.name = MODEL
        response.model_spec.version.value = self.version
        response.metadata["signature_def"].Pack(signatures)
        return response.SerializeToString()

    def _predict(self, body, context):
        self.calls += 1
        time.sleep(self.takes_s)
        status = self.before_answer(self.calls)
        if isinstance(status, grpc.StatusCode):
            context.abort(status, f"call {self.calls} was told to fail")
        request = messages.PredictRequest.FromString(body)
        values = {name: tensors.to_array(tensor) for name, tensor in request.inputs.items()}
        self.received.append(values)
        return self.answer(self.classes_of(values)).SerializeToString()

    def answer(self, classes):
        response = messages.PredictResponse()
        response.model_spec.name = MODEL
        response.model_spec.version.value = self.version
        if "class_ids" in self.outputs:
            response.outputs["class_ids"].CopyFrom(tensors.to_field_proto(classes.reshape(-1, 1)))
        if "probabilities" in self.outputs:
            response.outputs["probabilities"].CopyFrom(tensors.to_field_proto(np.eye(2, dtype=np.float32)[classes]))
        return response


@pytest.fixture
def server():
    server = ModelServer()
    yield server
    server.stop()


@pytest.fixture
def data(tmp_path):
    """Writes a data file and gives its path: text as it is, or bytes."""

    def write(content, name="eval.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture
def until():
    """Waits for a condition, not for long."""

    def wait(condition, seconds=20):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.01)

    return wait
