"""What makes a model good enough to serve: its signature, its answers, and their agreement with the recorded sample.

Pure functions over arrays: validation asks the loaded SavedModel, a release asks a server, and both are judged here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from steps import contract

Array = npt.NDArray[Any]

TOLERANCE = 1e-4
SIGNATURE = "serving_default"
_DTYPES = {"number": "float32", "category": "string"}


class BadModel(contract.BadInput):
    """A model that must not serve. The message says what, expected and got."""


@dataclass(frozen=True)
class Tensor:
    """What a signature says of one tensor: type, and sizes (None where any size goes; no sizes at all where even the rank is open)."""

    dtype: str
    shape: tuple[int | None, ...] | None

    def __str__(self) -> str:
        sizes = "?" if self.shape is None else ", ".join("N" if size is None else str(size) for size in self.shape)
        return f"{self.dtype} [{sizes}]"

    def takes(self, other: Tensor) -> bool:
        """Whether a tensor declared as `other` may be this one: same type, and sizes that agree wherever both are known."""
        if self.dtype != other.dtype or self.shape is None or other.shape is None:
            return self.dtype == other.dtype
        return len(self.shape) == len(other.shape) and all(
            None in pair or pair[0] == pair[1] for pair in zip(self.shape, other.shape, strict=True)
        )


@dataclass(frozen=True)
class Sample:
    """Rows and the answers that are known to be right: numbers float32 [N], categories text [N]; probabilities [N, classes]."""

    inputs: Mapping[str, Array]
    probabilities: Array


def expected_outputs(classes: int) -> dict[str, Tensor]:
    """The outputs that a signature may have; `logits` is the one that it may lack."""
    return {
        "probabilities": Tensor("float32", (None, classes)),
        "class_ids": Tensor("int64", (None, 1)),
        "logits": Tensor("float32", (None, 1)),
    }


def check_signature(
    inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor], columns: Sequence[Mapping[str, Any]], classes: int
) -> None:
    """Raises BadModel unless there is one input per column and the outputs are as they should be."""
    expected = {column["name"]: Tensor(_DTYPES[column["kind"]], (None,)) for column in columns}
    _check_names(f"signature {SIGNATURE}", inputs, expected)
    for name, tensor in expected.items():
        if inputs[name] != tensor:
            raise BadModel(f"signature {SIGNATURE}, input {name}: expected {tensor}, got {inputs[name]}")
    for name, tensor in expected_outputs(classes).items():
        if name not in outputs and name != "logits":
            raise BadModel(f"signature {SIGNATURE}: expected an output {name} of {tensor}, got only {_listed(outputs)}")
        if name in outputs and not tensor.takes(outputs[name]):
            raise BadModel(f"signature {SIGNATURE}, output {name}: expected {tensor}, got {outputs[name]}")


def check_answers(answers: Mapping[str, Array], rows: int, classes: int, what: str) -> None:
    """Raises BadModel unless the answers to `rows` rows have the right shapes, are finite and are probabilities. `what` names the rows."""
    for name, tensor in expected_outputs(classes).items():
        if name not in answers:
            continue
        shape = tuple(rows if size is None else size for size in tensor.shape or ())
        if answers[name].shape != shape:
            raise BadModel(f"{name} of {what}: expected the shape {list(shape)}, got {list(answers[name].shape)}")
        bad = np.argwhere(~np.isfinite(answers[name]))
        if len(bad):
            raise BadModel(f"{name} of {what}: expected finite numbers, got {answers[name][tuple(bad[0])]} in row {bad[0][0]}")
    _check_probabilities(answers, classes, what)


def _check_probabilities(answers: Mapping[str, Array], classes: int, what: str) -> None:
    sums = answers["probabilities"].sum(axis=1)
    wrong = np.flatnonzero((np.abs(sums - 1) > TOLERANCE) | (answers["probabilities"] < -TOLERANCE).any(axis=1))
    if len(wrong):
        raise BadModel(
            f"probabilities of {what}: expected each row to sum to 1, got {answers['probabilities'][wrong[0]].tolist()} in row {wrong[0]}"
        )
    wrong = np.flatnonzero((answers["class_ids"] < 0) | (answers["class_ids"] >= classes))
    if len(wrong):
        raise BadModel(f"class_ids of {what}: expected 0 to {classes - 1}, got {answers['class_ids'][wrong[0], 0]} in row {wrong[0]}")


def check_agreement(answers: Array, expected: Array, what: str) -> None:
    """Raises BadModel unless probabilities equal the expected ones within TOLERANCE. `what` says whose should equal whose."""
    if answers.shape != expected.shape:
        raise BadModel(f"{what}: expected probabilities of shape {list(expected.shape)}, got {list(answers.shape)}")
    apart = np.abs(answers.astype("f8") - expected)
    apart[~np.isfinite(apart)] = math.inf
    if apart.size and apart.max() > TOLERANCE:
        row = int(apart.max(axis=1).argmax())
        raise BadModel(
            f"{what}: expected {_rounded(expected[row])} in row {row}, got {_rounded(answers[row])}; at most {TOLERANCE} apart is allowed"
        )


def read_sample(path: Path) -> Sample:
    """The sample recorded beside a model: `{"inputs": {column: [...]}, "outputs": {"probabilities": [[...]]}}`, NaN as null.

    Raises BadModel for a file of another form, FileNotFoundError where there is none.
    """
    try:
        content = json.loads(path.read_text())
        inputs = {name: _column(values) for name, values in content["inputs"].items()}
        probabilities = np.asarray(content["outputs"]["probabilities"], "f4")
        if not inputs or probabilities.ndim != 2 or len(probabilities) == 0:
            raise ValueError("it holds no rows")
        if {len(values) for values in inputs.values()} != {len(probabilities)}:
            raise ValueError(
                f"its columns have {sorted({len(values) for values in inputs.values()})} rows, its answers {len(probabilities)}"
            )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadModel(
            f'{path.name}: expected {{"inputs": {{column: [values]}}, "outputs": {{"probabilities": [[...]]}}}}, got another ({error})'
        ) from None
    return Sample(inputs, probabilities)


def sample_json(sample: Sample) -> str:
    """A sample as the text of its file."""
    # NaN alone differs from itself.
    inputs = {name: [None if value != value else value for value in values.tolist()] for name, values in sample.inputs.items()}
    return json.dumps({"inputs": inputs, "outputs": {"probabilities": sample.probabilities.astype("f8").tolist()}})


def check_sample_columns(sample: Sample, columns: Sequence[Mapping[str, Any]]) -> None:
    """Raises BadModel unless the sample has just the columns of the schema, each of its kind."""
    _check_names("sample.json", sample.inputs, {column["name"] for column in columns})
    for column in columns:
        is_text = sample.inputs[column["name"]].dtype == object
        if is_text != (column["kind"] == "category"):
            got = "text" if is_text else "numbers or nulls"
            raise BadModel(
                f"sample.json, column {column['name']}: expected {'text' if column['kind'] == 'category' else 'numbers'}, got {got}"
            )


def _column(values: Sequence[Any]) -> Array:
    if any(isinstance(value, str) for value in values):
        return np.array(["" if value is None else str(value) for value in values], object)
    return np.array([math.nan if value is None else value for value in values], "f4")


def _check_names(where: str, got: Iterable[str], expected: Iterable[str]) -> None:
    missing, foreign = sorted(set(expected) - set(got)), sorted(set(got) - set(expected))
    if missing or foreign:
        differences = [f"{label} {_listed(names)}" for label, names in (("missing", missing), ("unexpected", foreign)) if names]
        raise BadModel(f"{where}: expected one input per column of schema.json, got others: {'; '.join(differences)}")


def _listed(names: Iterable[str], most: int = 8) -> str:
    names = sorted(names)
    return (", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")) or "none"


def _rounded(values: Array) -> list[float]:
    return [round(float(value), 6) for value in values]
