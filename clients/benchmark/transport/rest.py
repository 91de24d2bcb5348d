"""TensorFlow Serving's REST API: `POST /v1/models/NAME:predict`, over kept connections, one for each call in flight."""

from __future__ import annotations

import json
from typing import Any

from clients.benchmark.load import Course, Stop
from clients.benchmark.transport import Endpoint, Failure, Pool, Sink
from clients.benchmark.transport import json_messages as messages
from clients.benchmark.transport.asynchronous import Drive, Loop
from clients.benchmark.transport.http1 import Connections
from clients.serving import calls
from clients.serving.messages import GetModelMetadataRequest, GetModelStatusRequest, PredictRequest
from clients.serving.tensors import Array

# Distinct answers are held so far before they are turned into messages, which costs time that is not the server's.
_HELD_BYTES = 64 << 20


class Client:
    """Calls to one server by REST. See transport.Transport; requests and answers are those of gRPC, turned into JSON and back."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._loop = Loop()
        self._connections = Connections(endpoint)
        self._bodies: list[bytes] = []
        self._path = ""
        self._outputs: tuple[str, ...] = ()

    def call(self, method: str, body: bytes) -> bytes | Failure:
        """One call of PredictionService or ModelService, outside the clock."""
        if method == calls.GET_MODEL_METADATA:
            spec = GetModelMetadataRequest.FromString(body).model_spec
            return self._asked("GET", f"{messages.path(spec)}/metadata", b"", messages.metadata_response)
        if method == calls.GET_MODEL_STATUS:
            spec = GetModelStatusRequest.FromString(body).model_spec
            return self._asked("GET", messages.path(spec), b"", messages.status_response)
        if method == calls.PREDICT:
            request = PredictRequest.FromString(body)
            self._learn_outputs(request.model_spec)
            path = f"{messages.path(request.model_spec)}:predict"
            return self._asked("POST", path, messages.predict_body(request), self._predict_response)
        return Failure("UNIMPLEMENTED", f"{method} has no REST call")

    def connect(self, pool: Pool) -> None:
        """Turn the requests that are in memory into JSON; those that are not are turned when they are sent."""
        self._bodies = [_predict_body(pool.bodies[place]) for place in range(pool.resident)]
        spec = PredictRequest.FromString(pool.bodies[0]).model_spec
        self._path = f"{messages.path(spec)}:predict"
        self._learn_outputs(spec)

    def drive(self, course: Course, pool: Pool, sink: Sink, stop: Stop) -> None:
        """Make the calls of a load."""
        answers = _Answers(sink, self._predict_response)

        async def predict(which: int, place: int) -> bytes | Failure:
            del which
            body = self._bodies[place] if place < pool.resident else _predict_body(pool.bodies[place])
            return await self._connections.request("POST", self._path, body)

        async def drive() -> None:
            await Drive(predict, course, pool, answers, stop).run()

        self._loop.run(drive())
        answers.tell()

    def close(self) -> None:
        """Close the connections, and end the loop."""
        self._loop.run(self._connections.close())
        self._loop.close()

    def _asked(self, verb: str, path: str, body: bytes, read: Any) -> bytes | Failure:
        answer = self._loop.run(self._connections.request(verb, path, body))
        if isinstance(answer, Failure):
            return answer
        try:
            message: bytes = read(json.loads(answer))
        except (ValueError, KeyError, TypeError, AttributeError):
            return Failure("UNIMPLEMENTED", "the answer is not TensorFlow Serving's JSON")
        return message

    def _learn_outputs(self, spec: Any) -> None:
        """The names of the outputs, by which a lone one, sent without its name, is known again."""
        request = GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.CopyFrom(spec)
        answer = self.call(calls.GET_MODEL_METADATA, request.SerializeToString())
        self._outputs = () if isinstance(answer, Failure) else messages.output_names(answer, spec.signature_name)

    def _predict_response(self, answer: Any) -> bytes:
        return messages.predict_response(answer, self._outputs)


def _predict_body(body: bytes) -> bytes:
    return messages.predict_body(PredictRequest.FromString(body))


class _Answers:
    """A sink that turns each distinct answer into a message, after the run where memory allows it, and hands everything else on."""

    def __init__(self, sink: Sink, read: Any) -> None:
        self._sink, self._read = sink, read
        self._held: dict[tuple[int, bytes], list[int]] = {}
        self._bytes = 0
        self.failed, self.abandoned = sink.failed, sink.abandoned

    def answered(self, numbers: Array, due_ns: Array, sent_ns: Array, end_ns: Array, places: Array) -> None:
        """See transport.Sink."""
        self._sink.answered(numbers, due_ns, sent_ns, end_ns, places)

    def answer(self, place: int, body: bytes, count: int, first_ns: int) -> None:
        """See transport.Sink."""
        held = self._held.setdefault((place, body), [0, first_ns])
        if not held[0]:
            self._bytes += len(body)
        held[0] += count
        if self._bytes > _HELD_BYTES:
            self.tell()

    def tell(self) -> None:
        """Hand the answers on."""
        for (place, body), (count, first_ns) in self._held.items():
            try:
                message = self._read(json.loads(body))
            except (ValueError, KeyError, TypeError, AttributeError):
                message = b""
            self._sink.answer(place, message, count, first_ns)
        self._held.clear()
        self._bytes = 0
