"""When requests are due."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable


def one_in_flight(numbers: Iterable[int], call: Callable[[int, int], int]) -> None:
    """A closed loop: each request is due at the instant at which the one before it ended.

    `call` takes a request's number and the time at which it was due, and returns the time at which it ended, both in
    nanoseconds of time.perf_counter_ns.
    """
    due_ns = time.perf_counter_ns()
    for number in numbers:
        due_ns = call(number, due_ns)
