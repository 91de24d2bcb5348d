"""The wide and deep network, and how raw column values enter it; one graph for training and serving.

H.-T. Cheng et al., "Wide & Deep Learning for Recommender Systems" (2016). Numbers enter standardised, with an indicator
for blanks, and in pieces between quantiles (Y. Gorishniy et al., "On Embeddings for Numerical Features in Tabular Deep
Learning", 2022), so that a linear model of them is piecewise linear already; categories enter by hashed embeddings.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from steps.models.wide_deep_features import BUCKETS, Columns, hash_ids
from steps.models.wide_deep_statistics import Statistics

WIDTH = 16  # of a row of the table: an embedding, and in the last place the wide part's weight
HIDDEN = (768, 384, 128)
_FARTHEST = 8.0  # standard deviations


class Encoding:
    """What the network sees of raw numbers: a constant one, the numbers standardised, blanks indicated, and their pieces.

    Whatever the numbers are, it is finite; out of the training range they count as a little beyond its end, and a constant column as zero.
    """

    def __init__(self, statistics: Statistics) -> None:
        self._statistics = statistics
        columns, pieces = statistics.starts.shape
        # A piece is a slope and an offset on one standardised column: all of them are one product, of which one term is not zero.
        widths = np.divide(1, statistics.slopes, out=np.zeros_like(statistics.slopes), where=statistics.slopes > 0)
        deviation = np.divide(1, statistics.scale, out=np.zeros_like(statistics.scale), where=statistics.scale > 0)[:, None]
        slopes = np.divide(deviation, widths, out=np.zeros_like(widths), where=widths > 0)
        starts = (statistics.starts - statistics.mean[:, None]) * statistics.scale[:, None]
        spread = np.eye(columns)[:, :, None] * slopes[None]
        self._slopes = np.concatenate([np.zeros([columns, 1]), spread.reshape(columns, columns * pieces)], axis=1).astype(np.float32)
        self._offsets = np.concatenate([[1.0], (-starts * slopes).ravel()]).astype(np.float32)

    def __call__(self, numbers: Any) -> Any:
        """The encoding [N, 1 + F * (2 + PIECES)] of raw numbers [N, F], NaN being a blank."""
        known = self._statistics
        if not known.mean.size:
            return tf.ones([tf.shape(numbers)[0], 1])
        missing = tf.logical_not(tf.math.is_finite(numbers))
        raw = tf.clip_by_value(tf.where(missing, tf.zeros_like(numbers), numbers), known.low, known.high)
        value = tf.where(known.logarithmic > 0, tf.sign(raw) * tf.math.log1p(tf.abs(raw)), raw)
        standard = tf.where(missing, tf.zeros_like(raw), tf.clip_by_value((value - known.mean) * known.scale, -_FARTHEST, _FARTHEST))
        pieces = tf.clip_by_value(tf.matmul(standard, self._slopes) + self._offsets, 0.0, 1.0)
        return tf.concat([pieces, standard, tf.cast(missing, tf.float32) * known.missing], axis=1)


class WideDeep(keras.Model):  # type: ignore[misc]
    """Logits [N] of raw numbers [N, F] and rows of the table [N, C, WIDTH]."""

    def __init__(self, columns: Columns, statistics: Statistics, seed: int) -> None:
        super().__init__()
        self.columns, self._encode = columns, Encoding(statistics)
        self.categories = len(columns.categories)
        self.table = self.add_weight(
            name="table",
            shape=(max(1, self.categories) * BUCKETS, WIDTH),
            initializer=keras.initializers.RandomNormal(stddev=0.02, seed=seed),
            trainable=False,  # by the layers' optimiser; the trainer updates the rows that a batch touches
        )
        self.table.assign(tf.concat([self.table[:, :-1], tf.zeros_like(self.table[:, -1:])], axis=1))
        # The first hidden layer has a kernel for the numbers (with their constant one, its bias) and one for the embeddings: only these
        # need a gradient of their input.
        self.first_numbers = keras.layers.Dense(HIDDEN[0], use_bias=False, kernel_initializer=_he(seed + 1), name="hidden1_numbers")
        self.first_embeddings = keras.layers.Dense(HIDDEN[0], use_bias=False, kernel_initializer=_he(seed + 2), name="hidden1_embeddings")
        self.hidden = [
            keras.layers.Dense(units, activation="relu", kernel_initializer=_he(seed + number), name=f"hidden{number - 1}")
            for number, units in enumerate(HIDDEN[1:], start=3)
        ]
        self.deep = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros", name="deep")
        self.wide = keras.layers.Dense(1, kernel_initializer="zeros", use_bias=False, name="wide")
        self._wide_places = tf.tile(tf.one_hot([WIDTH - 1], WIDTH), [1, self.categories])
        self(tf.zeros([1, len(columns.numbers)]), tf.zeros([1, self.categories, WIDTH]))

    def call(self, numbers: Any, rows: Any, masks: Any = None) -> Any:
        """Logits [N]. `masks` are dropout's: for each field [N, C, 1], and for each hidden layer [N, units], in training."""
        known = self._encode(numbers)
        values, wide = self.first_numbers(known), self.wide(known)
        if self.categories:
            flat = [-1, self.categories * WIDTH]
            values += self.first_embeddings(tf.reshape(rows if masks is None else rows * masks[0], flat))
            wide += tf.matmul(tf.reshape(rows, flat), self._wide_places, transpose_b=True)
        values = tf.nn.relu(values)
        values = values if masks is None else values * masks[1]
        for number, layer in enumerate(self.hidden, start=2):
            values = layer(values)
            values = values if masks is None else values * masks[number]
        return tf.squeeze(self.deep(values) + wide, 1)

    def rows_of(self, ids: Any) -> Any:
        """The table's rows [N, C, WIDTH] for ids [N, C]."""
        return tf.gather(self.table.value, ids)

    def answer(self, numbers: Any, strings: Any) -> dict[str, Any]:
        """What a server answers to raw numbers [N, F] and strings [N, C]."""
        logits = self(numbers, self.rows_of(hash_ids(strings)))[:, None]
        positive = tf.sigmoid(logits)
        return {
            "probabilities": tf.concat([1.0 - positive, positive], axis=1),
            "class_ids": tf.cast(logits > 0, tf.int64),
            "logits": logits,
        }


def _he(seed: int) -> keras.initializers.Initializer:
    return keras.initializers.HeNormal(seed=seed)
