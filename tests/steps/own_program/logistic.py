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
    return np.nan_to_num(np.arcsinh(values)), table["label"].to_numpy()  # a blank counts as zero


def train():
    attempt = f"{os.environ['RUN_ID']} {os.environ['ATTEMPT']}"
    steps, batch_size = int(os.environ["STEPS"]), int(os.environ["BATCH_SIZE"])
    inputs, labels = read("train")
    mean, deviation = inputs.mean(axis=0), inputs.std(axis=0) + 1e-6
    start = {"weights": np.zeros(len(numbers)), "bias": 0.0, "step": 0, "attempt": "", "mean": mean, "deviation": deviation}
    state = dict(np.load(checkpoint)) if checkpoint.exists() else start
    if state["attempt"] != attempt:  # else a start that was killed had saved it already
        order = np.random.default_rng([int(os.environ["SEED"]), int(state["step"])])
        for rows in order.integers(len(labels), size=(steps, batch_size)):
            standard = (inputs[rows] - mean) / deviation
            error = 1 / (1 + np.exp(-standard @ state["weights"] - state["bias"])) - labels[rows]
            state["weights"] = state["weights"] - 0.1 * error @ standard / batch_size
            state["bias"] = state["bias"] - 0.1 * error.mean()
        state |= {"step": state["step"] + steps, "attempt": attempt}
        np.savez(checkpoint.with_suffix(".new.npz"), **state)
        os.replace(checkpoint.with_suffix(".new.npz"), checkpoint)
    inputs, labels = read("eval")
    accuracy = np.mean(((inputs - mean) / deviation @ state["weights"] + state["bias"] > 0) == labels)
    result = {"accuracy": float(accuracy), "examples": len(labels), "step": int(state["step"])}
    Path(os.environ["RESULT"]).write_text(json.dumps(result))


def export():
    import tensorflow as tf

    state = {name: value.astype("float32") for name, value in np.load(checkpoint).items() if name != "attempt"}

    def serve(**inputs):
        values = tf.math.asinh(tf.stack([inputs[name] for name in numbers], axis=1))
        standard = (tf.where(tf.math.is_nan(values), 0.0, values) - state["mean"]) / state["deviation"]
        logits = tf.matmul(standard, state["weights"][:, None]) + state["bias"]
        yes = tf.sigmoid(logits)
        return {"probabilities": tf.concat([1 - yes, yes], axis=1), "class_ids": tf.cast(logits > 0, tf.int64), "logits": logits}

    types = {"number": tf.float32, "category": tf.string}
    inputs = {name: tf.TensorSpec([None], types[kind], name=name) for name, kind in columns.items()}
    signature = tf.function(serve).get_concrete_function(**inputs)
    tf.saved_model.save(tf.Module(), os.environ["EXPORT"], signatures={"serving_default": signature})


{"train": train, "export": export}[sys.argv[1]]()
