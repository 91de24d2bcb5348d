"""`python -m steps.serve`: a model server with the API of TensorFlow Serving, on this machine.

It takes the flags of tensorflow_model_server that flags.py lists, and listens on 127.0.0.1 only. Exit codes: 0 stopped by
SIGTERM or SIGINT, 2 a flag, a file, a port or a model that is not as it must be.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from steps import contract
from steps.serve import config, flags, rpc, warmup
from steps.serve.errors import ServingError
from steps.serve.log import log
from steps.serve.merging import Merging
from steps.serve.metrics import Metrics
from steps.serve.model import Model, SessionOptions
from steps.serve.rest import Rest, RestServer
from steps.serve.servable import Servable
from steps.serve.service import Service
from steps.serve.versions import Pace, Versions

_HOST = "127.0.0.1"
_GRACE_S = 25.0
_REST_THREADS = 64


def main(arguments: Sequence[str]) -> int:
    """Run the server until it is told to stop. Returns the exit code."""
    if {"--help", "--helpfull"} & set(arguments):
        print(flags.usage())
        return contract.DONE
    try:
        values = flags.parse(arguments)
        if values["version"]:
            print(f"TensorFlow ModelServer: the embedded server of Tiphys\nTensorFlow Library: {_tensorflow_version()}")
            return contract.DONE
        return _serve(values)
    except flags.FlagError as error:
        contract.log(str(error))
    except ServingError as error:
        contract.log(f"Failed to start server. Error: {error.code}: {error.message}")
    except OSError as error:
        contract.log(str(error))
    return contract.BAD_INPUT


def _serve(values: Mapping[str, Any]) -> int:
    stop = _stop_on_signals()
    models = _read_models(values)
    settings = config.models_of(models)
    _require_free("port", values["port"])
    if values["rest_api_port"]:
        _require_free("rest_api_port", values["rest_api_port"])
    metrics = Metrics()
    metrics_path = config.read_metrics_path(Path(values["monitoring_config_file"])) if values["monitoring_config_file"] else None
    security = config.read_security(Path(values["ssl_config_file"])) if values["ssl_config_file"] else None
    versions = Versions(
        _loader(values, metrics),
        Pace(values["file_system_poll_wait_seconds"], values["max_num_load_retries"], values["load_retry_interval_micros"] / 1e6),
        values["allow_version_labels_for_unavailable_models"],
    )
    versions.serve(settings, lambda: not stop.is_set())
    if stop.is_set():
        return contract.DONE
    service = Service(versions, metrics)
    arguments = flags.channel_arguments(values["grpc_channel_arguments"])
    server = rpc.start(service, f"{_HOST}:{values['port']}", values["grpc_max_threads"], arguments, security)
    rest = _start_rest(values, Rest(service, metrics, metrics_path, _rest_timeout_s(values), _REST_THREADS))
    where = [f"gRPC at {_HOST}:{values['port']}" + (" with TLS" if security else "")]
    where += [f"REST at http://{_HOST}:{values['rest_api_port']}"] if rest else []
    log(f"serving {', '.join(model.name for model in settings)}: {', '.join(where)}")
    _follow_config_file(values, versions, stop)
    log("stopping: answering what has begun")
    versions.stop()
    stopped = server.stop(_GRACE_S)
    if rest:
        rest.stop(_GRACE_S)
    stopped.wait(_GRACE_S)
    log("stopped")
    return contract.DONE


def _read_models(values: Mapping[str, Any]) -> Any:
    if values["model_config_file"]:
        return config.read_file(Path(values["model_config_file"]))
    return config.single_model(values["model_name"], values["model_base_path"])


def _loader(values: Mapping[str, Any], metrics: Metrics) -> Any:
    both = values["tensorflow_session_parallelism"]
    intra, inter = values["tensorflow_intra_op_parallelism"], values["tensorflow_inter_op_parallelism"]
    options = SessionOptions(*((intra, inter) if intra or inter else (both, both)), tuple(values["saved_model_tags"].split(",")))
    merging = _merging(values)

    def queued(seconds: float) -> None:
        metrics.queuing_latency.add(seconds, "batch_threads")

    def load(name: str, number: int, path: Path) -> Servable:
        servable = Servable(name, number, Model(path, options), merging, queued)
        if values["enable_model_warmup"]:
            try:
                warmup.replay(servable, path)
            except ServingError:
                servable.close()
                raise
        return servable

    return load


def _merging(values: Mapping[str, Any]) -> Merging | None:
    if not values["enable_batching"]:
        return None
    if not values["batching_parameters_file"]:
        return Merging()
    return config.read_merging(Path(values["batching_parameters_file"]), Merging())


def _rest_timeout_s(values: Mapping[str, Any]) -> float | None:
    timeout_ms = values["rest_api_timeout_in_ms"]
    return timeout_ms / 1000 if timeout_ms > 0 else None


def _start_rest(values: Mapping[str, Any], rest: Rest) -> RestServer | None:
    if not values["rest_api_port"]:
        return None
    server = RestServer(rest, (_HOST, values["rest_api_port"]))
    server.start()
    return server


def _follow_config_file(values: Mapping[str, Any], versions: Versions, stop: threading.Event) -> None:
    """Wait for the signal to stop; meanwhile read the config file again and again, where that was asked for."""
    every_s = values["model_config_file_poll_wait_seconds"] if values["model_config_file"] else 0
    said = ""
    while not stop.wait(every_s or None):
        try:
            versions.serve(config.models_of(_read_models(values)), lambda: not stop.is_set())
            complaint = ""
        except ServingError as error:
            complaint = f"the model config file changes nothing: {error.code}: {error.message}"
        if complaint and complaint != said:
            log(complaint)
        said = complaint


def _require_free(flag: str, port: int) -> None:
    """Raise OSError with a clear message for a port that is in use."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError as error:
            raise OSError(
                f"--{flag}: port {port} of {_HOST} cannot be had: {error.strerror}; choose another one, or stop what uses it"
            ) from None


def _stop_on_signals() -> threading.Event:
    """An event that the first SIGTERM or SIGINT sets; the second one ends the process."""
    stop = threading.Event()

    def asked(number: int, _frame: Any) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    signal.signal(signal.SIGTERM, asked)
    signal.signal(signal.SIGINT, asked)
    return stop


def _tensorflow_version() -> str:
    """The version of TensorFlow, without the seconds that importing it takes."""
    for package in ("tensorflow-cpu", "tensorflow"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            return metadata.version(package)
    return "not installed"


if __name__ == "__main__":
    exit_code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # TensorFlow may be in the middle of a load, in a thread that must not outlive the interpreter.
    os._exit(exit_code)
