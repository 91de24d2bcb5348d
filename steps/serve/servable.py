"""A model version that answers: requests as they came off the wire in, responses as they go onto it out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clients.serving.tensors import Array
from steps.serve import signatures, wire
from steps.serve.errors import ServingError
from steps.serve.merging import Merger, Merging
from steps.serve.model import Model
from steps.serve.signatures import Signature

Inputs = Mapping[str, bytes]
Answer = bytes | ServingError

# A request of so many bytes keeps the processor busy by itself; merging it would only make others wait.
_LARGE_BYTES = 32768
_MOST_LANES = 64


class Servable:
    """A loaded version. `merging` is None where each request gets a call of its own; `queued` hears how long one waited to be merged."""

    def __init__(self, name: str, version: int, model: Model, merging: Merging | None, queued: Callable[[float], None]) -> None:
        self.name, self.version, self.model = name, version, model
        self._merging, self._queued = merging, queued
        self._lanes: dict[tuple[str, tuple[str, ...]], _Lane] = {}
        self._lock = threading.Lock()

    def predict(self, request: Any, signature_name: str, size: int) -> bytes:
        """The bytes of the PredictResponse to a RawPredictRequest of `size` bytes. Raises ServingError."""
        signature = signatures.find(self.model.signatures, signature_name)
        inputs = dict(request.inputs)
        if inputs.keys() != signature.inputs.keys():
            signatures.check_inputs(signature, inputs.keys())
        outputs = signatures.chosen_outputs(signature, request.output_filter)
        lane = self._lane(signature, outputs)
        answer = lane.merged(inputs) if lane.merged and size < _LARGE_BYTES else lane.answer_all([inputs])[0]
        if isinstance(answer, ServingError):
            raise answer
        return answer

    def close(self) -> None:
        """Give back the memory of the model; no request may be in flight."""
        self._lanes.clear()
        self.model.close()

    def _lane(self, signature: Signature, outputs: tuple[str, ...]) -> _Lane:
        key = signature.name, outputs
        lane = self._lanes.get(key)
        if lane is None:
            with self._lock:
                if len(self._lanes) >= _MOST_LANES:
                    self._lanes.clear()
                lane = self._lanes.setdefault(key, _Lane(self, signature, outputs, self._merging, self._queued))
        return lane


@dataclass(frozen=True)
class _Rows:
    """A request read, to be merged: its packs and its number of rows."""

    packs: list[Array]
    count: int


class _Lane:
    """Requests that may share a call: those for the same outputs of the same signature of one version."""

    def __init__(
        self,
        servable: Servable,
        signature: Signature,
        outputs: tuple[str, ...],
        merging: Merging | None,
        queued: Callable[[float], None],
    ) -> None:
        self._model, self._signature, self._outputs = servable.model, signature, outputs
        self._writer = wire.ResponseWriter(servable.name, servable.version, signature.name)
        self._readers = [wire.PackReader.of(pack) for pack in signature.packs]
        self._most_rows = merging.most_rows if merging else 0
        self._by_rows = True
        self.merged = (
            Merger(self.answer_all, merging.most_requests, merging.longest_wait_s, queued) if merging and signature.packs else None
        )

    def answer_all(self, requests: Sequence[Inputs]) -> list[Answer]:
        """One answer for each request, in order. A bad request fails alone."""
        read = [self._read(inputs) for inputs in requests]
        answers: dict[int, Answer] = {
            position: item if isinstance(item, ServingError) else self._answer_alone(list(item.values()))
            for position, item in enumerate(read)
            if not isinstance(item, _Rows)
        }
        rows = [(position, item) for position, item in enumerate(read) if isinstance(item, _Rows)]
        for chunk in self._chunks(rows):
            given = self._answer_rows([item for _, item in chunk])
            answers.update(zip([position for position, _ in chunk], given, strict=True))
        return [answers[position] for position in range(len(requests))]

    def _read(self, inputs: Inputs) -> _Rows | dict[str, Array] | ServingError:
        """A request as rows to be merged; as arrays where their shapes are not the signature's; or what is wrong with it."""
        try:
            packs = wire.read_rows(self._readers, inputs) if self._readers else None
            if packs is None:
                arrays = wire.read_arrays(self._signature, inputs)
                packs = wire.pack_arrays(self._signature.packs, arrays) if self._signature.packs else None
                if packs is None:
                    return arrays
            return _Rows(packs, packs[0].shape[1])
        except ServingError as error:
            return error
        except Exception as error:
            return _bug(error)

    def _chunks(self, rows: list[tuple[int, _Rows]]) -> list[list[tuple[int, _Rows]]]:
        """Requests divided into calls of at most so many rows; one that is larger gets a call of its own."""
        chunks: list[list[tuple[int, _Rows]]] = []
        room = 0
        for item in rows:
            count = item[1].count
            if not chunks or count > room or not self._by_rows:
                chunks.append([])
                room = self._most_rows
            chunks[-1].append(item)
            room -= count
        return chunks

    def _answer_rows(self, requests: list[_Rows]) -> list[Answer]:
        """Answers to requests by one call; where that fails, or its outputs are not one row for each, by a call for each."""
        if len(requests) == 1:
            return [self._answer_alone(_columns(requests[0].packs))]
        try:
            packs = [np.concatenate(columns, axis=1) for columns in zip(*(request.packs for request in requests), strict=True)]
            outputs = self._model.run(self._signature, self._outputs, _columns(packs))
            total = sum(request.count for request in requests)
            self._by_rows = all(output.shape[:1] == (total,) for output in outputs)
            if self._by_rows:
                return self._split(requests, outputs)
        except Exception:  # noqa: S110 (whose fault it was, the calls for each will tell)
            pass
        return [self._answer_alone(_columns(request.packs)) for request in requests]

    def _split(self, requests: list[_Rows], outputs: list[Array]) -> list[Answer]:
        answers: list[Answer] = []
        start = 0
        for request in requests:
            end = start + request.count
            answers.append(self._write([output[start:end] for output in outputs]))
            start = end
        return answers

    def _answer_alone(self, columns: Sequence[Array]) -> Answer:
        try:
            return self._write(self._model.run(self._signature, self._outputs, columns))
        except ServingError as error:
            return error
        except Exception as error:
            return _bug(error)

    def _write(self, outputs: list[Array]) -> bytes:
        return self._writer.write(dict(zip(self._outputs, outputs, strict=True)))


def _columns(packs: Sequence[Array]) -> list[Array]:
    return [column for pack in packs for column in pack]


def _bug(error: Exception) -> ServingError:
    return ServingError("INTERNAL", f"{type(error).__name__}: {error}")
