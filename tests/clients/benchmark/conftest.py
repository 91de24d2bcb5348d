"""A model server for the client's tests: real gRPC on 127.0.0.1, no TensorFlow, told by each test how to behave."""

import http.server
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import grpc
import numpy as np
import pytest
from google.protobuf import json_format

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

    def __init__(self, address="127.0.0.1:0", credentials=None):
        self.inputs = {"x": ("float", (-1,)), "c": ("string", (-1,))}
        self.version = 3
        self.takes_s = 0.0
        self.received = []
        self.metadata = []
        self.peers = set()
        self.calls = 0
        self._counting = threading.Lock()
        self.classes_of = lambda values: (values["x"] > 0).astype(np.int64)
        self.before_answer = lambda call: None
        self._server = grpc.server(ThreadPoolExecutor(max_workers=2), options=[("grpc.so_reuseport", 0)])
        handlers = {calls.PREDICT: self._predict, calls.GET_MODEL_METADATA: self._metadata, calls.GET_MODEL_STATUS: self._status}
        for path, handler in handlers.items():
            service, method = path.strip("/").split("/")
            methods = {method: grpc.unary_unary_rpc_method_handler(handler)}
            self._server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, methods)])
        add = self._server.add_insecure_port if credentials is None else self._server.add_secure_port
        self.port = add(address, *([] if credentials is None else [credentials]))
        self.address = address.replace(":0", f":{self.port}")
        self._server.start()

    def stop(self):
        self._server.stop(None).wait()

    def rows(self, name):
        """All values received for an input, in the order in which they came."""
        return [value for values in self.received for value in values[name].ravel().tolist()]

    def _status(self, body, context):
        response = messages.GetModelStatusResponse()
        if messages.GetModelStatusRequest.FromString(body).model_spec.name != MODEL:
            context.abort(grpc.StatusCode.NOT_FOUND, "Could not find any versions of model")
        response.model_version_status.add(version=self.version, state=messages.STATES["AVAILABLE"])
        return response.SerializeToString()

    def _metadata(self, body, context):
        request = messages.GetModelMetadataRequest.FromString(body)
        version = request.model_spec.version.value
        if request.model_spec.name != MODEL or version not in (0, self.version):
            wanted = f"Specific({request.model_spec.name}, {version})" if version else f"Latest({request.model_spec.name})"
            context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {wanted}")
        signatures = messages.SignatureDefMap()
        signatures.signature_def["serving_default"].CopyFrom(signature(self.inputs, self.outputs))
        signatures.signature_def["__saved_model_init_op"].CopyFrom(messages.SignatureDef())
        response = messages.GetModelMetadataResponse()
        response.model_spec.name = MODEL
        response.model_spec.version.value = self.version
        response.metadata["signature_def"].Pack(signatures)
        return response.SerializeToString()

    def _predict(self, body, context):
        with self._counting:
            self.calls += 1
            call = self.calls
        self.peers.add(context.peer())
        self.metadata.append({pair.key: pair.value for pair in context.invocation_metadata()})
        time.sleep(self.takes_s)
        status = self.before_answer(call)
        if isinstance(status, grpc.StatusCode):
            context.abort(status, f"call {call} was told to fail")
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


# The headers that the REST side passes on as metadata.
PASSED = ("Authorization", "X-Team")


class RestDoor(http.server.BaseHTTPRequestHandler):
    """The REST API of the model server that it belongs to, as TensorFlow Serving writes it: for the types of this file."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        request = messages.GetModelMetadataRequest()
        request.model_spec.name = self.path.split("/")[3]
        answer = self.server.call(calls.GET_MODEL_METADATA, request)
        if not self._refused(answer):
            response = messages.GetModelMetadataResponse.FromString(answer)
            signatures = messages.SignatureDefMap.FromString(response.metadata["signature_def"].value)
            spec = {"name": MODEL, "version": str(response.model_spec.version.value)}
            self._say(200, {"model_spec": spec, "metadata": {"signature_def": json_format.MessageToDict(signatures, True)}})

    def do_POST(self):
        values = json.loads(self.rfile.read(int(self.headers["content-length"])))["inputs"]
        request = messages.PredictRequest()
        request.inputs["x"].CopyFrom(tensors.to_field_proto(np.array(values["x"], np.float32)))
        request.inputs["c"].CopyFrom(tensors.to_field_proto(np.array([text.encode() for text in values["c"]], object)))
        answer = self.server.call(calls.PREDICT, request, [(name.lower(), self.headers[name]) for name in PASSED if name in self.headers])
        if not self._refused(answer):
            outputs = messages.PredictResponse.FromString(answer).outputs
            self._say(200, {"outputs": {name: tensors.to_array(tensor).tolist() for name, tensor in outputs.items()}})

    def _refused(self, answer):
        if isinstance(answer, grpc.RpcError):
            self._say(404 if answer.code() is grpc.StatusCode.NOT_FOUND else 500, {"error": answer.details()})
        return isinstance(answer, grpc.RpcError)

    def _say(self, status, answer):
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def rest(server):
    """The address of the server's REST side."""
    channel = grpc.insecure_channel(server.address)

    def call(method, request, metadata=()):
        try:
            return channel.unary_unary(method)(request.SerializeToString(), timeout=20, metadata=metadata)
        except grpc.RpcError as error:
            return error

    door = http.server.ThreadingHTTPServer(("127.0.0.1", 0), RestDoor)
    door.call, door.daemon_threads = call, True
    door.handle_error = lambda *_: None  # a client that was stopped has closed its connection
    threading.Thread(target=door.serve_forever, args=(0.01,), daemon=True).start()
    yield f"127.0.0.1:{door.server_port}"
    door.shutdown()
    door.server_close()
    channel.close()


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
