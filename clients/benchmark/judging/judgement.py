"""What the answers say: how good the model is, and which versions of it gave them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from clients.benchmark.judging import metrics
from clients.benchmark.judging.expected import Comparison, Skew
from clients.benchmark.judging.judge import Counted, Sent
from clients.benchmark.judging.metrics import Calibration, Figure
from clients.benchmark.judging.outputs import Meaning, Reading, as_probabilities, from_logits, meaning_of
from clients.serving.messages import PredictResponse
from clients.serving.tensors import Array


@dataclass(frozen=True)
class Version:
    """A version of the model, and the instant (time.perf_counter_ns) at which its first answer came."""

    number: int
    first_ns: int


@dataclass(frozen=True)
class Quality:
    """How good a model is: figures of classes, or of real numbers (mean squared and absolute error); None where the outputs do not tell."""

    accuracy: Figure | None = None
    log_loss: Figure | None = None
    auc: Figure | None = None
    calibration: Calibration | None = None
    mean_squared_error: Figure | None = None
    mean_absolute_error: Figure | None = None


@dataclass(frozen=True)
class Judgement:
    """What the answers were worth.

    `quality` is over the `rows` that were answered and have labels, each counted once, however often it was sent; where
    it is None, `unmeasured` says why. `notes` say what was made of the outputs. `versions` answered, in the order in
    which they first did. `unfit` is the number of answers that did not hold one value for each row of their request.
    `skew` is None unless recorded answers were given. `unkept` answers were not judged: too many different ones came to keep them.
    """

    quality: Quality | None
    rows: int
    unmeasured: str | None
    notes: tuple[str, ...]
    versions: tuple[Version, ...]
    unfit: int
    skew: Skew | None = None
    unkept: int = 0


def judge(answers: Mapping[tuple[int, bytes], Counted], sent: Sent, reading: Reading, expected: Comparison | None = None) -> Judgement:
    """Judge the answers, which are counted by place of the request and encoded PredictResponse."""
    first_seen: dict[int, int] = {}
    unmeasured = "the data has no column of labels (label, or --label NAME)" if sent.labels is None else reading.why_not
    gathered = _Gathered()
    for (place, body), answer in answers.items():
        response = decoded(body)
        if response.model_spec.HasField("version"):
            number = response.model_spec.version.value
            first_seen[number] = min(answer.first_ns, first_seen.get(number, answer.first_ns))
        if not unmeasured:
            gathered.add(place, answer.count, int(sent.rows[place]), reading, response)
        if expected is not None:
            expected.add(int(sent.first_rows[place]), int(sent.rows[place]), response)
    versions = tuple(Version(number, first) for number, first in sorted(first_seen.items(), key=lambda item: item[1]))
    quality: Quality | None = None
    notes: tuple[str, ...] = ()
    if not unmeasured and not gathered.places:
        unmeasured = "no answer held one value for each row"
    if not unmeasured:
        assert sent.labels is not None
        quality, unmeasured, notes = _quality(gathered, sent, sent.labels, reading)
    rows = int(sum(sent.rows[place] for place in gathered.fit)) if quality else 0
    return Judgement(quality, rows, unmeasured, notes, versions, gathered.unfit, expected.skew() if expected else None)


class _Gathered:
    """The answers that hold one value for each row, and how often each came."""

    def __init__(self) -> None:
        self.places: list[int] = []
        self.counts: list[int] = []
        self.classes: list[Array] = []
        self.values: list[Array] = []
        self.fit: dict[int, int] = defaultdict(int)
        self.unfit = 0

    def add(self, place: int, count: int, rows: int, reading: Reading, response: Any) -> None:
        """Take an answer to the request at this place, of so many rows."""
        try:
            classes, values = reading.read(dict(response.outputs), rows)
            if values is not None and self.values and values.shape[1] != self.values[0].shape[1]:
                raise ValueError("expected as many values in each row as in the answers before")
        except (KeyError, ValueError):
            self.unfit += count
            return
        self.places.append(place)
        self.counts.append(count)
        self.fit[place] += count
        if classes is not None:
            self.classes.append(classes)
        if values is not None:
            self.values.append(values)


def decoded(body: bytes) -> Any:
    """A PredictResponse; an empty one for bytes that are none."""
    try:
        return PredictResponse.FromString(body)
    except DecodeError:
        return PredictResponse()


def _quality(gathered: _Gathered, sent: Sent, labels: Array, reading: Reading) -> tuple[Quality | None, str | None, tuple[str, ...]]:
    """The figures, or why there are none; and notes."""
    firsts, rows = sent.first_rows, sent.rows
    index = np.concatenate([np.arange(firsts[place], firsts[place] + rows[place]) for place in gathered.places])
    weights = np.repeat(
        [count / gathered.fit[place] for place, count in zip(gathered.places, gathered.counts, strict=True)], rows[gathered.places]
    )
    truth = labels[index]
    classes = np.concatenate(gathered.classes) if gathered.classes else None
    values = np.concatenate(gathered.values) if gathered.values else None
    meaning, notes = reading.meaning, []
    if values is not None and meaning is Meaning.UNSAID:
        told = meaning_of(values, truth)
        if told is None:
            return None, f"the output {reading.values} has {values.shape[1]} values in each row, and labels are no indices of them", ()
        meaning = told
        notes.append(f"the values of the output {reading.values} were taken for {meaning.value}, from how they look")
    if meaning is Meaning.REAL:
        assert values is not None
        error = values[:, 0] - truth
        return (
            Quality(mean_squared_error=metrics.mean(error**2, weights), mean_absolute_error=metrics.mean(abs(error), weights)),
            None,
            tuple(notes),
        )
    probabilities = None if values is None else (from_logits if meaning is Meaning.LOGITS else as_probabilities)(values)
    quality, more = _of_classes(classes, probabilities, truth.astype(np.int64), weights)
    return quality, None, (*notes, *more)


def _of_classes(classes: Array | None, probabilities: Array | None, truth: Array, weights: Array) -> tuple[Quality, list[str]]:
    if probabilities is None:
        assert classes is not None
        return Quality(accuracy=metrics.share(classes == truth, weights)), []
    bad = ~np.isfinite(probabilities).all(axis=1)
    # A class that no label is, where a probability is not a number.
    likeliest = np.where(bad, -1, np.nan_to_num(probabilities, nan=-1.0).argmax(axis=1))
    accuracy = metrics.share((likeliest if classes is None else classes) == truth, weights)
    width = probabilities.shape[1]
    if bad.any() or (truth >= width).any():
        why = (
            f"of {int(bad.sum()):,} rows that are not numbers"
            if bad.any()
            else f"because labels go up to {int(truth.max())}, classes to {width - 1}"
        )
        return Quality(accuracy), [f"of the probabilities nothing but accuracy was measured, {why}"]
    binary = width == 2
    chance = probabilities[:, 1] if binary else probabilities.max(axis=1)
    came_true = truth == 1 if binary else likeliest == truth
    return (
        Quality(
            accuracy=accuracy,
            log_loss=metrics.log_loss(probabilities, truth, weights),
            auc=metrics.auc(chance, came_true, weights) if binary else None,
            calibration=metrics.calibration(np.clip(chance, 0.0, 1.0), came_true, weights),
        ),
        [],
    )


def outputs_by_row(answers: Mapping[tuple[int, bytes], Counted], sent: Sent) -> Iterator[tuple[int, int, Any]]:
    """The first answer to each request: index of its first row, number of its rows, the response."""
    first: dict[int, tuple[int, bytes]] = {}
    for (place, body), answer in answers.items():
        if place not in first or answer.first_ns < first[place][0]:
            first[place] = (answer.first_ns, body)
    for place in sorted(first):
        yield int(sent.first_rows[place]), int(sent.rows[place]), decoded(first[place][1])
