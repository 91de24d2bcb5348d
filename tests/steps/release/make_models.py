"""Tiny SavedModels of two numbers and two categories, good and bad in one way each: `python make_models.py FOLDER`.

One process makes them all, because importing TensorFlow is what takes the time.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import tensorflow as tf

COLUMNS = [
    {"name": "I1", "kind": "number"},
    {"name": "I2", "kind": "number"},
    {"name": "C1", "kind": "category"},
    {"name": "C2", "kind": "category"},
]
NUMBER, TEXT = tf.TensorSpec([None], tf.float32), tf.TensorSpec([None], tf.string)
SPECS = {"I1": NUMBER, "I2": NUMBER, "C1": TEXT, "C2": TEXT}


class Model(tf.Module):
    """A linear model; `bias` tells one version from another."""

    def __init__(self, bias):
        super().__init__()
        self.weights = tf.Variable([0.3, -0.2], name="weights")
        self.table = tf.Variable(np.linspace(-1, 1, 16, dtype="f4"), name="table")
        self.bias = tf.Variable(bias, name="bias", dtype=tf.float32)

    def logits(self, columns):
        total = tf.identity(self.bias)
        for number, name in enumerate(("I1", "I2")):
            values = columns[name]
            total += self.weights[number] * tf.where(tf.math.is_nan(values), 0.0, values)
        for name in ("C1", "C2"):
            total += tf.gather(self.table, tf.strings.to_hash_bucket_fast(columns[name], 16))
        return total[:, None]

    def outputs(self, columns):
        logits = self.logits(columns)
        positive = tf.sigmoid(logits)
        return {"probabilities": tf.concat([1 - positive, positive], 1), "class_ids": tf.cast(logits > 0, tf.int64), "logits": logits}


def nan_where_blank(model, columns):
    answers = model.outputs(columns)
    return answers | {"probabilities": answers["probabilities"] + 0 * columns["I1"][:, None]}


def mixed_rows(model, columns):
    answers = model.outputs(columns)
    positive = tf.sigmoid(answers["logits"] - tf.reduce_mean(answers["logits"]))
    return answers | {"probabilities": tf.concat([1 - positive, positive], 1)}


def refuses(model, columns):
    with tf.control_dependencies([tf.debugging.assert_less(tf.size(columns["I1"]), 0, "no rows for me")]):
        return {name: tf.identity(values) for name, values in model.outputs(columns).items()}


def without(*names):
    return lambda model, columns: {name: values for name, values in model.outputs(columns).items() if name not in names}


def changed(name, change):
    def outputs(model, columns):
        answers = model.outputs(columns)
        return answers | {name: change(answers[name])}

    return outputs


# name -> bias, outputs, signature specs that differ (None: input left out), how the sample differs from the answers (None: no sample)
CASES = {
    "good-1": (0.1, Model.outputs, {}, 0.0),
    "good-2": (0.5, Model.outputs, {}, 0.0),
    "good-3": (0.9, Model.outputs, {}, 0.0),
    "nan": (float("nan"), Model.outputs, {}, 0.0),
    "no-sample": (0.2, without("logits"), {}, None),
    "nearly-equal-sample": (0.2, Model.outputs, {}, 5e-5),
    "unequal-sample": (0.2, Model.outputs, {}, 1e-3),
    "nan-where-blank": (0.2, nan_where_blank, {}, None),
    "mixed-rows": (0.2, mixed_rows, {}, None),
    "refuses": (0.2, refuses, {}, None),
    "no-probabilities": (0.2, without("probabilities"), {}, None),
    "no-class-ids": (0.2, without("class_ids"), {}, None),
    "three-classes": (0.2, changed("probabilities", lambda values: tf.concat([values, values[:, :1]], 1)), {}, None),
    "sums-to-two": (0.2, changed("probabilities", lambda values: values * 2), {}, None),
    "flat-class-ids": (0.2, changed("class_ids", lambda values: values[:, 0]), {}, None),
    "class-id-7": (0.2, changed("class_ids", lambda values: values * 0 + 7), {}, None),
    "text-class-ids": (0.2, changed("class_ids", tf.strings.as_string), {}, None),
    "input-missing": (0.2, Model.outputs, {"C2": None}, None),
    "input-unexpected": (0.2, Model.outputs, {"C3": TEXT}, None),
    "input-double": (0.2, Model.outputs, {"I1": tf.TensorSpec([None], tf.float64)}, None),
    "input-matrix": (0.2, Model.outputs, {"C1": tf.TensorSpec([None, 1], tf.string)}, None),
    "input-one-row": (0.2, Model.outputs, {"I2": tf.TensorSpec([1], tf.float32)}, None),
    "no-signature": (0.2, None, {}, None),
}


def rows(count):
    random = np.random.default_rng(7)
    numbers = {name: random.normal(size=count).astype("f4") for name in ("I1", "I2")}
    numbers["I1"][::5] = np.nan
    texts = {name: [f"{name}-{value}" if value else "" for value in random.integers(0, 6, count)] for name in ("C1", "C2")}
    return numbers | texts


def save(folder, bias, outputs, changes, shift):
    model = Model(bias)
    if outputs is None:
        tf.saved_model.save(model, str(folder))
        return
    specs = {name: spec for name, spec in (SPECS | changes).items() if spec is not None}

    def serve(**columns):
        flat = {name: tf.reshape(values, [-1]) for name, values in columns.items()}
        flat |= {name: tf.cast(flat[name], tf.float32) for name in ("I1", "I2")}
        return outputs(model, {"C2": tf.strings.as_string(flat["I1"]), **flat})

    function = tf.function(serve, autograph=False).get_concrete_function(
        **{name: tf.TensorSpec(spec.shape, spec.dtype, name=name) for name, spec in specs.items()}
    )
    tf.saved_model.save(model, str(folder), signatures=function)
    if shift is not None:
        sample = rows(16)
        answers = model.outputs({name: tf.constant(values) for name, values in sample.items()})["probabilities"].numpy() + shift
        inputs = {name: [None if value != value else value for value in np.asarray(values).tolist()] for name, values in sample.items()}
        (folder / "assets.extra").mkdir()
        (folder / "assets.extra/sample.json").write_text(
            json.dumps({"inputs": inputs, "outputs": {"probabilities": answers.astype("f8").tolist()}})
        )


def prepare(folder, count=40):
    folder.mkdir()
    columns = {"label": pyarrow.array([number % 2 for number in range(count)], pyarrow.int8())} | {
        name: pyarrow.array(values) for name, values in rows(count).items()
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), folder / "eval.parquet")
    part = {"rows": count, "class_counts": [count // 2, count // 2]}
    (folder / "schema.json").write_text(
        json.dumps(
            {
                "format": "csv",
                "synthetic": True,
                "label": {"name": "label", "classes": ["0", "1"]},
                "columns": COLUMNS,
                "train": part,
                "eval": part,
            }
        )
    )
    lines = [
        ",".join(columns),
        *(
            ",".join("" if value != value else str(value) for value in row)
            for row in zip(*(column.to_pylist() for column in columns.values()), strict=True)
        ),
    ]
    (folder / "eval.csv").write_text("\n".join(lines) + "\n")


def main(folder):
    prepare(folder / "prepared")
    for name, case in CASES.items():
        save(folder / name, *case)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
