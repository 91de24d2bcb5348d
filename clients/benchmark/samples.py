"""What happened: the calls that were made, the times of those that count, the answers, the failures."""

from __future__ import annotations

import time
from array import array
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from clients.benchmark.transport import Failure
from clients.serving.tensors import Array


@dataclass
class Samples:
    """Filled while a run goes on. Times are nanoseconds of time.perf_counter_ns; a failed call is counted and never timed.

    `answers` counts equal answers by the request's place in the file and the answer's content, so that millions of calls
    over one file hold each answer once.
    """

    calls: int = 0
    answers: Counter[tuple[int, bytes]] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    first_failure: Failure | None = None
    failing_since_ns: int | None = None
    interrupted: bool = False
    gave_up: bool = False
    # The measured interval: wall clock at its start, its first instant and the end of its last call, and this process's own work in it.
    started_s: float = 0.0
    first_ns: int = 0
    last_ns: int = 0
    busy_ns: int = 0
    _timed: array[int] = field(default_factory=lambda: array("q"))

    def begin_interval(self, now_ns: int) -> None:
        """The warm-up is over."""
        self.started_s = time.time()
        self.first_ns = now_ns
        self.busy_ns = -time.process_time_ns()

    def end_interval(self) -> None:
        """No call follows."""
        self.busy_ns += time.process_time_ns()

    def fail(self, failure: Failure, sent_ns: int, end_ns: int) -> None:
        """Count a call that was not answered."""
        self.calls += 1
        self.last_ns = end_ns
        self.failed[failure.status] += 1
        self.first_failure = self.first_failure or failure
        self.failing_since_ns = self.failing_since_ns or sent_ns

    def succeed(self, place: int, answer: bytes, end_ns: int) -> None:
        """Keep an answer to the request at this place in the file."""
        self.calls += 1
        self.last_ns = end_ns
        self.answers[place, answer] += 1
        self.failing_since_ns = None

    def time_call(self, due_ns: int, sent_ns: int, end_ns: int, rows: int) -> None:
        """Keep the times of an answered call of the measured interval, all at once: Ctrl-C may come between any two statements."""
        self._timed.extend((due_ns, sent_ns, end_ns, rows))

    def timed(self) -> Array:
        """The kept calls, one in each row: due_ns, sent_ns, end_ns, rows; int64 [calls, 4]."""
        return np.array(self._timed, np.int64).reshape(-1, 4)
