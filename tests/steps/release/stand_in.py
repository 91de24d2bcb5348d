"""A model server without TensorFlow, which starts in a blink: it serves each version's recorded sample, and misbehaves as the version says.

What `saved_model.pb` holds is the behaviour: `good`, `slow`, `wrong`, `nan`, `no-load`, `hang`, `crash`, or one of these with `-when-live`
(good for the canary).
"""

import argparse
import json
import os
import signal
import socket
import sys
import threading
import time
from concurrent import futures
from pathlib import Path

import grpc
import numpy as np
from google.protobuf import text_format

from clients.serving import calls, messages, tensors


class Models:
    """The versions of one model: their state, behaviour and answers."""

    def __init__(self, is_live):
        self.is_live, self.states, self.answers = is_live, {}, {}
        self.name, self.wanted = "", []

    def serve(self, config):
        """Load what the config names, then drop the rest."""
        row = config.model_config_list.config[0]
        self.name, self.wanted = row.name, list(row.model_version_policy.specific.versions)
        loaded = [
            self._load(version, Path(row.base_path, str(version))) for version in self.wanted if self.states.get(version) != "AVAILABLE"
        ]
        if all(loaded):
            for version in [version for version in self.states if version not in self.wanted]:
                self.states[version] = "END"

    def _load(self, version, folder):
        self.states[version] = "LOADING"
        behaviour = (folder / "saved_model.pb").read_text()
        behaviour = behaviour.removesuffix("-when-live") if self.is_live or not behaviour.endswith("-when-live") else "good"
        if behaviour == "crash":
            print("a crash, on purpose", file=sys.stderr, flush=True)
            os._exit(1)
        if behaviour == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if behaviour in ("slow", "hang"):
            time.sleep(0.3 if behaviour == "slow" else 60)
        answers = np.array(json.loads((folder / "assets.extra/sample.json").read_text())["outputs"]["probabilities"], "f4")
        shift = {"wrong": [0.01, -0.01], "nan": [np.nan, 0]}.get(behaviour, [0, 0])
        self.answers[version] = answers + np.array(shift, "f4")
        self.states[version] = "FAILED" if behaviour == "no-load" else "AVAILABLE"
        return behaviour != "no-load"

    def status(self, request, context):
        response = messages.GetModelStatusResponse()
        if request.model_spec.name != self.name:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such model")
        for version, state in sorted(self.states.items()):
            row = response.model_version_status.add(version=version, state=messages.STATES["END" if state == "FAILED" else state])
            if state == "FAILED":
                row.status.error_code, row.status.error_message = messages.ERROR_CODES["DATA_LOSS"], "made not to load"
        return response

    def predict(self, request, context):
        available = [version for version, state in self.states.items() if state == "AVAILABLE"]
        version = request.model_spec.version.value or max(available, default=0)
        if version not in available:
            context.abort(grpc.StatusCode.NOT_FOUND, f"version {version} is not available")
        response = messages.PredictResponse()
        response.model_spec.version.value = version
        probabilities = self.answers[version]
        response.outputs["probabilities"].CopyFrom(tensors.to_proto(probabilities))
        response.outputs["class_ids"].CopyFrom(tensors.to_proto(probabilities.argmax(1)[:, None]))
        return response

    def reload(self, request, context):
        threading.Thread(target=self.serve, args=(request.config,), daemon=True).start()
        return messages.ReloadConfigResponse()


def _handler(method, request, response):
    return grpc.unary_unary_rpc_method_handler(method, request.FromString, response.SerializeToString)


def main():
    parser = argparse.ArgumentParser()
    for flag, kind in (("--port", int), ("--rest_api_port", int), ("--max_num_load_retries", int), ("--model_config_file", Path)):
        parser.add_argument(flag, type=kind)
    options = parser.parse_args()
    models = Models(options.model_config_file.name == "models.config")
    server = grpc.server(futures.ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
    handlers = {
        calls.GET_MODEL_STATUS: _handler(models.status, messages.GetModelStatusRequest, messages.GetModelStatusResponse),
        calls.PREDICT: _handler(models.predict, messages.PredictRequest, messages.PredictResponse),
        calls.HANDLE_RELOAD_CONFIG_REQUEST: _handler(models.reload, messages.ReloadConfigRequest, messages.ReloadConfigResponse),
    }
    for path, handler in handlers.items():
        service, method = path[1:].split("/")
        server.add_registered_method_handlers(service, {method: handler})
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    server.add_insecure_port(f"127.0.0.1:{options.port}")
    with socket.create_server(("127.0.0.1", options.rest_api_port)):
        server.start()
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        config = messages.ModelServerConfig()
        text_format.Parse(options.model_config_file.read_text(), config)
        threading.Thread(target=models.serve, args=(config,), daemon=True).start()
        server.wait_for_termination()


if __name__ == "__main__":
    main()
