"""How good logits are: accuracy, loss and area under the ROC curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Evaluation:
    """Accuracy, mean logistic loss, and AUC (None where only one class is there), of so many examples."""

    accuracy: float
    loss: float
    auc: float | None
    examples: int


def evaluate(logits: NDArray[np.float32], labels: NDArray[np.float32]) -> Evaluation:
    """The figures for logits [N] and labels [N] of 0 and 1."""
    values, positive = logits.astype(np.float64), labels > 0.5
    loss = np.logaddexp(0, values) - values * positive
    return Evaluation(float(((values > 0) == positive).mean()), float(loss.mean()), area_under_curve(values, positive), len(values))


def area_under_curve(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float | None:
    """The share of pairs of a positive and a negative that are ordered right, ties being half right (Mann and Whitney, 1947)."""
    positives = int(positive.sum())
    negatives = len(scores) - positives
    if positives == 0 or negatives == 0:
        return None
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    return float((ranks[inverse][positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))
