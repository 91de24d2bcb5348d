"""How fast the benchmark client turns rows into requests, beside TensorFlow's own make_tensor_proto and pyarrow.csv.

    python benchmarks/encoding.py

Encoding: 128 rows of 39 columns to one PredictRequest, of numbers alone and as Criteo has them (13 numbers, 26 texts). The
peer is what a script does: make_tensor_proto for each column, from lists and from arrays (where TensorFlow is
installed). Reading: a CSV file of 39 columns to encoded requests, beside reading alone with pyarrow.csv on one
core. Times are processor time of this process, the least of several rounds, which take turns.
"""

from __future__ import annotations

import csv
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from clients.benchmark.data.encoding import Encoder, Tensor
from clients.benchmark.data.requests import prepare
from clients.benchmark.model import Model, TensorSpec
from clients.benchmark.settings import Settings
from clients.serving.messages import DATA_TYPES, PredictRequest
from clients.serving.tensors import STRING

ROWS, COLUMNS, TEXTS = 128, 39, 26
# The client encodes what it reads a block at a time.
BLOCK = 32
ROUNDS = 9
FILE_ROWS = 50_000


def main() -> int:
    """Print every figure, and its ratio to the peer's."""
    random = np.random.default_rng(0)
    for name, texts in (("numbers alone", 0), ("13 numbers, 26 texts", TEXTS)):
        encoding(name, columns(random, ROWS * BLOCK, texts))
    reading(random)
    return 0


def columns(random: np.random.Generator, rows: int, texts: int) -> dict[str, np.ndarray]:
    """Values by column: text of 8 characters, as Criteo's categories are, or float32."""
    values = {}
    for place in range(COLUMNS):
        if place < COLUMNS - texts:
            values[f"I{place}"] = random.random(rows, np.float32)
        else:
            values[f"C{place}"] = np.array([b"%08x" % value for value in random.integers(0, 2**32, rows)], object)
    return values


def encoding(name: str, values: dict[str, np.ndarray]) -> None:
    """One request of 128 rows, by each way."""
    types = {column: STRING if array.dtype == object else DATA_TYPES["DT_FLOAT"] for column, array in values.items()}
    encoder = Encoder("model", "serving_default", None, [Tensor(column, types[column], (ROWS,)) for column in values])
    one = {column: array[:ROWS] for column, array in values.items()}
    ways: dict[str, tuple[Callable[[], object], int]] = {
        "ours, in blocks": (lambda: encoder.encode(values, BLOCK), BLOCK),
        "ours, one alone": (lambda: encoder.encode(one, 1), 1),
    }
    try:
        from tensorflow import make_tensor_proto
        from tensorflow_serving.apis.predict_pb2 import PredictRequest as Message
    except ModuleNotFoundError:
        print("TensorFlow is not installed: no peer")
    else:
        lists = {column: array.tolist() for column, array in one.items()}

        def script(given: dict[str, object]) -> bytes:
            request = Message()
            request.model_spec.name = "model"
            for column, content in given.items():
                request.inputs[column].CopyFrom(make_tensor_proto(content, dtype=types[column]))
            return request.SerializeToString()

        ways["make_tensor_proto on lists"] = (lambda: script(lists), 1)
        ways["make_tensor_proto on arrays"] = (lambda: script(one), 1)
    assert PredictRequest.FromString(encoder.encode(one, 1)[0]).inputs["I0"].tensor_content == one["I0"].tobytes()
    ours, *others = best(ways).items()
    print(f"encoding {ROWS} rows of {COLUMNS} columns, {name}: {ours[1] * 1e6:.1f} us ({ours[0]})")
    for way, seconds in others:
        print(f"    {way}: {seconds * 1e6:.1f} us, {seconds / ours[1]:.1f} times ours")


def reading(random: np.random.Generator) -> None:
    """A file of Criteo's shape, from the disk's cache to encoded requests."""
    values = columns(random, FILE_ROWS, TEXTS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "eval.csv"
        lists = [[text.decode() for text in array] if array.dtype == object else array.round(4).tolist() for array in values.values()]
        with open(path, "w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(values)
            writer.writerows(zip(*lists, strict=True))
        specs = {column: TensorSpec(STRING if array.dtype == object else DATA_TYPES["DT_FLOAT"], (-1,)) for column, array in values.items()}
        settings = Settings(path, batch_size=ROWS, num_iteration=1 << 40)
        ways: dict[str, tuple[Callable[[], object], int]] = {
            "ours, read and encoded": (lambda: prepare(settings, Model(None, specs, {})), FILE_ROWS),
            "the csv module, read only": (lambda: _csv_module(path), FILE_ROWS),
        }
        try:
            from pyarrow import csv as arrow
        except ModuleNotFoundError:
            print("pyarrow is not installed: no peer")
        else:
            options = arrow.ReadOptions(use_threads=False)
            ways["pyarrow.csv on one core, read only"] = (lambda: arrow.read_csv(path, options), FILE_ROWS)
        ours, *others = best(ways, rounds=3).items()
    print(f"a CSV file of {COLUMNS} columns: {1 / ours[1]:,.0f} rows/s ({ours[0]})")
    for way, seconds in others:
        print(f"    {way}: {1 / seconds:,.0f} rows/s, ours is {seconds / ours[1]:.2f} of it")


def _csv_module(path: Path) -> int:
    with open(path, newline="") as file:
        return sum(1 for _ in csv.reader(file))


def best(ways: dict[str, tuple[Callable[[], object], int]], rounds: int = ROUNDS) -> dict[str, float]:
    """Seconds of processor time for one of what each way makes `count` of, the least of some rounds."""
    found = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, (work, count) in ways.items():
            start = time.process_time()
            work()
            found[name] = min(found[name], (time.process_time() - start) / count)
    return found


if __name__ == "__main__":
    sys.exit(main())
