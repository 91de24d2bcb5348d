"""The flags of tensorflow_model_server: those this server has, and those it refuses by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class FlagError(Exception):
    """A flag that is unknown, not supported, or has a wrong value."""


@dataclass(frozen=True)
class Flag:
    """A flag: its default, whose type is the flag's type, and what it does."""

    name: str
    default: int | str | bool
    help: str


FLAGS = (
    Flag("port", 8500, "port of the gRPC API"),
    Flag("rest_api_port", 0, "port of the REST API; 0: no REST API"),
    Flag("rest_api_timeout_in_ms", 30000, "how long a REST call may take"),
    Flag("grpc_max_threads", 128, "gRPC calls in work at a time (TensorFlow Serving: 4 for each processor)"),
    Flag("grpc_channel_arguments", "", "arguments for gRPC's channels, as name=value,name=value (grpc.max_connection_age_ms=10000)"),
    Flag("model_name", "default", "name of the model at model_base_path"),
    Flag("model_base_path", "", "folder of the model's versions, each a subfolder named as a number"),
    Flag("model_config_file", "", "file with a ModelServerConfig in protobuf's text format: models, policies, labels"),
    Flag("model_config_file_poll_wait_seconds", 0, "how often to read model_config_file again; 0: never"),
    Flag("file_system_poll_wait_seconds", 1, "how often to look for versions; 0: once"),
    Flag("allow_version_labels_for_unavailable_models", False, "whether a new label may be given to a version that is not available yet"),
    Flag("max_num_load_retries", 5, "how often to try again to load a version that fails"),
    Flag("load_retry_interval_micros", 60_000_000, "how long to wait before trying again"),
    Flag("enable_model_warmup", True, "whether to replay assets.extra/tf_serving_warmup_requests before a version is available"),
    Flag("enable_batching", True, "whether concurrent requests are merged into one call of the model (TensorFlow Serving: false)"),
    Flag("batching_parameters_file", "", "file with BatchingParameters: max_batch_size (rows) and batch_timeout_micros"),
    Flag("monitoring_config_file", "", "file with a MonitoringConfig: the path of the REST port where Prometheus reads metrics"),
    Flag("ssl_config_file", "", "file with an SSLConfig: key, certificate and authority in PEM's format, for the gRPC port"),
    Flag("tensorflow_session_parallelism", 0, "threads within and between operations; 0: TensorFlow chooses"),
    Flag("tensorflow_intra_op_parallelism", 0, "threads within an operation; 0: TensorFlow chooses"),
    Flag("tensorflow_inter_op_parallelism", 0, "threads between operations; 0: TensorFlow chooses"),
    Flag("saved_model_tags", "serve", "tags of the graph to load, separated by commas"),
    Flag("version", False, "say the version and end"),
)

# Flags of TensorFlow Serving 2.21 that this server does not have.
UNSUPPORTED = frozenset(
    [
        "enable_grpc_healthcheck_service",
        "enable_per_model_batching_parameters",
        "enable_profiler",
        "enable_serialization_as_tensor_content",
        "enable_signature_method_name_check",
        "flush_filesystem_caches",
        "force_allow_any_version_labels_for_unavailable_models",
        "grpc_socket_path",
        "mixed_precision",
        "num_load_threads",
        "num_request_iterations_for_warmup",
        "num_tflite_interpreters_per_pool",
        "num_tflite_pools",
        "num_unload_threads",
        "per_process_gpu_memory_fraction",
        "platform_config_file",
        "prefer_tflite_model",
        "remove_unused_fields_from_bundle_metagraph",
        "rest_api_enable_cors_support",
        "rest_api_num_threads",
        "skip_initialize_tpu",
        "tensorflow_session_config_file",
        "thread_pool_factory_config_file",
        "use_alts_credentials",
        "xla_cpu_compilation_enabled",
        "xla_gpu_compilation_enabled",
    ]
)

_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_BY_NAME = {flag.name: flag for flag in FLAGS}


def usage() -> str:
    """What --help prints."""
    rows = [
        f"  --{flag.name}={str(flag.default).lower() if isinstance(flag.default, bool) else flag.default}\n      {flag.help}"
        for flag in FLAGS
    ]
    return "\n".join(["usage: python -m steps.serve --NAME=VALUE ...", "", "The flags of tensorflow_model_server, with defaults:", *rows])


def parse(arguments: Sequence[str]) -> Mapping[str, Any]:
    """The value of every flag, by name. Raises FlagError for the first argument that is wrong."""
    values: dict[str, Any] = {flag.name: flag.default for flag in FLAGS}
    for argument in arguments:
        name, equals, text = argument.removeprefix("--").partition("=")
        if name in UNSUPPORTED:
            raise FlagError(f"--{name} is a flag of TensorFlow Serving that this server does not support; leave it out")
        if not argument.startswith("--") or name not in _BY_NAME:
            raise FlagError(f"expected --NAME=VALUE with a flag of tensorflow_model_server, got {argument!r}; --help lists them")
        values[name] = _value(_BY_NAME[name], text if equals else None)
    _check(values)
    return values


def channel_arguments(text: str) -> list[tuple[str, int | str]]:
    """What --grpc_channel_arguments says, a value that is a 32-bit number as one. Raises FlagError for an argument without a value."""
    pairs = [argument.split("=") for argument in text.split(",") if argument]
    for pair in pairs:
        if len(pair) != 2 or not all(pair):
            raise FlagError(f"--grpc_channel_arguments: expected name=value,name=value, got {'='.join(pair)!r}")
    return [(name, int(value) if _is_int32(value) else value) for name, value in pairs]


def _is_int32(text: str) -> bool:
    return bool(re.fullmatch(r"[+-]?[0-9]{1,10}", text)) and -(2**31) <= int(text) < 2**31


def _value(flag: Flag, text: str | None) -> int | str | bool:
    if isinstance(flag.default, bool):
        if text is None:
            return True
        if text.lower() in _BOOLEANS:
            return _BOOLEANS[text.lower()]
        raise FlagError(f"--{flag.name}: expected true or false, got {text!r}")
    if text is None:
        raise FlagError(f"--{flag.name}: expected --{flag.name}=VALUE, got no value")
    if isinstance(flag.default, str):
        return text
    try:
        return int(text)
    except ValueError:
        raise FlagError(f"--{flag.name}: expected a whole number, got {text!r}") from None


def _check(values: Mapping[str, Any]) -> None:
    """Raise FlagError for values that do not go together."""
    for name, low, high in (("port", 1, 65535), ("rest_api_port", 0, 65535), ("grpc_max_threads", 1, 10000)):
        if not low <= values[name] <= high:
            raise FlagError(f"--{name}: expected {low} to {high}, got {values[name]}")
    for name in ("file_system_poll_wait_seconds", "model_config_file_poll_wait_seconds", "max_num_load_retries"):
        if values[name] < 0:
            raise FlagError(f"--{name}: expected 0 or more, got {values[name]}")
    channel_arguments(values["grpc_channel_arguments"])
    wrong = [message for holds, message in _CONTRADICTIONS if holds(values)]
    if wrong and not values["version"]:
        raise FlagError(wrong[0])


_PARALLELISM = [f"tensorflow_{which}_parallelism" for which in ("session", "intra_op", "inter_op")]
# What may not be, and what is said of it.
_CONTRADICTIONS: tuple[tuple[Callable[[Mapping[str, Any]], bool], str], ...] = (
    (
        lambda values: values["port"] == values["rest_api_port"],
        "--rest_api_port: expected another port than --port, got the same for both",
    ),
    (
        lambda values: not values["model_base_path"] and not values["model_config_file"],
        "expected --model_base_path=FOLDER or --model_config_file=FILE, got neither",
    ),
    (
        lambda values: values["monitoring_config_file"] and not values["rest_api_port"],
        "--monitoring_config_file: expected --rest_api_port with it, where the metrics are read, got none",
    ),
    (
        lambda values: values["batching_parameters_file"] and not values["enable_batching"],
        "--batching_parameters_file: expected --enable_batching with it, got --enable_batching=false",
    ),
    (
        lambda values: all(values[name] > 0 for name in _PARALLELISM),
        "expected --tensorflow_session_parallelism or --tensorflow_intra_op_parallelism and ..._inter_op_..., got all three",
    ),
)
