"""What happened: the calls that were made, the times of those that count, the answers, the failures."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from clients.benchmark.load import Load
from clients.benchmark.statistics.histogram import Histogram
from clients.benchmark.statistics.series import Series
from clients.benchmark.transport import Failure
from clients.serving.tensors import Array

# Distinct answers are kept up to so many bytes: a model that answers at random must not fill the memory.
ANSWERS_BYTES = 256 << 20
# Calls are counted when so many have come: counting single calls would cost much, and counting more at once would keep
# the next calls waiting (for 0.5 ms).
_PENDING = 4096
# Rows of a call up to which calls are counted by an array; there are seldom more.
_FEW_ROWS = 1 << 16


@dataclass(slots=True)
class Answer:
    """An answer that came `count` times, and first at `first_ns`."""

    count: int
    first_ns: int


@dataclass
class Samples:
    """Filled while a run goes on, by one thread at a time. See transport.Sink; instants are those of time.perf_counter_ns.

    A failed call is counted and never timed. Calls numbered below `warm_up` or due before `timed_ns` are not timed
    either. `answers` holds equal answers once, by the request's place and the answer's content.

    Of the timed calls, `latency` counts the times from when they were due to their answers, `lateness` those until they
    were sent, `series` the latencies over time, from `timed_ns` on, and `rows_of_calls` the calls by their rows;
    `failed_timed` more of them failed.
    """

    rows_by_place: Array
    warm_up: int = 0
    timed_ns: int = 0
    calls: int = 0
    answers: dict[tuple[int, bytes], Answer] = field(default_factory=dict)
    unkept: int = 0
    failed_by_status: Counter[str] = field(default_factory=Counter)
    first_failure: Failure | None = None
    in_flight: int = 0
    # Requests that the client had to wait for, because the disk had not given them yet, and for how long in all.
    waited: int = 0
    waited_ns: int = 0
    # The measured interval: its first instant and the end of its last call, and this process's own work in it.
    first_ns: int | None = None
    last_ns: int = 0
    # When a call was last answered, and when one first failed after that.
    answered_ns: int = 0
    failing_since_ns: int | None = None
    _answer_bytes: int = 0
    rows_of_calls: Counter[int] = field(default_factory=Counter)
    failed_timed: int = 0
    latency: Histogram = field(default_factory=Histogram)
    lateness: Histogram = field(default_factory=Histogram)
    series: Series = field(init=False)
    # Calls that are not counted yet: when they were due, sent and answered, and their rows.
    _pending: Array = field(default_factory=lambda: np.empty((4, _PENDING), np.int64))
    _pending_count: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.series = Series(self.timed_ns)

    @classmethod
    def of(cls, load: Load, rows_by_place: Array, start_ns: int) -> Samples:
        """Samples of a load that starts at an instant."""
        return cls(rows_by_place, load.warm_up, start_ns + load.warm_up_ns)

    def answered(self, numbers: Array, due_ns: Array, sent_ns: Array, end_ns: Array, places: Array) -> None:
        """See transport.Sink. While a run goes on, what this costs is time in which the next call is not sent."""
        if not len(numbers):
            return
        last_ns = int(end_ns.max())
        with self._lock:
            self.calls += len(numbers)
            self.answered_ns = max(self.answered_ns, last_ns)
            self.failing_since_ns = None
            if numbers.min() < self.warm_up or due_ns.min() < self.timed_ns:
                timed = (numbers >= self.warm_up) & (due_ns >= self.timed_ns)
                if not timed.any():
                    return
                due_ns, sent_ns, end_ns, places = due_ns[timed], sent_ns[timed], end_ns[timed], places[timed]
                last_ns = int(end_ns.max())
            self._spread(int(due_ns.min()), last_ns)
            rows = self.rows_by_place[places]
            for first in range(0, len(rows), _PENDING):
                part = slice(first, first + _PENDING)
                self._keep(due_ns[part], sent_ns[part], end_ns[part], rows[part])

    def _keep(self, due_ns: Array, sent_ns: Array, end_ns: Array, rows: Array) -> None:
        if self._pending_count + len(rows) > _PENDING:
            self._count()
        kept = self._pending[:, self._pending_count : self._pending_count + len(rows)]
        kept[0], kept[1], kept[2], kept[3] = due_ns, sent_ns, end_ns, rows
        self._pending_count += len(rows)

    def answer(self, place: int, body: bytes, count: int, first_ns: int) -> None:
        """See transport.Sink."""
        with self._lock:
            known = self.answers.get((place, body))
            if known is not None:
                known.count += count
                known.first_ns = min(known.first_ns, first_ns)
            elif self._answer_bytes + len(body) <= ANSWERS_BYTES:
                self._answer_bytes += len(body)
                self.answers[place, body] = Answer(count, first_ns)
            else:
                self.unkept += count

    def failed(self, status: str, details: str, number: int, due_ns: int, sent_ns: int, end_ns: int) -> None:
        """See transport.Sink."""
        with self._lock:
            self.calls += 1
            self.failed_by_status[status] += 1
            self.first_failure = self.first_failure or Failure(status, details)
            self.failing_since_ns = self.failing_since_ns or sent_ns
            if number >= self.warm_up and due_ns >= self.timed_ns:
                self._spread(due_ns, end_ns)
                self.failed_timed += 1
                self.series.add_failed(np.array([end_ns]))

    def abandoned(self, count: int) -> None:
        """See transport.Sink."""
        with self._lock:
            self.in_flight += count

    def merge(self, other: Samples) -> None:
        """Count what another process has seen of the same load."""
        self.calls += other.calls
        self.failed_by_status += other.failed_by_status
        self.first_failure = self.first_failure or other.first_failure
        self.in_flight += other.in_flight
        self.unkept += other.unkept
        self.waited += other.waited
        self.waited_ns += other.waited_ns
        self.answered_ns = max(self.answered_ns, other.answered_ns)
        if other.first_ns is not None:
            self._spread(other.first_ns, other.last_ns)
        for (place, body), answer in other.answers.items():
            self.answer(place, body, answer.count, answer.first_ns)
        self.settle()
        other.settle()
        self.rows_of_calls += other.rows_of_calls
        self.failed_timed += other.failed_timed
        self.latency.merge(other.latency)
        self.lateness.merge(other.lateness)
        self.series.merge(other.series)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def settle(self) -> None:
        """Count what has come; nothing is read before, and nothing comes after."""
        with self._lock:
            self._count()

    def _count(self) -> None:
        if not self._pending_count:
            return
        due_ns, sent_ns, end_ns, rows = self._pending[:, : self._pending_count]
        self._pending_count = 0
        self._count_rows(rows)
        self.latency.add(end_ns - due_ns)
        self.lateness.add(np.maximum(sent_ns - due_ns, 0))
        self.series.add(end_ns, end_ns - due_ns, rows)

    def _count_rows(self, rows: Array) -> None:
        if rows.max() < _FEW_ROWS:
            counts = np.bincount(rows)
            for size in np.flatnonzero(counts).tolist():
                self.rows_of_calls[size] += int(counts[size])
        else:
            self.rows_of_calls.update(rows.tolist())

    def silent_ns(self, now_ns: int) -> int:
        """For how long calls have only failed."""
        return 0 if self.failing_since_ns is None else now_ns - self.failing_since_ns

    def _spread(self, first_ns: int, last_ns: int) -> None:
        self.first_ns = first_ns if self.first_ns is None else min(self.first_ns, first_ns)
        self.last_ns = max(self.last_ns, last_ns)


def wall_clock_s(instant_ns: int) -> float:
    """The wall clock's time of an instant of time.perf_counter_ns, in seconds since 1970."""
    return time.time() - (time.perf_counter_ns() - instant_ns) / 1e9
