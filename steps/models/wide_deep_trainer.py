"""A training step of the wide and deep network: Adam for its layers, Adagrad for the rows of the table that a batch touches."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from steps.models.wide_deep_network import HIDDEN, WIDTH, WideDeep

LEARNING_RATE, TABLE_RATE = 2e-3, 0.1
_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-7
_FIRST_SQUARES = 40.0  # Adagrad's start: what was seen once or twice moves little, and is not learnt by heart
_AVERAGE, _AVERAGE_EVERY = 0.85, 8  # steps
_FIELD_DROPOUT, _HIDDEN_DROPOUT, _POOL = 0.2, 0.3, 1024


class Trainer:
    """A network with its optimiser's state. Steps depend on nothing but this state, the batch, the seed and the number of the step."""

    def __init__(self, network: WideDeep, seed: int) -> None:
        self.network, self._seed = network, seed % 2**31
        self._pools = _pools(network, seed)
        self._weights = [weight.value for weight in network.trainable_variables]
        self._first = [tf.Variable(tf.zeros_like(weight)) for weight in self._weights]
        self._second = [tf.Variable(tf.zeros_like(weight)) for weight in self._weights]
        self._averages = [tf.Variable(weight) for weight in self._weights]
        self._squares = tf.Variable(tf.fill(network.table.shape, _FIRST_SQUARES))
        self._step = tf.function(self._train_step, reduce_retracing=True)
        self._average = tf.function(self._update_averages)
        self._logits = tf.function(lambda numbers, ids: network(numbers, network.rows_of(ids)), reduce_retracing=True)

    def step(self, number: int, numbers: NDArray[np.float32], ids: NDArray[np.int32], labels: NDArray[np.float32]) -> float:
        """Train on one batch [N]; the mean loss of the batch before the update. `number` counts all steps, from 0."""
        loss = float(self._step(tf.constant(number), tf.constant(numbers), tf.constant(ids), tf.constant(labels)))
        if (number + 1) % _AVERAGE_EVERY == 0:
            self._average(tf.constant((number + 1) // _AVERAGE_EVERY, tf.float32))
        return loss

    def logits(self, numbers: NDArray[np.float32], ids: NDArray[np.int32]) -> NDArray[np.float32]:
        """Logits [N] of a batch, for evaluation."""
        answer: NDArray[np.float32] = self._logits(tf.constant(numbers), tf.constant(ids)).numpy()
        return answer

    def use_averages(self) -> None:
        """Put the averages over the last steps in the place of the layers' weights: less noise; what is evaluated and exported."""
        for weight, average in zip(self._weights, self._averages, strict=True):
            weight.assign(average)

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """All of the state, by name."""
        return {name: variable.numpy() for name, variable in self._variables().items()}

    def restore(self, arrays: dict[str, NDArray[np.float32]]) -> None:
        """Take over a state that `arrays` gave."""
        for name, variable in self._variables().items():
            variable.assign(arrays[name])

    def shapes(self) -> dict[str, list[int]]:
        """The shape of each array of the state."""
        return {name: variable.shape.as_list() for name, variable in self._variables().items()}

    def _variables(self) -> dict[str, Any]:
        lists = {"weights": self._weights, "first": self._first, "second": self._second, "averages": self._averages}
        named = {f"{name}-{index}": variable for name, variables in lists.items() for index, variable in enumerate(variables)}
        return {"table": self.network.table.value, "squares": self._squares} | named

    def _train_step(self, number: Any, numbers: Any, ids: Any, labels: Any) -> Any:
        rows = self.network.rows_of(ids)
        with tf.GradientTape() as tape:
            tape.watch(rows)
            logits = self.network(numbers, rows, self._masks(tf.shape(numbers)[0], number))
            losses = tf.nn.sigmoid_cross_entropy_with_logits(labels, logits)
            loss = tf.reduce_mean(losses)
        row_gradient, *gradients = tape.gradient(loss, [rows, *self._weights])
        self._update_layers(gradients, number)
        if self.network.categories:
            self._update_table(tf.reshape(ids, [-1]), tf.reshape(row_gradient, [-1, WIDTH]) * tf.cast(tf.size(labels), tf.float32))
        return loss

    def _masks(self, examples: Any, number: Any) -> list[Any]:
        """Dropout's masks [examples, ...], drawn from the pools as the seed and the number of the step determine."""
        drawn = tf.random.stateless_uniform([len(self._pools), examples], seed=[self._seed, number], maxval=_POOL, dtype=tf.int32)
        return [tf.gather(pool, drawn[index]) for index, pool in enumerate(self._pools)]

    def _update_layers(self, gradients: list[Any], number: Any) -> None:
        done = tf.cast(number + 1, tf.float32)
        power1, power2 = tf.pow(_BETA1, done), tf.pow(_BETA2, done)
        for weight, first, second, gradient in zip(self._weights, self._first, self._second, gradients, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=weight.handle, m=first.handle, v=second.handle, beta1_power=power1, beta2_power=power2,
                lr=LEARNING_RATE, beta1=_BETA1, beta2=_BETA2, epsilon=_EPSILON, grad=gradient,
            )  # fmt: skip

    def _update_averages(self, count: Any) -> None:
        """Take the layers' weights into their averages, for the `count`th time; early on the averages follow closely."""
        change = 1.0 - tf.minimum(_AVERAGE, (count - 1.0) / (count + 1.0))
        for weight, average in zip(self._weights, self._averages, strict=True):
            average.assign_add((weight - average) * change)

    def _update_table(self, ids: Any, gradients: Any) -> None:
        """Adagrad on the rows `ids` [M] by the gradients [M, WIDTH] of single examples, those of the same row summed first."""
        rows, places = tf.unique(ids)
        tf.raw_ops.ResourceSparseApplyAdagradV2(
            var=self.network.table.value.handle, accum=self._squares.handle, lr=TABLE_RATE, epsilon=_EPSILON,
            grad=tf.math.unsorted_segment_sum(gradients, places, tf.size(rows)), indices=rows,
        )  # fmt: skip


def _pools(network: WideDeep, seed: int) -> list[Any]:
    """Masks to draw from, for the fields [_POOL, C, 1] and each hidden layer [_POOL, units]: to draw a mask is cheaper than to make one."""
    generator = np.random.default_rng(seed)
    shapes = [((network.categories, 1), _FIELD_DROPOUT), *(((units,), _HIDDEN_DROPOUT) for units in HIDDEN)]
    kept = [(generator.random((_POOL, *shape)) >= rate) / (1 - rate) for shape, rate in shapes]
    return [tf.constant(mask, tf.float32) for mask in kept]
