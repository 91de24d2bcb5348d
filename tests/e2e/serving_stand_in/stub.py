"""A model server without TensorFlow: it answers with one version's recorded sample, and misbehaves as saved_model.pb says.

`good`, `slow` (loads for 3 s), `wrong` (answers), `no-load` (ends with the reason), `crash`, `hang` (never loads), or one of these
with `-when-live` (good for the canary). It dies at SIGTERM at once, whatever it is doing, as TensorFlow Serving does.
"""

import json
import os
import signal
import sys
import threading
import time
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import numpy as np

from clients.serving import calls, messages, tensors
from steps.serve import config, flags


class Model:
    """One version of one model."""

    def __init__(self, row):
        self.name, [self.version] = row.name, row.model_version_policy.specific.versions
        self.folder = Path(row.base_path, str(self.version))

    def load(self):
        word = (self.folder / "saved_model.pb").read_text().strip()
        is_live = "-canary-" not in os.uname().nodename
        behaviour = word.removesuffix("-when-live") if is_live or not word.endswith("-when-live") else "good"
        if behaviour == "no-load":
            sys.exit(f"version {self.version} of {self.name} does not load: DATA_LOSS: made not to load")
        if behaviour == "crash":
            print("a crash, on purpose", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGSEGV)
            os._exit(139)
        time.sleep({"slow": 3, "hang": 3600}.get(behaviour, 0))
        answers = np.array(json.loads((self.folder / "assets.extra/sample.json").read_text())["outputs"]["probabilities"], "f4")
        self.answers = answers + np.array([0.01, -0.01] if behaviour == "wrong" else [0, 0], "f4")

    def status(self, request, context):
        response = messages.GetModelStatusResponse()
        if request.model_spec.name != self.name:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such model")
        response.model_version_status.add(version=self.version, state=messages.STATES["AVAILABLE"])
        return response

    def predict(self, request, context):
        if request.model_spec.version.value not in (0, self.version):
            context.abort(grpc.StatusCode.NOT_FOUND, f"version {request.model_spec.version.value} is not available")
        response = messages.PredictResponse()
        response.model_spec.version.value = self.version
        response.outputs["probabilities"].CopyFrom(tensors.to_proto(self.answers))
        response.outputs["class_ids"].CopyFrom(tensors.to_proto(self.answers.argmax(1)[:, None]))
        return response


def rest(model):
    class Rest(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == f"/v1/models/{model.name}" else 404)
            self.end_headers()

        def log_message(self, *_):
            pass

    return Rest


def main(values):
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
    [row] = config.read_file(Path(values["model_config_file"])).model_config_list.config
    model = Model(row)
    model.load()
    options = [("grpc.so_reuseport", 0), *flags.channel_arguments(values["grpc_channel_arguments"])]
    server = grpc.server(futures.ThreadPoolExecutor(8), options=options)
    rows = (
        (calls.GET_MODEL_STATUS, model.status, messages.GetModelStatusRequest, messages.GetModelStatusResponse),
        (calls.PREDICT, model.predict, messages.PredictRequest, messages.PredictResponse),
    )
    for path, method, request, response in rows:
        service, name = path[1:].split("/")
        handler = grpc.unary_unary_rpc_method_handler(method, request.FromString, response.SerializeToString)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {name: handler}),))
    server.add_insecure_port(f"0.0.0.0:{values['port']}")
    server.start()
    web = ThreadingHTTPServer(("0.0.0.0", values["rest_api_port"]), rest(model))
    threading.Thread(target=web.serve_forever, daemon=True).start()
    print(f"serving version {model.version} of {model.name}", file=sys.stderr, flush=True)
    server.wait_for_termination()
    return 0
