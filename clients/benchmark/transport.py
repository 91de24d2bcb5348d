"""One call: bytes out, and bytes or a failure back. The only module that knows gRPC."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Any

import grpc

from clients.serving import calls

_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    # The server is measured, not a proxy between; and not a connection that another run in this process has left.
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
]


@dataclass(frozen=True)
class Failure:
    """A call that was not answered: gRPC's status by name, and the server's (or gRPC's) own words."""

    status: str
    details: str

    def __str__(self) -> str:
        return f"{self.status}: {' '.join(self.details.split())}" if self.details else self.status


class Transport:
    """One connection to one server. A call without an answer after `deadline_s` seconds has failed."""

    def __init__(self, server: str, deadline_s: float) -> None:
        self._channel = grpc.insecure_channel(server, options=_OPTIONS)
        self._deadline_s = deadline_s
        self._predict = self._channel.unary_unary(calls.PREDICT)
        self._get_model_metadata = self._channel.unary_unary(calls.GET_MODEL_METADATA)

    def __enter__(self) -> Transport:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._channel.close()

    def predict(self, request: bytes) -> bytes | Failure:
        """An encoded PredictRequest, to an encoded PredictResponse or the failure."""
        return self._call(self._predict, request)

    def get_model_metadata(self, request: bytes) -> bytes | Failure:
        """An encoded GetModelMetadataRequest, to an encoded GetModelMetadataResponse or the failure."""
        return self._call(self._get_model_metadata, request)

    def _call(self, method: Any, request: bytes) -> bytes | Failure:
        try:
            answer: bytes = method(request, timeout=self._deadline_s)
        except grpc.RpcError as error:
            return Failure(error.code().name, error.details() or "")
        return answer
