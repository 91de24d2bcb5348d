"""What the answers say: how many rows are right, and which versions of the model gave them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from clients.benchmark.model import TensorSpec
from clients.benchmark.requests import Request
from clients.benchmark.samples import Answer
from clients.serving.messages import PredictResponse
from clients.serving.tensors import Array, to_array

# From the outputs of an answer, by name, to the class index of each row.
ReadClasses = Callable[[Mapping[str, Any]], Array]


@dataclass(frozen=True)
class Judgement:
    """What the answers were worth.

    `accuracy` counts each of the `rows` that were answered once, however often it was sent; where it is None,
    `unmeasured` says why. `versions` answered, in the order in which they were first seen. `unfit` is the number of
    answers that did not hold one class for each row of their request.
    """

    accuracy: float | None
    rows: int
    unmeasured: str | None
    versions: tuple[int, ...]
    unfit: int


def judge(answers: Mapping[tuple[int, bytes], Answer], requests: Sequence[Request], outputs: Mapping[str, TensorSpec]) -> Judgement:
    """Judge the answers, counted by place of the request and encoded PredictResponse."""
    read = _class_reader(outputs)
    unmeasured = _unmeasured(requests, read, outputs)
    versions: dict[int, None] = {}
    right: Counter[int] = Counter()
    fit: Counter[int] = Counter()
    for (place, body), answer in sorted(answers.items(), key=lambda item: item[1].first_ns):
        count = answer.count
        response = _decoded(body)
        if response.model_spec.HasField("version"):
            versions[response.model_spec.version.value] = None
        labels = requests[place].labels
        if read is None or labels is None:
            continue
        classes = _classes(read, response)
        if len(classes) == len(labels):
            fit[place] += count
            right[place] += count * int(np.count_nonzero(classes == labels))
    rows = sum(requests[place].rows for place in fit)
    unfit = 0 if unmeasured else sum(answer.count for answer in answers.values()) - fit.total()
    if unmeasured or not rows:
        return Judgement(None, 0, unmeasured or "no answer held one class for each row", tuple(versions), unfit)
    return Judgement(sum(right[place] / fit[place] for place in fit) / rows, rows, None, tuple(versions), unfit)


def _unmeasured(requests: Sequence[Request], read: ReadClasses | None, outputs: Mapping[str, TensorSpec]) -> str | None:
    if requests[0].labels is None:
        return "the file has no column label"
    if read is None:
        return f"the model has neither an output class_ids nor probabilities, only {', '.join(outputs) or 'none'}"
    return None


def _class_reader(outputs: Mapping[str, TensorSpec]) -> ReadClasses | None:
    """How the classes are read from this model's answers: class_ids [N] or [N, 1], or the likeliest of probabilities [N, classes]."""
    if "class_ids" in outputs:
        return lambda tensors: to_array(tensors["class_ids"]).ravel()
    if "probabilities" in outputs:
        return lambda tensors: _likeliest(to_array(tensors["probabilities"]))
    return None


def _likeliest(probabilities: Array) -> Array:
    """The class of each row; -1, which no label is, where a probability is not a number."""
    if probabilities.ndim != 2:
        raise ValueError
    return np.where(np.isnan(probabilities).any(axis=1), -1, probabilities.argmax(axis=1))


def _decoded(body: bytes) -> Any:
    try:
        return PredictResponse.FromString(body)
    except DecodeError:
        return PredictResponse()


def _classes(read: ReadClasses, response: Any) -> Array:
    """The classes of an answer; none where it does not hold them."""
    try:
        return read(dict(response.outputs))
    except (KeyError, ValueError):
        return np.empty(0)
