"""The calls of the API, whatever they come in by: requests as bytes, or as messages; ServingError for what goes wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from clients.serving import messages
from steps.serve import config, wire
from steps.serve.errors import ServingError
from steps.serve.metrics import Metrics
from steps.serve.policy import Version
from steps.serve.versions import Versions

_MOST_SPECS = 1000


class Service:
    """PredictionService and ModelService over the versions at hand."""

    def __init__(self, versions: Versions, metrics: Metrics) -> None:
        self._versions, self._metrics = versions, metrics
        self._specs: dict[bytes, Any] = {}

    def predict(self, raw: bytes) -> bytes:
        """A PredictRequest's bytes -> a PredictResponse's bytes."""
        request = wire.parse(wire.RawPredictRequest, raw)
        return self._predict(request, self._spec(request.model_spec), len(raw))

    def predict_counted(self, raw: bytes) -> bytes:
        """As `predict`, for a call that came by gRPC and is counted as one."""
        started = time.perf_counter()
        request = wire.parse(wire.RawPredictRequest, raw)
        spec = self._spec(request.model_spec)
        try:
            answer = self._predict(request, spec, len(raw))
        except ServingError as error:
            self._metrics.request_count.add(spec.name, error.code)
            raise
        self._metrics.request_latency.add(time.perf_counter() - started, spec.name, "Predict", "GRPC")
        self._metrics.request_count.add(spec.name, "OK")
        return answer

    def _predict(self, request: Any, spec: Any, size: int) -> bytes:
        if not request.HasField("model_spec"):
            raise ServingError("INVALID_ARGUMENT", "Missing ModelSpec")
        with self._versions.use(spec) as servable:
            started = time.perf_counter()
            answer = bytes(servable.predict(request, spec.signature_name, size))
        self._metrics.runtime_latency.add(time.perf_counter() - started, spec.name, "Predict", "TF1")
        return answer

    def get_model_metadata(self, request: Any) -> Any:
        """GetModelMetadataRequest -> GetModelMetadataResponse."""
        _require_spec(request)
        if not request.metadata_field:
            raise ServingError("INVALID_ARGUMENT", "GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != "signature_def":
                raise ServingError("INVALID_ARGUMENT", f"Metadata field {field} is not supported")
        response = messages.GetModelMetadataResponse()
        with self._versions.use(request.model_spec) as servable:
            response.model_spec.name = servable.name
            response.model_spec.version.value = servable.version
            response.metadata["signature_def"].Pack(servable.model.signature_definitions)
        return response

    def input_types(self, spec: Any, signature_name: str) -> dict[str, int]:
        """The data type of each input of a signature, as the REST API needs them to read JSON."""
        with self._versions.use(spec) as servable:
            name = signature_name or "serving_default"
            if name not in servable.model.signatures:
                raise ServingError("INVALID_ARGUMENT", f'Serving signature name: "{name}" not found in signature def')
            return {alias: tensor.dtype for alias, tensor in servable.model.signatures[name].inputs.items()}

    def get_model_status(self, request: Any) -> Any:
        """GetModelStatusRequest -> GetModelStatusResponse."""
        _require_spec(request)
        response = messages.GetModelStatusResponse()
        for version in self._versions.states(request.model_spec):
            response.model_version_status.append(_status(version))
        return response

    def reload_config(self, request: Any, still_wanted: Callable[[], bool]) -> Any:
        """ReloadConfigRequest -> ReloadConfigResponse, when each new model has a version available."""
        self._versions.serve(config.models_of(request.config), still_wanted)
        response = messages.ReloadConfigResponse()
        response.status.SetInParent()
        for name in request.metric_names:
            response.metric.add(name=name, int64_value_increase=0)
        return response

    def _spec(self, raw: bytes) -> Any:
        spec = self._specs.get(raw)
        if spec is None:
            spec = wire.parse(messages.ModelSpec, raw)
            if len(self._specs) >= _MOST_SPECS:
                self._specs.clear()
            self._specs[raw] = spec
        return spec


def _require_spec(request: Any) -> None:
    if not request.HasField("model_spec"):
        raise ServingError("INVALID_ARGUMENT", "Missing ModelSpec")


def _status(version: Version) -> Any:
    status = messages.ModelVersionStatus(version=version.number, state=messages.STATES[version.state])
    status.status.SetInParent()
    if version.error and version.state == "END":
        status.status.error_code = messages.ERROR_CODES[version.error.code]
        status.status.error_message = version.error.message
    return status
