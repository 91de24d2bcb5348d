"""In which order rows are trained on: shuffled in each epoch, known from the position alone, in constant memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ROUNDS = 4
_GOLDEN, _MIX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)


def rows_at(start: int, count: int, rows: int, seed: int) -> NDArray[np.int64]:
    """The rows [count] at the positions from `start` on of an endless stream over `rows` rows, each once in every epoch.

    A Feistel network permutes a power of four that holds all rows; what falls outside is sent through again until it
    falls inside (cycle walking: J. Black and P. Rogaway, "Ciphers with Arbitrary Finite Domains", 2002). So the place
    in the data is one number, whatever the number of rows, and training continues exactly from it.
    """
    positions = np.arange(start, start + count, dtype=np.uint64)
    epochs, offsets = np.divmod(positions, np.uint64(rows))
    keys = _mixed(epochs + np.uint64(seed * int(_GOLDEN) % 2**64))
    half = np.uint64(max(1, ((rows - 1).bit_length() + 1) // 2))
    shuffled = _feistel(offsets, keys, half)
    while (outside := np.flatnonzero(shuffled >= rows)).size:
        shuffled[outside] = _feistel(shuffled[outside], keys[outside], half)
    return shuffled.astype(np.int64)


def _feistel(values: NDArray[np.uint64], keys: NDArray[np.uint64], half: np.uint64) -> NDArray[np.uint64]:
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = values >> half, values & mask
    for number in range(_ROUNDS):
        left, right = right, left ^ (_mixed(right + keys + np.uint64(number)) & mask)
    return (left << half) | right


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    values = (values ^ (values >> np.uint64(31))) * _MIX
    values = (values ^ (values >> np.uint64(27))) * _GOLDEN
    return values ^ (values >> np.uint64(32))
