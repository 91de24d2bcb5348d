"""The default training program: a wide and deep network on prepared data of any format.

Run by the steps `train` and `export` as `python wide_deep.py train` and `python wide_deep.py export`. It keeps the
contract of a training program, which README shows with a smaller example, and which a program of your own can keep as well.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from steps import contract, storage
from steps.contract import Count, Folder, Name, Positive, Text
from steps.models import wide_deep_checkpoints as checkpoints
from steps.models import wide_deep_features as features
from steps.models import wide_deep_tensorflow
from steps.models.wide_deep_evaluation import Evaluation, evaluate
from steps.models.wide_deep_order import rows_at
from steps.progress import Progress

if TYPE_CHECKING:
    from steps.models.wide_deep_trainer import Trainer

_SAVE_EVERY_S = 10.0
_HISTORY_EVERY = 50  # steps
_EVALUATION_ROWS = 4096  # at a time


@dataclass(frozen=True)
class Settings:
    """What both verbs need. `steps` further steps are trained, from the newest checkpoint in `checkpoints`."""

    prepared: Folder
    checkpoints: Folder
    batch_size: Positive
    seed: Count


@dataclass(frozen=True)
class TrainSettings(Settings):
    """`run_id` and `attempt` name the attempt: one that was killed goes on to the end it had set itself."""

    steps: Positive
    attempt: Positive
    run_id: Name
    result: Folder


@dataclass(frozen=True)
class ExportSettings(Settings):
    """`checkpoint` names the checkpoint to export, the newest one if it is empty; `export` is the folder to fill."""

    checkpoint: Text
    export: Folder


@dataclass(frozen=True)
class Nothing:
    """A program has no outputs of a step: its results are files."""


@dataclass
class _Training:
    """Where training is: steps done, the loss by step, and the losses since the history's last point."""

    trainer: Trainer
    data: features.Features
    identity: str
    step: int = 0
    history: list[dict[str, float]] = dataclasses.field(default_factory=list)
    losses: list[float] = dataclasses.field(default_factory=list)
    saved: int = 0


def train(settings: TrainSettings) -> Nothing:
    """Train to the end of the attempt, evaluate on all of eval, write RESULT."""
    storage.remove_asides(settings.checkpoints)
    training = _load(settings)
    found = checkpoints.newest(settings.checkpoints, training.identity)
    if found:
        _restore(training, found)
    contract.log(f"continuing from {found.name}" if found else "no checkpoint yet: starting from step 0")
    end = _end_of_attempt(settings, training.step)
    _train_until(end, training, settings)
    evaluation = _evaluate(training)
    _write_result(training, evaluation, settings)
    return Nothing()


def export(settings: ExportSettings) -> Nothing:
    """Write the SavedModel of a checkpoint into EXPORT."""
    training = _load(settings)
    if settings.checkpoint:
        try:
            found: checkpoints.Checkpoint | None = checkpoints.read(settings.checkpoints / settings.checkpoint, training.identity)
        except checkpoints.Damaged as damage:
            raise contract.BadInput(
                f"{settings.checkpoints / settings.checkpoint}: expected the checkpoint that passed, got one of no use ({damage}); "
                "begin a new run, which trains on from the newest good one"
            ) from None
    else:
        found = checkpoints.newest(settings.checkpoints, training.identity)
    if found is None:
        raise contract.BadInput(f"CHECKPOINTS: expected a checkpoint in {settings.checkpoints}, got none; train first")
    _restore(training, found)
    training.trainer.use_averages()
    from steps.models import wide_deep_export

    wide_deep_export.export(training.trainer.network, settings.prepared, settings.export)
    contract.log(f"exported {found.name}")
    return Nothing()


def _load(settings: Settings) -> _Training:
    """The data, and a network as it is at step 0."""
    wide_deep_tensorflow.prepare(settings.seed)
    from steps.models.wide_deep_network import WideDeep
    from steps.models.wide_deep_trainer import Trainer

    data = features.load(settings.prepared)
    trainer = Trainer(WideDeep(data.columns, data.statistics, settings.seed), settings.seed)
    belongs = [trainer.shapes(), data.statistics.text(), dataclasses.astuple(data.columns), len(data.train.labels)]
    identity = json.dumps([*belongs, settings.batch_size, settings.seed])
    return _Training(trainer, data, hashlib.sha256(identity.encode()).hexdigest())


def _restore(training: _Training, found: checkpoints.Checkpoint) -> None:
    training.trainer.restore(found.arrays)
    training.step = training.saved = found.state["step"]
    training.history, training.losses = found.state["history"], found.state["losses"]


def _end_of_attempt(settings: TrainSettings, step: int) -> int:
    """The step at which this attempt ends: what it set itself at its first start, and wrote down."""
    path = settings.checkpoints / "attempt.json"
    attempt = {"run": settings.run_id, "attempt": settings.attempt}
    with contextlib.suppress(OSError, ValueError):
        written = json.loads(path.read_text())
        if isinstance(written, dict) and written == attempt | {"end": written.get("end")}:
            return int(written["end"])
    end = step + settings.steps
    storage.write_whole(path, json.dumps(attempt | {"end": end}))
    return end


@contextlib.contextmanager
def _stops() -> Iterator[list[int]]:
    """The signals to stop that came while the block runs; the step under way is finished and saved first."""
    came: list[int] = []
    before = {number: signal.signal(number, lambda sent, _frame: came.append(sent)) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _train_until(end: int, training: _Training, settings: TrainSettings) -> None:
    """Train to step `end`, saving every so often. Raises Terminated or KeyboardInterrupt when told to stop, all being saved."""
    progress = Progress("train", end, "steps")
    saved_at = time.monotonic()
    first = training.step
    with _stops() as stops:
        while training.step < end and not stops:
            loss = _one_step(training, settings, last=training.step + 1 == end)
            if training.step == first + 1:
                contract.log(f"under way: step {training.step} of {end}, loss {loss:.4f}")
            progress.tell(training.step, f"loss {training.history[-1]['loss']:.4f}" if training.history else "")
            if time.monotonic() - saved_at > _SAVE_EVERY_S:
                _save(training, settings)
                saved_at = time.monotonic()
        _save(training, settings)
    if stops:
        contract.log(f"stopped by a signal; saved {checkpoints.name_of(training.step)}")
        raise KeyboardInterrupt if signal.SIGINT in stops else contract.Terminated("run again to continue")
    progress.end(training.step, f"loss {training.history[-1]['loss']:.4f}" if training.history else "")


def _one_step(training: _Training, settings: TrainSettings, last: bool) -> float:
    part = training.data.train
    rows = rows_at(training.step * settings.batch_size, settings.batch_size, len(part.labels), settings.seed)
    loss = training.trainer.step(training.step, part.numbers[rows], part.ids[rows], part.labels[rows])
    if not math.isfinite(loss):
        raise contract.StepError(f"the loss is {loss} at step {training.step}: training has diverged; another SEED or BATCH_SIZE may help")
    training.step += 1
    training.losses.append(loss)
    if last or training.step % _HISTORY_EVERY == 0:
        training.history.append({"step": training.step, "loss": float(np.mean(training.losses))})
        training.losses.clear()
    return loss


def _save(training: _Training, settings: TrainSettings) -> None:
    if training.step == training.saved:
        return
    epoch, offset = divmod(training.step * settings.batch_size, len(training.data.train.labels))
    state: dict[str, Any] = {"step": training.step, "epoch": epoch, "offset": offset, "seed": settings.seed}
    state |= {"history": training.history, "losses": training.losses}
    checkpoints.save(settings.checkpoints, training.step, training.trainer.arrays(), state, training.identity)
    training.saved = training.step


def _evaluate(training: _Training) -> Evaluation:
    """How good the averaged network is on all of eval."""
    training.trainer.use_averages()
    part = training.data.evaluation
    starts = range(0, len(part.labels), _EVALUATION_ROWS)
    logits = [
        training.trainer.logits(part.numbers[start : start + _EVALUATION_ROWS], part.ids[start : start + _EVALUATION_ROWS])
        for start in starts
    ]
    return evaluate(np.concatenate(logits), part.labels)


def _write_result(training: _Training, evaluation: Evaluation, settings: TrainSettings) -> None:
    path = settings.checkpoints / "evaluations.json"
    accuracies = {}
    with contextlib.suppress(OSError, ValueError):
        accuracies = json.loads(path.read_text())
    accuracies[str(training.step)] = evaluation.accuracy
    storage.write_whole(path, json.dumps(accuracies))
    known = [{"accuracy": accuracies[step]} if (step := str(point["step"])) in accuracies else {} for point in training.history]
    result = dataclasses.asdict(evaluation) | {
        "step": training.step,
        "checkpoint": checkpoints.name_of(training.step),
        "history": [point | accuracy for point, accuracy in zip(training.history, known, strict=True)],
        "versions": wide_deep_tensorflow.versions(),
    }
    storage.write_whole(settings.result, json.dumps(result))


if __name__ == "__main__":
    verbs: dict[str, Callable[[Any], Nothing]] = {"train": train, "export": export}
    if len(sys.argv) != 2 or sys.argv[1] not in verbs:
        contract.log(f"usage: python {Path(__file__).name} {'|'.join(verbs)}")
        sys.exit(contract.BAD_INPUT)
    contract.run(verbs[sys.argv[1]])
