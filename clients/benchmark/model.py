"""What the server says of a model: the inputs and outputs of a signature, and the version that answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from clients.benchmark.errors import BadInput, NothingSucceeded
from clients.benchmark.settings import Settings
from clients.benchmark.transport import Failure, Transport
from clients.serving.calls import GET_MODEL_METADATA, GET_MODEL_STATUS
from clients.serving.messages import (
    STATES,
    GetModelMetadataRequest,
    GetModelMetadataResponse,
    GetModelStatusRequest,
    GetModelStatusResponse,
    SignatureDefMap,
)


@dataclass(frozen=True)
class TensorSpec:
    """A tensor's type (a number of TensorFlow's DataType) and shape: -1 where any size goes, None where any rank does."""

    dtype: int
    shape: tuple[int, ...] | None


@dataclass(frozen=True)
class Model:
    """A signature of a model, and the version that had it when it was asked for; None where the server does not say."""

    version: int | None
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]


def describe(settings: Settings, transport: Transport) -> Model:
    """Ask the server for the signature. Raises BadInput for one that the model lacks, NothingSucceeded where no answer comes."""
    request = GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = settings.model
    if settings.model_version is not None:
        request.model_spec.version.value = settings.model_version
    answer = transport.call(GET_MODEL_METADATA, request.SerializeToString())
    if isinstance(answer, Failure):
        raise _refusal(settings, answer, _versions(settings, transport) if answer.status == "NOT_FOUND" else "")
    try:
        response = GetModelMetadataResponse.FromString(answer)
        signatures = SignatureDefMap.FromString(response.metadata["signature_def"].value).signature_def
    except DecodeError as error:
        raise NothingSucceeded(_explained(settings, Failure("UNIMPLEMENTED", str(error)))) from None
    if settings.signature not in signatures:
        known = ", ".join(sorted(name for name in signatures if not name.startswith("__"))) or "none"
        raise BadInput(f"--signature: expected one that model {settings.model} has ({known}), got {settings.signature!r}")
    signature = signatures[settings.signature]
    spec = response.model_spec
    return Model(spec.version.value if spec.HasField("version") else None, _specs(signature.inputs), _specs(signature.outputs))


def _refusal(settings: Settings, failure: Failure, versions: str) -> BadInput | NothingSucceeded:
    """A version that the model lacks is bad input; a model that the server lacks may come."""
    missing = versions and settings.model_version is not None
    return (BadInput if missing else NothingSucceeded)(_explained(settings, failure, versions))


def _specs(tensors: Any) -> dict[str, TensorSpec]:
    return {name: TensorSpec(info.dtype, _shape(info.tensor_shape)) for name, info in sorted(tensors.items())}


def _shape(shape: Any) -> tuple[int, ...] | None:
    return None if shape.unknown_rank else tuple(dim.size for dim in shape.dim)


def _versions(settings: Settings, transport: Transport) -> str:
    """The versions of the model, and the state of each, as the server tells them; nothing where it does not know the model."""
    request = GetModelStatusRequest()
    request.model_spec.name = settings.model
    answer = transport.call(GET_MODEL_STATUS, request.SerializeToString())
    if isinstance(answer, Failure):
        return ""
    try:
        statuses = GetModelStatusResponse.FromString(answer).model_version_status
    except DecodeError:
        return ""
    names = {number: name for name, number in STATES.items()}
    return ", ".join(f"{status.version} {names.get(status.state, status.state)}" for status in statuses)


def _explained(settings: Settings, failure: Failure, versions: str = "") -> str:
    """Why nothing can be measured, in one line: what was asked for, what came, what to do."""
    what, advice = _ADVICE.get(failure.status, ("the server refused to describe model {model}", "see what it says"))
    if versions:
        what, advice = (
            "the server does not serve {version} of model {model}",
            "it has {versions}: mend --model-version, or wait until it is loaded",
        )
    elif settings.is_tls and any(word in failure.details for word in ("TLS", "SSL", "Tls", "certificate")):
        what, advice = "no TLS there that this client trusts", "leave out --tls for a server without it, or mend --ca, --cert and --key"
    elif settings.is_tls and failure.status == "UNAVAILABLE":
        what, advice = (
            "no server answers there by {way} with TLS",
            "start it, or mend -s/--server; one that asks for the client's certificate needs --cert and --key",
        )
    elif failure.status == "RESOURCE_EXHAUSTED" and settings.max_message_bytes is not None:
        what, advice = "what the server says of model {model} is larger than --max-message-size allows", "raise it"
    names = {
        "model": settings.model,
        "versions": versions,
        "version": "a version" if settings.model_version is None else f"version {settings.model_version}",
        "way": _WAYS[settings.transport == "rest"],
    }
    return f"{settings.server}: {what.format(**names)}; {advice.format(**names)} ({failure})"


_WAYS = ("gRPC", "REST")
_ADVICE = {
    "UNAVAILABLE": (
        "no server answers there by {way}",
        "start it, or mend -s/--server (by habit, port 8500 is gRPC and 8501 is REST); one with TLS needs --tls or --ca",
    ),
    "DEADLINE_EXCEEDED": ("no answer in time when asked for model {model}", "see whether -s/--server is right and the server is well"),
    "NOT_FOUND": ("the server does not serve model {model}", "mend --model, or wait until it is loaded"),
    "UNIMPLEMENTED": (
        "the server there does not speak TensorFlow Serving's API by {way}",
        "mend -s/--server (by habit, port 8500 is gRPC and 8501 is REST)",
    ),
    "UNAUTHENTICATED": ("the server does not know who asks", "mend --token-file, --token-env, --metadata-file or --cert"),
    "PERMISSION_DENIED": ("the server refuses who asks", "mend --token-file, --token-env, --metadata-file or --cert"),
}
