"""The calls of TensorFlow Serving's gRPC API, as grpc's own multicallables (of a plain or an aio channel).

Each takes a request message and keywords such as `timeout`, and returns the response message or raises grpc.RpcError.
"""

from __future__ import annotations

from typing import Any

from clients.serving import messages

PREDICT = "/tensorflow.serving.PredictionService/Predict"
GET_MODEL_METADATA = "/tensorflow.serving.PredictionService/GetModelMetadata"
GET_MODEL_STATUS = "/tensorflow.serving.ModelService/GetModelStatus"
HANDLE_RELOAD_CONFIG_REQUEST = "/tensorflow.serving.ModelService/HandleReloadConfigRequest"


def _call(channel: Any, method: str, request: Any, response: Any) -> Any:
    return channel.unary_unary(method, request_serializer=request.SerializeToString, response_deserializer=response.FromString)


def predict(channel: Any) -> Any:
    """PredictRequest -> PredictResponse."""
    return _call(channel, PREDICT, messages.PredictRequest, messages.PredictResponse)


def get_model_metadata(channel: Any) -> Any:
    """GetModelMetadataRequest -> GetModelMetadataResponse, whose metadata["signature_def"] is an Any of a SignatureDefMap."""
    return _call(channel, GET_MODEL_METADATA, messages.GetModelMetadataRequest, messages.GetModelMetadataResponse)


def get_model_status(channel: Any) -> Any:
    """GetModelStatusRequest -> GetModelStatusResponse."""
    return _call(channel, GET_MODEL_STATUS, messages.GetModelStatusRequest, messages.GetModelStatusResponse)


def handle_reload_config_request(channel: Any) -> Any:
    """ReloadConfigRequest -> ReloadConfigResponse."""
    return _call(channel, HANDLE_RELOAD_CONFIG_REQUEST, messages.ReloadConfigRequest, messages.ReloadConfigResponse)
