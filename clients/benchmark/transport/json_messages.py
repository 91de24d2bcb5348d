"""The messages of TensorFlow Serving's API as its REST API writes them, and back."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

import numpy as np
from google.protobuf import json_format

from clients.serving.messages import GetModelMetadataResponse, GetModelStatusResponse, PredictResponse, SignatureDefMap
from clients.serving.tensors import to_array, to_proto


def path(spec: Any) -> str:
    """Where a model, or the version that its ModelSpec asks for, is found."""
    found = f"/v1/models/{quote(spec.name, safe='')}"
    if spec.HasField("version"):
        return f"{found}/versions/{spec.version.value}"
    return f"{found}/labels/{quote(spec.version_label, safe='')}" if spec.version_label else found


def predict_body(request: Any) -> bytes:
    """A PredictRequest as JSON, in columns. Bytes that are no UTF-8 are written as {"b64": ...}, unknown numbers as NaN."""
    inputs = {name: _plain(to_array(tensor).tolist()) for name, tensor in request.inputs.items()}
    body: dict[str, Any] = {"inputs": inputs}
    if request.model_spec.signature_name:
        body["signature_name"] = request.model_spec.signature_name
    return json.dumps(body, separators=(",", ":")).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"b64": base64.b64encode(value).decode()}
    return value


def predict_response(answer: Any, outputs: tuple[str, ...]) -> bytes:
    """An encoded PredictResponse of `{"outputs": ...}`: by name, or the one output's values alone.

    JSON knows fewer types: whole numbers become int64, others float64, text and {"b64": ...} bytes.
    Raises KeyError or ValueError where it is something else.
    """
    named = answer["outputs"]
    if not isinstance(named, dict) or "b64" in named:
        (name,) = outputs
        named = {name: named}
    response = PredictResponse()
    for name, values in named.items():
        response.outputs[name].CopyFrom(to_proto(_array(values)))
    encoded: bytes = response.SerializeToString()
    return encoded


def _array(values: Any) -> Any:
    array = np.array(_bytes(values))
    if array.dtype.kind in "SO":
        return np.array(_bytes(values), np.object_)
    return array if array.dtype.kind == "b" else array.astype(np.float64 if array.dtype.kind == "f" else np.int64)


def _bytes(value: Any) -> Any:
    if isinstance(value, list):
        return [_bytes(part) for part in value]
    if isinstance(value, dict):
        return base64.b64decode(value["b64"])
    return value.encode() if isinstance(value, str) else value


def metadata_response(answer: Any) -> bytes:
    """An encoded GetModelMetadataResponse."""
    response = GetModelMetadataResponse()
    json_format.ParseDict(answer["model_spec"], response.model_spec, ignore_unknown_fields=True)
    signatures = SignatureDefMap()
    defined = {name: value for name, value in answer["metadata"]["signature_def"].items() if name != "@type"}
    json_format.ParseDict(defined, signatures, ignore_unknown_fields=True)
    response.metadata["signature_def"].Pack(signatures)
    encoded: bytes = response.SerializeToString()
    return encoded


def status_response(answer: Any) -> bytes:
    """An encoded GetModelStatusResponse."""
    encoded: bytes = json_format.ParseDict(answer, GetModelStatusResponse(), ignore_unknown_fields=True).SerializeToString()
    return encoded


def output_names(metadata: bytes, signature: str) -> tuple[str, ...]:
    """The outputs of a signature, by an encoded GetModelMetadataResponse."""
    response = GetModelMetadataResponse.FromString(metadata)
    signatures = SignatureDefMap.FromString(response.metadata["signature_def"].value).signature_def
    return tuple(signatures[signature or "serving_default"].outputs) if (signature or "serving_default") in signatures else ()
