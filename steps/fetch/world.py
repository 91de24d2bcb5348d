"""The synthetic world behind generated://criteo: how its columns are distributed, and how likely a click is.

Shapes follow what is published of the Criteo display-advertising data: heavy-tailed counts with blanks, few negative
values in I2, categories of 3 to millions of values of which few are frequent. The label is drawn from a logistic
teacher of the *visible* values, so that the best possible accuracy is known: the mean of max(p, 1 - p).

The world is one and the same for every seed; a seed draws another sample of it. Only uniform random numbers are drawn,
whose stream numpy keeps the same from version to version.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = Any


@dataclass(frozen=True)
class Count:
    """An I column: floor(exp(log_median + log_spread * g)) + low, with g logistic, `shared` of it the row's activity."""

    log_median: float
    log_spread: float
    low: int
    blank: float
    blank_group: int
    shared: float
    weight: float


@dataclass(frozen=True)
class Category:
    """A C column: value number k of `size` has a frequency of about (k + 1) ** -skew."""

    size: int
    skew: float
    blank: float
    blank_group: int
    weight: float


# Columns of one blank group are blank in the same rows, as in the published data.
COUNTS = (
    Count(0.9, 1.1, 0, 0.45, 1, 0.6, 0.55),
    Count(2.4, 1.5, -2, 0.0, 2, 0.0, 0.20),
    Count(1.8, 1.3, 0, 0.21, 3, 0.3, 0.35),
    Count(1.7, 0.9, 0, 0.22, 4, 0.3, -0.25),
    Count(7.6, 1.9, 0, 0.03, 5, -0.5, -0.45),
    Count(3.5, 1.5, 0, 0.22, 6, -0.4, -0.45),
    Count(1.3, 1.3, 0, 0.04, 7, 0.7, 0.60),
    Count(2.1, 0.9, 0, 0.001, 8, 0.2, 0.10),
    Count(3.6, 1.3, 0, 0.04, 7, 0.2, -0.20),
    Count(0.1, 0.6, 0, 0.45, 1, 0.4, 0.30),
    Count(0.8, 0.9, 0, 0.04, 7, 0.7, 0.50),
    Count(0.0, 0.8, 0, 0.76, 9, 0.1, 0.15),
    Count(1.8, 1.0, 0, 0.22, 4, 0.3, -0.30),
)
CATEGORIES = (
    Category(1_400, 1.5, 0.0, 0, 0.25),
    Category(550, 1.1, 0.0, 0, 0.30),
    Category(300_000, 1.08, 0.034, 21, 0.24),
    Category(120_000, 1.08, 0.034, 21, 0.24),
    Category(300, 1.7, 0.0, 0, 0.20),
    Category(20, 1.3, 0.12, 22, 0.35),
    Category(12_000, 1.1, 0.0, 0, 0.26),
    Category(620, 1.6, 0.0, 0, 0.20),
    Category(3, 1.6, 0.0, 0, 0.20),
    Category(60_000, 1.2, 0.0, 0, 0.24),
    Category(5_600, 1.05, 0.0, 0, 0.31),
    Category(250_000, 1.08, 0.034, 21, 0.24),
    Category(3_100, 1.05, 0.0, 0, 0.31),
    Category(26, 1.2, 0.0, 0, 0.40),
    Category(11_000, 1.1, 0.0, 0, 0.26),
    Category(200_000, 1.08, 0.034, 21, 0.24),
    Category(10, 1.3, 0.0, 0, 0.50),
    Category(4_500, 1.15, 0.0, 0, 0.31),
    Category(2_000, 1.3, 0.44, 23, 0.20),
    Category(4, 1.1, 0.44, 23, 0.25),
    Category(280_000, 1.08, 0.034, 21, 0.24),
    Category(17, 1.3, 0.76, 24, 0.25),
    Category(15, 1.2, 0.0, 0, 0.35),
    Category(80_000, 1.15, 0.034, 21, 0.24),
    Category(95, 1.2, 0.44, 23, 0.25),
    Category(60_000, 1.15, 0.44, 23, 0.24),
)
# Pairs of categories (columns counted from 0) whose combination has an effect of its own: what only the deep part can find.
CROSSES = ((5, 13), (8, 16), (16, 22), (13, 19))
CROSS_WEIGHT = 0.45
BEND_WEIGHT = 0.40
BLANK_WEIGHT = 0.25
# Set so that about 26 of 100 rows are clicks and the best possible accuracy is about 0.847.
SCALE, BIAS = 1.075, -3.0

_MIX_1, _MIX_2, _STEP = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB), np.uint64(0x9E3779B97F4A7C15)
_LOGISTIC_STD = np.pi / np.sqrt(3.0)


@dataclass(frozen=True)
class Sample:
    """Rows of the world: counts int64 [13, N] and categories int64 [26, N] (-1 is blank), blanks bool [13, N], p [N], labels bool [N]."""

    counts: Array
    blanks: Array
    categories: Array
    probabilities: Array
    labels: Array


def draw(random: np.random.Generator, rows: int) -> Sample:
    """A sample of the world."""
    counts, blanks = _counts(random, rows)
    categories = _categories(random, rows)
    probabilities = 1 / (1 + np.exp(-_logits(counts, blanks, categories)))
    return Sample(counts, blanks, categories, probabilities, random.random(rows) < probabilities)


def mixed(column: Array, number: Array) -> Array:
    """A fixed pseudo-random uint64 for each value of each column (the finaliser of SplitMix64)."""
    with np.errstate(over="ignore"):
        z = (np.asarray(column).astype(np.uint64) * np.uint64(1 << 40) + np.asarray(number).astype(np.uint64)) * _STEP + _STEP
        z = (z ^ (z >> np.uint64(30))) * _MIX_1
        z = (z ^ (z >> np.uint64(27))) * _MIX_2
        return z ^ (z >> np.uint64(31))


def _blanks(random: np.random.Generator, rows: int, columns: tuple[Count, ...] | tuple[Category, ...]) -> Array:
    drawn = {group: random.random(rows) for group in sorted({column.blank_group for column in columns})}
    return np.stack([drawn[column.blank_group] < column.blank for column in columns])


def _counts(random: np.random.Generator, rows: int) -> tuple[Array, Array]:
    def logistic() -> Array:
        uniform = random.random(rows) * (1 - 1e-9) + 5e-10
        return np.log(uniform / (1 - uniform)) / _LOGISTIC_STD

    activity = logistic()
    values = []
    for count in COUNTS:
        g = count.shared * activity + np.sqrt(1 - count.shared**2) * logistic()
        values.append(np.floor(np.exp(np.minimum(count.log_median + count.log_spread * g, 21.0))) + count.low)
    return np.stack(values).astype(np.int64), _blanks(random, rows, COUNTS)


def _categories(random: np.random.Generator, rows: int) -> Array:
    values = []
    for category in CATEGORIES:
        power = 1 - category.skew
        number = np.floor(((float(category.size + 1) ** power - 1) * random.random(rows) + 1) ** (1 / power)) - 1
        values.append(np.clip(number, 0, category.size - 1))
    return np.where(_blanks(random, rows, CATEGORIES), -1, np.stack(values)).astype(np.int64)


def _effect(column: Array, number: Array) -> Array:
    """Uniform, of mean 0 and standard deviation 1, fixed for each value of each column."""
    return ((mixed(column, number) >> np.uint64(11)).astype(np.float64) * 2.0**-53 - 0.5) * np.sqrt(12.0)


def _logits(counts: Array, blanks: Array, categories: Array) -> Array:
    low, median, spread, weight = (
        np.array([getattr(count, name) for count in COUNTS], float)[:, None] for name in ("low", "log_median", "log_spread", "weight")
    )
    t = np.where(blanks, 0.0, (np.log1p(counts - low) - median) / spread)
    z = (weight * t).sum(0) + BLANK_WEIGHT * (blanks[0] * -1.0 + blanks[11] * 0.5 + blanks[5] * -0.5)
    z += BEND_WEIGHT * (np.tanh(2 * t[4]) * np.tanh(t[6]) + np.abs(t[10]) - np.minimum(t[0], 1.0) * np.tanh(t[5]))
    for column, category in enumerate(CATEGORIES):
        z += category.weight * _effect(64 + column, categories[column] + 1)
    for number, (left, right) in enumerate(CROSSES):
        z += CROSS_WEIGHT * _effect(128 + number, (categories[left] + 1) * 4096 + categories[right] + 1)
    return SCALE * z + BIAS
