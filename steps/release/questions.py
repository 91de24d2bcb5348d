"""What a release asks a model server over gRPC: which versions are there, what they answer, what to serve."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import grpc

from clients.serving import calls, messages, tensors
from steps import contract
from steps.release import checks
from steps.release.checks import SIGNATURE, Array, BadModel, Sample

_TRANSIENT = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.CANCELLED)
_TRANSIENT_LOAD = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "CANCELLED")
ASK_S = 30.0
_POLL_S, _SETTLE_S = 1.0, 2.0
# A proxy of the environment is never asked for a server of ours, and a new server is not waited for by the back-off of one that went.
_OPTIONS = [
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.max_receive_message_length", -1),
]


@dataclass(frozen=True)
class State:
    """The state of one version at the server: START, LOADING, AVAILABLE, UNLOADING or END, and the error that ended it, if one did."""

    name: str
    error: str = ""
    transient: bool = False


@contextlib.contextmanager
def channel(address: str) -> Iterator[Any]:
    """A channel to the server at `host:port`."""
    with grpc.insecure_channel(address, options=_OPTIONS) as opened:
        yield opened


def states(server: Any, model: str, timeout_s: float) -> dict[int, State] | None:
    """The state of each version of a model; none where the server does not know the model, None where it does not answer in time."""
    request = messages.GetModelStatusRequest()
    request.model_spec.name = model
    try:
        response = calls.get_model_status(server)(request, timeout=timeout_s, wait_for_ready=True)
    except grpc.RpcError as error:
        return {} if error.code() == grpc.StatusCode.NOT_FOUND else None
    return {status.version: _state(status) for status in response.model_version_status}


def available(states: Mapping[int, State] | None) -> set[int]:
    """The versions that answer."""
    return {number for number, state in (states or {}).items() if state.name == "AVAILABLE"}


def await_available(server: Any, model: str, version: int, patience_s: float, where: str, look: Callable[[], None]) -> None:
    """Wait until a server has just this version available. Raises BadModel where it does not load, Transient where it takes too long.

    `look` is called again and again meanwhile and may raise as well; `where` ends the message about a server that is too slow.
    """
    deadline, failed_since = time.monotonic() + patience_s, math.inf
    while True:
        found = states(server, model, _POLL_S)
        look()
        if available(found) == {version}:
            return
        state = (found or {}).get(version)
        failed_since = min(failed_since, time.monotonic()) if state and state.error else math.inf
        # An error that stays: the one of an earlier try is seen until the server has looked again.
        if state and time.monotonic() - failed_since > _SETTLE_S:
            error = contract.Transient if state.transient else BadModel
            raise error(f"version {version} of {model} does not load: {state.error}")
        if time.monotonic() > deadline:
            got = "no answer" if found is None else state.name if state else "no such version"
            raise contract.Transient(
                f"version {version} of {model}: expected it to be AVAILABLE, alone, within {patience_s:.0f} s, got {got}; {where}"
            )
        time.sleep(0.05)


def verify(server: Any, model: str, version: int, sample: Sample) -> None:
    """Have a version answer the recorded sample. Raises BadModel where it answers wrong or refuses, Transient where it does not answer."""
    answers = predict(server, model, version, sample.inputs, ASK_S)
    what = f"the sample, as the server's version {version} answers it"
    checks.check_answers(answers, len(sample.probabilities), sample.probabilities.shape[1], what)
    checks.check_agreement(answers["probabilities"], sample.probabilities, what)


def _state(status: Any) -> State:
    code = messages.StatusProto.DESCRIPTOR.fields_by_name["error_code"].enum_type.values_by_number[status.status.error_code].name
    error = "" if code == "OK" else f"{code}: {status.status.error_message}"
    name = next(name for name, number in messages.STATES.items() if number == status.state)
    return State(name, error, code in _TRANSIENT_LOAD)


def predict_request(model: str, version: int | None, inputs: Mapping[str, Array]) -> Any:
    """A PredictRequest of some rows; without a version, the server chooses."""
    request = messages.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = SIGNATURE
    if version is not None:
        request.model_spec.version.value = version
    for name, values in inputs.items():
        request.inputs[name].CopyFrom(tensors.to_proto(values))
    return request


def predict(server: Any, model: str, version: int, inputs: Mapping[str, Array], timeout_s: float) -> dict[str, Array]:
    """A version's answers to some rows. Raises BadModel where it refuses them, Transient where the server does not answer."""
    try:
        response = calls.predict(server)(predict_request(model, version, inputs), timeout=timeout_s)
    except grpc.RpcError as error:
        what = f"version {version} of {model}: the server fails to answer the recorded sample: {error.code().name}: {error.details()}"
        raise contract.Transient(what) if error.code() in _TRANSIENT else BadModel(what) from None
    return {name: tensors.to_array(tensor) for name, tensor in response.outputs.items()}


def reload(server: Any, config: Any, timeout_s: float) -> str:
    """Have the server serve what a ModelServerConfig says; it loads after it has answered. Returns what it objects to, if anything."""
    request = messages.ReloadConfigRequest()
    request.config.CopyFrom(config)
    try:
        response = calls.handle_reload_config_request(server)(request, timeout=timeout_s)
    except grpc.RpcError as error:
        return f"{error.code().name}: {error.details()}"
    return str(response.status.error_message) if response.status.error_code else ""


def pinned(model: str, base_path: str, version: int) -> Any:
    """The ModelServerConfig of one model, pinned to one version."""
    config = messages.ModelServerConfig()
    row = config.model_config_list.config.add(name=model, base_path=base_path, model_platform="tensorflow")
    row.model_version_policy.specific.versions.append(version)
    return config


def config_text(config: Any) -> str:
    """A ModelServerConfig as the text of a model config file."""
    from google.protobuf import text_format

    return str(text_format.MessageToString(config))
