"""What is known of the number columns, from the training part only: how they are scaled, and between which boundaries they lie."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PIECES = 16
_SAMPLE_ROWS, _CHUNK_ROWS = 100_000, 65_536
_SKEWED = 1.0
_MARGIN = 1.0  # of the training range, beyond which a value counts as being at its end


@dataclass(frozen=True)
class Statistics:
    """Per number column, F of them, each array [F] float32 unless said otherwise.

    `logarithmic` columns are scaled as sign(x) log(1 + |x|); `low` and `high` bound the raw value; `mean` and `scale` (one over the
    standard deviation, 0 for a constant column) are of the scaled value; `missing` is 1 where the training part has blanks;
    `starts` and `slopes` [F, PIECES] are the begin and one over the width of each piece of the scaled value, 0 for a piece of no width.
    """

    logarithmic: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    missing: NDArray[np.float32]
    starts: NDArray[np.float32]
    slopes: NDArray[np.float32]

    def text(self) -> str:
        """As JSON, every float32 exactly."""
        return json.dumps({field.name: getattr(self, field.name).tolist() for field in dataclasses.fields(self)})

    @classmethod
    def read(cls, text: str) -> Statistics:
        """What `text` wrote."""
        arrays = {name: np.asarray(values, np.float32) for name, values in json.loads(text).items()}
        for name in ("starts", "slopes"):
            arrays[name] = arrays[name].reshape(-1, PIECES)
        return cls(**arrays)


def measure(numbers: NDArray[np.float32]) -> Statistics:
    """The statistics of the training part's numbers [rows, F], blanks being NaN. Memory does not grow with the rows."""
    sample = numbers[:: max(1, len(numbers) // _SAMPLE_ROWS)].astype(np.float64)
    logarithmic = np.array([_is_skewed(_present(column)) for column in sample.T], bool)
    low, high, mean, deviation, missing = _moments(numbers, logarithmic)
    starts, slopes = _pieces(scaled(sample, logarithmic), scaled(low, logarithmic), scaled(high, logarithmic))
    reach = _MARGIN * (high - low)
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=high > low)
    fields = (logarithmic, low - reach, high + reach, mean, scale, missing, starts, slopes)
    with np.errstate(over="ignore"):
        return Statistics(*(np.nan_to_num(field.astype(np.float32)) for field in fields))


def scaled(values: NDArray[np.float64], logarithmic: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Raw values [..., F] on the scale they are standardised on."""
    return np.where(logarithmic, np.sign(values) * np.log1p(np.abs(values)), values)


def _present(column: NDArray[np.float64]) -> NDArray[np.float64]:
    return column[np.isfinite(column)]


def _is_skewed(values: NDArray[np.float64]) -> bool:
    """Whether the logarithm makes a column less lopsided, and it is lopsided enough to matter."""
    plain = abs(_skewness(values))
    return plain > _SKEWED and abs(_skewness(np.sign(values) * np.log1p(np.abs(values)))) < plain


def _skewness(values: NDArray[np.float64]) -> float:
    if values.size < 3 or values.min() == values.max():
        return 0.0
    standard = (values - values.mean()) / values.std()
    return float((standard**3).mean())


def _moments(numbers: NDArray[np.float32], logarithmic: NDArray[np.bool_]) -> tuple[NDArray[np.float64], ...]:
    """Low and high of the raw values, mean and standard deviation of the scaled ones, whether any is missing; in one pass, each [F]."""
    columns = numbers.shape[1]
    count, mean, square = np.zeros(columns), np.zeros(columns), np.zeros(columns)
    low, high, missing = np.full(columns, np.inf), np.full(columns, -np.inf), np.zeros(columns)
    for begin in range(0, len(numbers), _CHUNK_ROWS):
        chunk = numbers[begin : begin + _CHUNK_ROWS].astype(np.float64)
        present = np.isfinite(chunk)
        here = present.sum(0)
        low = np.minimum(low, np.where(present, chunk, np.inf).min(0))
        high = np.maximum(high, np.where(present, chunk, -np.inf).max(0))
        missing = np.maximum(missing, ~present.all(0))
        values = scaled(np.where(present, chunk, 0), logarithmic)
        average = np.where(present, values, 0).sum(0) / np.maximum(here, 1)
        away = np.where(present, values - average, 0)
        total = np.maximum(count + here, 1)
        # Chan, Golub and LeVeque's way to join the moments of two parts without losing digits.
        square += (away**2).sum(0) + (average - mean) ** 2 * count * here / total
        mean += (average - mean) * here / total
        count += here
    empty = count == 0
    return np.where(empty, 0, low), np.where(empty, 0, high), mean, np.sqrt(square / np.maximum(count, 1)), missing


def _pieces(sample: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Where each column's pieces start, and one over their widths."""
    starts, slopes = np.zeros((sample.shape[1], PIECES)), np.zeros((sample.shape[1], PIECES))
    for index, column in enumerate(sample.T):
        edges = _edges(_present(column), low[index], high[index])
        widths = np.diff(edges)
        starts[index, : widths.size] = edges[:-1]
        slopes[index, : widths.size] = 1 / widths
    return starts, slopes


def _edges(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """At most PIECES + 1 rising boundaries, from low to high: quantiles of the distinct values, each weighing the root of its count.

    Between the quantiles of all values (which leave a column that is mostly zero in one piece) and those of the distinct ones.
    """
    distinct, counts = np.unique(values, return_counts=True)
    if distinct.size < 2 or low >= high:
        return np.zeros(1)
    weight = np.cumsum(np.sqrt(counts))
    inner = distinct[np.searchsorted(weight / weight[-1], np.linspace(0, 1, PIECES + 1)[1:-1])]
    edges = np.unique(np.concatenate([[low], inner, [high]]).astype(np.float32)).astype(np.float64)
    return edges[np.concatenate([[True], np.diff(edges) > 1e-6 * (high - low)])]
