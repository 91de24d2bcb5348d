"""A client that asks a served model all the while, as two kinds of clients do: on one connection, and on a new one each time."""

from __future__ import annotations

import threading
import time
from collections import Counter
from types import TracebackType
from typing import Any

import grpc
import numpy as np

from clients.serving import calls, messages, tensors

STRING = 7  # of TensorFlow's DataType
NEW_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]


class Loop:
    """Asks from `with` to its end, one request in flight on each of two threads; `failed` says how each failure went."""

    def __init__(self, address: str, model: str) -> None:
        self._address, self._model = address, model
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(fresh,)) for fresh in (False, True)]
        self.versions: Counter[int] = Counter()
        self.failed: list[str] = []
        with self._channel() as channel:
            self._request = self._row(channel)

    @property
    def succeeded(self) -> int:
        """The requests that were answered."""
        return sum(self.versions.values())

    def __enter__(self) -> Loop:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _channel(self) -> Any:
        return grpc.insecure_channel(self._address, options=NEW_CONNECTION)

    def _row(self, channel: Any) -> Any:
        """A request of one row of zeros and empty texts, as the model's signature asks for them."""
        question = messages.GetModelMetadataRequest(metadata_field=["signature_def"])
        question.model_spec.name = self._model
        answer = calls.get_model_metadata(channel)(question, timeout=30, wait_for_ready=True)
        signatures = messages.SignatureDefMap.FromString(answer.metadata["signature_def"].value).signature_def
        request = messages.PredictRequest()
        request.model_spec.name = self._model
        for name, info in signatures["serving_default"].inputs.items():
            values = np.array([""], object) if info.dtype == STRING else np.zeros(1, "f4")
            request.inputs[name].CopyFrom(tensors.to_proto(values))
        return request

    def _ask(self, fresh: bool) -> None:
        channel = self._channel()
        while not self._stop.wait(0.02):
            if fresh:
                channel.close()
                channel = self._channel()
            try:
                answer = calls.predict(channel)(self._request, timeout=20)
                self.versions[int(answer.model_spec.version.value)] += 1
            except grpc.RpcError as error:
                self.failed.append(f"{time.time():.3f} {'new' if fresh else 'old'} connection: {error.code().name}: {error.details()}")
        channel.close()


def version(address: str, model: str) -> int:
    """The version that answers a client without a wish."""
    question = messages.GetModelMetadataRequest(metadata_field=["signature_def"])
    question.model_spec.name = model
    with grpc.insecure_channel(address, options=NEW_CONNECTION) as channel:
        return int(calls.get_model_metadata(channel)(question, timeout=30, wait_for_ready=True).model_spec.version.value)
