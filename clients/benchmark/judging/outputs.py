"""What a model's outputs mean: classes, probabilities, or real numbers; by name where the name says, by the values where not."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from clients.benchmark.errors import BadInput
from clients.benchmark.model import TensorSpec
from clients.serving.tensors import KINDS, Array, to_array


class Meaning(Enum):
    """What the values of an output are. UNSAID: the labels and the values must tell."""

    CLASSES = "class indices"
    PROBABILITIES = "probabilities"
    LOGITS = "logits"
    REAL = "real numbers"
    UNSAID = "unsaid"


# The names that TensorFlow's estimators and Serving's own classify and regress give. With one column a probability is class 1's.
MEANINGS = {
    "class_ids": Meaning.CLASSES,
    "probabilities": Meaning.PROBABILITIES,
    "logistic": Meaning.PROBABILITIES,
    "scores": Meaning.UNSAID,
    "logits": Meaning.LOGITS,
    "predictions": Meaning.UNSAID,
}


@dataclass(frozen=True)
class Reading:
    """How answers are read: the output of classes, the output of values and what these mean; or why they cannot be."""

    classes: str | None = None
    values: str | None = None
    meaning: Meaning = Meaning.UNSAID
    why_not: str | None = None

    def read(self, tensors: Mapping[str, Any], rows: int) -> tuple[Array | None, Array | None]:
        """Classes [rows] and values float64 [rows, columns] of an answer's outputs. Raises KeyError or ValueError where it lacks them."""
        classes = None if self.classes is None else by_row(to_array(tensors[self.classes]), rows).reshape(rows)
        values = None if self.values is None else by_row(to_array(tensors[self.values]), rows).astype(np.float64).reshape(rows, -1)
        return classes, values


def by_row(array: Array, rows: int) -> Array:
    """An output as [rows, ...]; of a model without a batch dimension it is the only row. Raises ValueError for another number of rows."""
    if array.ndim and len(array) == rows:
        return array
    if rows != 1 or array.ndim > 1:
        raise ValueError(f"expected {rows} rows, got the shape {list(array.shape)}")
    return array[np.newaxis]


def find(outputs: Mapping[str, TensorSpec], asked: str | None) -> Reading:
    """How to read the answers of a model. Raises BadInput where `asked` names no output, or one that is no number."""
    numbers = [name for name, spec in outputs.items() if spec.dtype in KINDS and KINDS[spec.dtype].dtype.kind in "fiub"]
    if asked is not None:
        return _asked(outputs, numbers, asked)
    classes = "class_ids" if "class_ids" in numbers else None
    known = next((name for name in ("probabilities", "logistic", "logits") if name in numbers), None)
    if known:
        return Reading(classes, known, MEANINGS[known])
    if classes:
        return Reading(classes)
    if len(numbers) == 1:
        return _unsaid(outputs, numbers[0])
    listed = ", ".join(outputs) or "none"
    return Reading(why_not=f"the outputs ({listed}) do not say which of them answers the label; name it with --output")


def _asked(outputs: Mapping[str, TensorSpec], numbers: list[str], asked: str) -> Reading:
    if asked not in numbers:
        near = difflib.get_close_matches(asked, numbers, 1)
        listed = ", ".join(numbers) or "none"
        what = "an output of numbers" if asked in outputs else "an output of the model"
        raise BadInput(f"--output: expected {what} ({listed}), got {asked!r}{f'; near: {near[0]}' if near else ''}")
    meaning = MEANINGS.get(asked, Meaning.UNSAID)
    if meaning is Meaning.UNSAID:
        return _unsaid(outputs, asked)
    return Reading(classes=asked) if meaning is Meaning.CLASSES else Reading(values=asked, meaning=meaning)


def _unsaid(outputs: Mapping[str, TensorSpec], name: str) -> Reading:
    """Whole numbers are classes; of others the labels and the values must tell."""
    return Reading(values=name) if KINDS[outputs[name].dtype].dtype.kind == "f" else Reading(classes=name)


def means_classes(outputs: Mapping[str, TensorSpec], asked: str | None) -> bool:
    """Whether the label of a row must be a class index, because the outputs are known to be about classes."""
    reading = find(outputs, asked)
    return reading.classes is not None or reading.meaning in (Meaning.PROBABILITIES, Meaning.LOGITS)


def as_probabilities(values: Array) -> Array:
    """Probabilities [rows, classes] from those of all classes, or of class 1 alone."""
    return np.hstack([1 - values, values]) if values.shape[1] == 1 else values


def from_logits(logits: Array) -> Array:
    """Probabilities [rows, classes] from a logit for each class, or for class 1 against class 0 alone."""
    if logits.shape[1] == 1:
        logits = np.hstack([np.zeros_like(logits), logits])
    with np.errstate(invalid="ignore"):
        grown = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: Array = grown / grown.sum(axis=1, keepdims=True)
    return probabilities


def meaning_of(values: Array, labels: Array) -> Meaning | None:
    """What values [rows, columns] of an output without a telling name mean, beside their labels [rows]; None where it cannot be said."""
    columns = values.shape[1]
    whole = bool(np.all(labels == np.floor(labels)) and labels.min() >= 0)
    inside = bool(np.all((values >= 0) & (values <= 1)))
    if columns == 1:
        return Meaning.PROBABILITIES if whole and labels.max() <= 1 and inside else Meaning.REAL
    if not whole or labels.max() >= columns:
        return None
    return Meaning.PROBABILITIES if inside and np.allclose(values.sum(axis=1), 1, atol=1e-2) else Meaning.LOGITS
