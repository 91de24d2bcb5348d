"""How fast training is beside the bare matrix work of the same network, and how long it takes to an accuracy on generated data.

python benchmarks/training.py [ROWS]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
ROWS, SEED, BATCH_SIZE = 200_000, 1, 512
ROUNDS, STEPS_A_ROUND = 30, 10
TARGETS, EVALUATE_EVERY, LAST_STEP = (0.75, 0.80), 10, 1000


def main(rows: int) -> None:
    """Print the figures."""
    from steps.models import wide_deep_tensorflow

    with tempfile.TemporaryDirectory() as name:
        prepared = prepare(Path(name), rows)
        wide_deep_tensorflow.prepare(SEED)
        from steps.models import wide_deep_features

        data = wide_deep_features.load(prepared)
        print(f"training, {rows:,} synthetic rows of Criteo's format, batch size {BATCH_SIZE}, {os.cpu_count()} cores:")
        report_throughput(data)
        report_time_to_accuracy(data)


def prepare(volume: Path, rows: int) -> Path:
    """The generated data, downloaded and prepared as in a pipeline."""
    outputs = volume / "outputs"
    settings = {
        "NFS_PATH": str(volume), "USER_NAME": "me", "MODEL_NAME": "model", "DATASET_DIR": "datasets", "DATA_FORMAT": "criteo",
        "DATA_URL": f"generated://criteo?rows={rows}&seed={SEED}", "DATA_SHA256": "", "SEED": str(SEED), "OUTPUTS_FOLDER": str(outputs),
    }  # fmt: skip
    command = [sys.executable, "-m", "steps.chain", "download", "prepare"]
    subprocess.run(command, env=os.environ | settings, cwd=ROOT, check=True, capture_output=True)
    return volume / (outputs / "prepared").read_text()


def stepper(data: Any) -> tuple[Any, Callable[[int], float]]:
    """A trainer at step 0, and what makes one step: the batch's rows found, read and trained on, as the program does it."""
    from steps.models.wide_deep_network import WideDeep
    from steps.models.wide_deep_order import rows_at
    from steps.models.wide_deep_trainer import Trainer

    trainer, part = Trainer(WideDeep(data.columns, data.statistics, SEED), SEED), data.train

    def step(number: int) -> float:
        rows = rows_at(number * BATCH_SIZE, BATCH_SIZE, len(part.labels), SEED)
        return trainer.step(number, part.numbers[rows], part.ids[rows], part.labels[rows])

    return trainer, step


def bare_matrix_work(network: Any) -> Callable[[], Any]:
    """The products that a step of this network cannot do without, forward and backward, and nothing else."""
    import tensorflow as tf

    def filled(*shape: int) -> Any:
        return tf.random.stateless_normal(shape, seed=[1, 2])

    first = [layer.kernel.value for layer in (network.first_numbers, network.first_embeddings)]
    inputs = [filled(BATCH_SIZE, kernel.shape[0]) for kernel in first]
    kernels = [layer.kernel.value for layer in (*network.hidden, network.deep)]

    @tf.function
    def work() -> Any:
        values = [tf.matmul(inputs[0], first[0]) + tf.matmul(inputs[1], first[1])]
        for kernel in kernels:
            values.append(tf.matmul(values[-1], kernel))
        gradient, made = values.pop(), []
        for kernel in reversed(kernels):
            made.append(tf.matmul(values.pop(), gradient, transpose_a=True))
            gradient = tf.matmul(gradient, kernel, transpose_b=True)
        made += [tf.matmul(value, gradient, transpose_a=True) for value in inputs]
        return [*made, tf.matmul(gradient, first[1], transpose_b=True)]  # of the numbers no gradient is needed

    return work


def report_throughput(data: Any) -> None:
    """Steps and bare work in turns, so that what else the machine does burdens both; the medians."""
    trainer, step = stepper(data)
    work = bare_matrix_work(trainer.network)
    step(0), work()
    taken: dict[str, list[float]] = {"step": [], "bare": []}
    for number in range(ROUNDS):
        begin = time.perf_counter()
        for offset in range(STEPS_A_ROUND):
            step(1 + number * STEPS_A_ROUND + offset)
        middle = time.perf_counter()
        for _ in range(STEPS_A_ROUND):
            work()
        taken["step"].append((middle - begin) / STEPS_A_ROUND)
        taken["bare"].append((time.perf_counter() - middle) / STEPS_A_ROUND)
    step_s, bare_s = statistics.median(taken["step"]), statistics.median(taken["bare"])
    ratio = statistics.median(bare / one for one, bare in zip(taken["step"], taken["bare"], strict=True))
    print(f"  {1 / step_s:>8,.1f} steps/s, {BATCH_SIZE / step_s:,.0f} examples/s, {step_s * 1e3:.2f} ms a step")
    print(f"  {1 / bare_s:>8,.1f} steps/s of the bare matrix work of the same network (the limit), {bare_s * 1e3:.2f} ms")
    print(f"  {ratio:>8.2f} of the limit (best round {min(taken['bare']) / min(taken['step']):.2f})")


def report_time_to_accuracy(data: Any) -> None:
    """Train from the start; how many steps and seconds of training until eval says so, with the averaged weights that are exported."""
    import numpy as np

    from steps.models.wide_deep_evaluation import evaluate

    trainer, step = stepper(data)
    part, trained_s, targets = data.evaluation, 0.0, list(TARGETS)
    for number in range(LAST_STEP):
        begin = time.perf_counter()
        step(number)
        trained_s += time.perf_counter() - begin
        if (number + 1) % EVALUATE_EVERY == 0:
            with_noise = trainer.arrays()
            trainer.use_averages()
            chunks = [trainer.logits(part.numbers[i : i + 4096], part.ids[i : i + 4096]) for i in range(0, len(part.labels), 4096)]
            trainer.restore(with_noise)
            accuracy = evaluate(np.concatenate(chunks), part.labels).accuracy
            while targets and accuracy >= targets[0]:
                print(f"  accuracy {targets.pop(0):.2f} after {number + 1} steps, {trained_s:.1f} s of training")
            if not targets:
                return
    print(f"  accuracy {targets[0]:.2f} not reached in {LAST_STEP} steps")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
