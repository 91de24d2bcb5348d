"""The trained network as a SavedModel that takes raw column values, and a sample of its own answers beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from steps import quiet
from steps.models.wide_deep_features import Columns, batches
from steps.models.wide_deep_network import WideDeep

_SAMPLE_ROWS = 64


def export(network: WideDeep, prepared: Path, folder: Path) -> None:
    """Write the SavedModel into a folder, and `assets.extra/sample.json` with rows of eval and the network's answers to them."""
    served = tf.Module()
    served.network_weights = [weight.value for weight in network.weights]
    serve = tf.function(_serve(network), autograph=False).get_concrete_function(**_inputs(network.columns))
    with quiet.writing(folder):
        tf.saved_model.save(served, str(folder), signatures={"serving_default": serve})
    sample = folder / "assets.extra" / "sample.json"
    sample.parent.mkdir()
    sample.write_text(json.dumps(_sample(network, prepared), allow_nan=False))


def _inputs(columns: Columns) -> dict[str, tf.TensorSpec]:
    numbers = {name: tf.TensorSpec([None], tf.float32, name=name) for name in columns.numbers}
    return numbers | {name: tf.TensorSpec([None], tf.string, name=name) for name in columns.categories}


def _serve(network: WideDeep) -> Callable[..., dict[str, Any]]:
    columns = network.columns

    def serve(**inputs: Any) -> dict[str, Any]:
        rows = tf.size(next(iter(inputs.values())))
        numbers = tf.stack([inputs[name] for name in columns.numbers], axis=1) if columns.numbers else tf.zeros([rows, 0])
        strings = tf.stack([inputs[name] for name in columns.categories], axis=1) if columns.categories else tf.fill([rows, 0], "")
        return network.answer(numbers, strings)

    return serve


def _sample(network: WideDeep, prepared: Path) -> dict[str, Any]:
    """Raw rows, those with the most blanks among them, and what the network itself answers: no exported file is asked."""
    table = next(batches(prepared / "eval.parquet"))
    columns = network.columns
    numbers = np.stack([table[name].to_numpy(zero_copy_only=False) for name in columns.numbers], axis=1) if columns.numbers else None
    strings = [[value or "" for value in table[name].to_pylist()] for name in columns.categories]
    chosen = _chosen(numbers, strings, table.num_rows)
    numbers = np.zeros([len(chosen), 0], np.float32) if numbers is None else numbers[chosen].astype(np.float32)
    texts = np.array([[column[row] for column in strings] for row in chosen], dtype=object).reshape(len(chosen), len(strings))
    answers = network.answer(tf.constant(numbers), tf.constant(texts, tf.string))
    values: dict[str, list[Any]] = {
        name: [float(value) if np.isfinite(value) else None for value in numbers[:, index]] for index, name in enumerate(columns.numbers)
    }
    values |= {name: list(texts[:, index]) for index, name in enumerate(columns.categories)}
    return {"inputs": values, "outputs": {"probabilities": answers["probabilities"].numpy().tolist()}}


def _chosen(numbers: np.ndarray[Any, Any] | None, strings: list[list[str]], rows: int) -> list[int]:
    """The first rows, and of the others those with the most blanks."""
    blanks = np.zeros(rows) if numbers is None else np.isnan(numbers).sum(axis=1).astype(float)
    for column in strings:
        blanks += np.array([value == "" for value in column])
    first = list(range(min(rows, _SAMPLE_ROWS // 2)))
    others = [int(row) for row in np.argsort(-blanks, kind="stable") if row >= len(first)]
    return first + others[: _SAMPLE_ROWS - len(first)]
