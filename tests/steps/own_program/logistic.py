"""A training program of one's own: logistic regression on the number columns."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

prepared, checkpoint = Path(os.environ["PREPARED"]), Path(os.environ["CHECKPOINTS"], "weights.npz")
columns = {column["name"]: column["kind"] for column in json.loads((prepared / "schema.json").read_text())["columns"]}
numbers = [name for name, kind in columns.items() if kind == "number"]


def read(part):
    table = pq.read_table(prepared / f"{part}.parquet")
    values = np.stack([table[name].to_numpy() for name in numbers], axis=1)
    return np.nan_to_num(np.sign(values) * np.log1p(np.abs(values))), table["label"].to_numpy()


def train():
    attempt = f"{os.environ['RUN_ID']} {os.environ['ATTEMPT']}"
    steps, batch_size = int(os.environ["STEPS"]), int(os.environ["BATCH_SIZE"])
    start = {"weights": np.zeros(len(numbers)), "bias": 0.0, "step": 0, "attempt": ""}
    state = dict(np.load(checkpoint)) if checkpoint.exists() else start
    if state["attempt"] != attempt:  # else it was saved already, by a start that was killed before it could say so
        inputs, labels = read("train")
        order = np.random.default_rng([int(os.environ["SEED"]), int(state["step"])])
        for rows in order.integers(len(labels), size=(steps, batch_size)):
            error = 1 / (1 + np.exp(-inputs[rows] @ state["weights"] - state["bias"])) - labels[rows]
            state["weights"] = state["weights"] - 0.1 * error @ inputs[rows] / batch_size
            state["bias"] = state["bias"] - 0.1 * error.mean()
        state |= {"step": state["step"] + steps, "attempt": attempt}
        np.savez(checkpoint.with_suffix(".new.npz"), **state)
        os.replace(checkpoint.with_suffix(".new.npz"), checkpoint)
    inputs, labels = read("eval")
    accuracy = np.mean((inputs @ state["weights"] + state["bias"] > 0) == labels)
    result = {"accuracy": float(accuracy), "examples": len(labels), "step": int(state["step"])}
    Path(os.environ["RESULT"]).write_text(json.dumps(result))


def export():
    import tensorflow as tf

    state = np.load(checkpoint)

    def serve(**inputs):
        values = tf.stack([inputs[name] for name in numbers], axis=1)
        values = tf.sign(values) * tf.math.log1p(tf.abs(values))
        values = tf.where(tf.math.is_nan(values), 0.0, values)
        logits = tf.linalg.matmul(values, tf.constant(state["weights"][:, None], tf.float32)) + float(state["bias"])
        return {
            "probabilities": tf.concat([1 - tf.sigmoid(logits), tf.sigmoid(logits)], axis=1),
            "class_ids": tf.cast(logits > 0, tf.int64),
            "logits": logits,
        }

    types = {"number": tf.float32, "category": tf.string}
    inputs = {name: tf.TensorSpec([None], types[kind], name=name) for name, kind in columns.items()}
    signature = tf.function(serve).get_concrete_function(**inputs)
    tf.saved_model.save(tf.Module(), os.environ["EXPORT"], signatures={"serving_default": signature})


{"train": train, "export": export}[sys.argv[1]]()
