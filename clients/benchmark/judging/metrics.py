"""Figures of a model's quality, each with its 95 % interval, over rows that may carry weights.

A row whose answers differ from call to call stands there once for each answer, with weights that add up to 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from clients.serving.tensors import Array

_Z = 1.959963984540054
# A probability of 0 for what came true would cost without bound; float32 tells no smaller ones apart from it near 1.
LEAST_PROBABILITY = float(np.finfo(np.float32).eps)
CALIBRATION_BINS = 10


@dataclass(frozen=True)
class Figure:
    """A figure, and the interval that holds the true one in 95 of 100 such samples."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class CalibrationBin:
    """The rows whose probability was from `from_probability` on: their number, what was predicted on average, what share came true."""

    from_probability: float
    to_probability: float
    rows: float
    predicted: float
    observed: Figure


@dataclass(frozen=True)
class Calibration:
    """How far probabilities are from what comes true: `error` is the mean distance over rows (expected calibration error).

    Bins without rows are left out. `predicted` and `observed` are means over all rows. Of more than two classes, the
    likeliest one's probability counts.
    """

    error: float
    predicted: float
    observed: float
    bins: tuple[CalibrationBin, ...]


def share(hits: Array, weights: Array) -> Figure:
    """The weighted share of rows that hit (bool [rows]), with Wilson's interval (1927)."""
    count = float(weights.sum())
    value = float((hits * weights).sum()) / count
    middle = (value + _Z**2 / (2 * count)) / (1 + _Z**2 / count)
    half = _Z / (1 + _Z**2 / count) * math.sqrt(value * (1 - value) / count + _Z**2 / (4 * count**2))
    return Figure(value, min(value, max(0.0, middle - half)), max(value, min(1.0, middle + half)))


def mean(values: Array, weights: Array) -> Figure:
    """The weighted mean of values [rows], with the normal interval."""
    count = float(weights.sum())
    value = float((values * weights).sum()) / count
    variance = float((weights * (values - value) ** 2).sum()) / max(1.0, count - 1)
    half = _Z * math.sqrt(variance / count)
    return Figure(value, value - half, value + half)


def log_loss(probabilities: Array, labels: Array, weights: Array) -> Figure:
    """The mean of -ln of the probability [rows, classes] of what came true (int [rows])."""
    of_label = probabilities[np.arange(len(labels)), labels]
    return mean(-np.log(np.clip(of_label, LEAST_PROBABILITY, 1.0)), weights)


def auc(scores: Array, positive: Array, weights: Array) -> Figure | None:
    """The share of pairs of a positive (bool [rows]) and a negative row that the scores [rows] order right; ties are half right.

    Exact. The interval is DeLong's (1988) on the logit scale, and where every pair is right or wrong, that of the
    rarer class's rows all agreeing. None where a class has no rows.
    """
    levels, level_of = np.unique(scores, return_inverse=True)
    positives = np.bincount(level_of, weights * positive, len(levels))
    negatives = np.bincount(level_of, weights * ~positive, len(levels))
    n_positive, n_negative = float(positives.sum()), float(negatives.sum())
    if not n_positive or not n_negative:
        return None
    # For each level: the share of negatives that a positive there beats, and of positives that beat a negative there.
    beats = (np.cumsum(negatives) - negatives / 2) / n_negative
    beaten = 1 - (np.cumsum(positives) - positives / 2) / n_positive
    value = float((positives * beats).sum() / n_positive)
    variance = _spread(positives, beats, value, n_positive) + _spread(negatives, beaten, value, n_negative)
    if not 0 < value < 1:
        reach = 0.05 ** (1 / min(n_positive, n_negative))
        return Figure(1.0, reach, 1.0) if value > 0 else Figure(0.0, 0.0, 1 - reach)
    odds = math.log(value / (1 - value))
    half = _Z * math.sqrt(variance) / (value * (1 - value))
    return Figure(value, _logistic(odds - half), _logistic(odds + half))


def _spread(weights: Array, values: Array, middle: float, count: float) -> float:
    return float((weights * (values - middle) ** 2).sum()) / max(1.0, count - 1) / count


def _logistic(odds: float) -> float:
    return 1 / (1 + math.exp(-odds)) if odds > -700 else 0.0


def calibration(predicted: Array, came_true: Array, weights: Array) -> Calibration:
    """Probabilities [rows] beside what came true (bool [rows]), in bins of equal width."""
    place = np.minimum((predicted * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    total = float(weights.sum())
    bins = []
    for number in np.unique(place):
        inside = place == number
        rows = float(weights[inside].sum())
        average = float((predicted[inside] * weights[inside]).sum()) / rows
        bounds = (int(number) / CALIBRATION_BINS, (int(number) + 1) / CALIBRATION_BINS)
        bins.append(CalibrationBin(*bounds, rows, average, share(came_true[inside], weights[inside])))
    error = sum(part.rows * abs(part.predicted - part.observed.value) for part in bins) / total
    return Calibration(error, float((predicted * weights).sum()) / total, float((came_true * weights).sum()) / total, tuple(bins))
