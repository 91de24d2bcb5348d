"""What the server says of a model: the inputs and outputs of a signature, and the version that answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from clients.benchmark.errors import BadInput, NothingSucceeded
from clients.benchmark.settings import Settings
from clients.benchmark.transport import Failure, Transport
from clients.serving.calls import GET_MODEL_METADATA
from clients.serving.messages import GetModelMetadataRequest, GetModelMetadataResponse, SignatureDefMap


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
    answer = transport.call(GET_MODEL_METADATA, request.SerializeToString())
    if isinstance(answer, Failure):
        raise NothingSucceeded(_explained(settings, answer))
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


def _specs(tensors: Any) -> dict[str, TensorSpec]:
    return {name: TensorSpec(info.dtype, _shape(info.tensor_shape)) for name, info in sorted(tensors.items())}


def _shape(shape: Any) -> tuple[int, ...] | None:
    return None if shape.unknown_rank else tuple(dim.size for dim in shape.dim)


def _explained(settings: Settings, failure: Failure) -> str:
    """Why nothing can be measured, in one line: what was asked for, what came, what to do."""
    what, advice = _ADVICE.get(failure.status, ("the server refused to describe model {model}", "see what it says"))
    return f"{settings.server}: {what.format(model=settings.model)}; {advice} ({failure})"


_ADVICE = {
    "UNAVAILABLE": ("no server answers there by gRPC", "start it, or mend -s/--server: the gRPC port (8500 by habit), not the REST port"),
    "DEADLINE_EXCEEDED": ("no answer in time when asked for model {model}", "see whether -s/--server is right and the server is well"),
    "NOT_FOUND": ("the server does not serve model {model}", "mend --model, or wait until it is loaded"),
    "UNIMPLEMENTED": ("the server there does not speak TensorFlow Serving's API", "mend -s/--server"),
}
