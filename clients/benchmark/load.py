"""When requests are due: the load as asked for, and the load under way.

A load is plain data: the same load gives the same instants wherever it is read. Times are nanoseconds; instants of a
load under way are those of time.perf_counter_ns, which the processes of a machine share.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from clients.serving.tensors import Array

# So many arrivals are worked out at once: while they are, no call is sent.
CHUNK = 4096
_NS = 1_000_000_000


@dataclass(frozen=True)
class Ramp:
    """A value (calls per second, or calls in flight) that goes evenly from `start` to `end` within `over_ns`, and stays there."""

    start: float
    end: float
    over_ns: int = 0

    @classmethod
    def constant(cls, value: float) -> Ramp:
        """The same value all the time."""
        return cls(value, value)

    def at(self, elapsed_ns: int) -> float:
        """The value so long after the start."""
        if elapsed_ns >= self.over_ns:
            return self.end
        return self.start + (self.end - self.start) * elapsed_ns / self.over_ns

    def instants_ns(self, points: Array) -> Array:
        """Where the integral of the rate reaches each of `points` (float64 [k], from 0): int64 [k] nanoseconds from the start."""
        points = np.asarray(points, np.float64)
        over_s = self.over_ns / _NS
        in_ramp = (self.start + self.end) / 2 * over_s
        after_s = over_s + (points - in_ramp) / self.end
        if not self.over_ns:
            return np.array(np.rint(after_s * _NS), np.int64)
        within = np.clip(points, 0.0, in_ramp)
        growth = (self.end - self.start) / over_s
        # The root of start * t + growth / 2 * t^2 = points, in the form that loses no digits where growth is small.
        below = self.start + np.sqrt(np.maximum(self.start**2 + 2 * growth * within, 0.0))
        with np.errstate(invalid="ignore"):
            within_s = np.where(within > 0, 2 * within / below, 0.0)
        return np.array(np.rint(np.where(points < in_ramp, within_s, after_s) * _NS), np.int64)


@dataclass(frozen=True)
class Closed:
    """So many calls in flight: each is due at the instant at which the one before it ended."""

    concurrency: Ramp


class Open(Protocol):
    """Calls that are due at instants of their own, whether those before them were answered or not."""

    def offsets_ns(self) -> Iterator[Array]:
        """The instants, from the start, in order: chunks of int64 [k]; without an end, unless the schedule has one."""


@dataclass(frozen=True)
class Constant:
    """Evenly spaced."""

    rate: Ramp

    def offsets_ns(self) -> Iterator[Array]:
        """The k-th call is due when the integral of the rate reaches k."""
        for first in _firsts():
            yield self.rate.instants_ns(first + np.arange(CHUNK))


@dataclass(frozen=True)
class Poisson:
    """As independent users send: exponential gaps, the same for the same seed."""

    rate: Ramp
    seed: int = 0

    def offsets_ns(self) -> Iterator[Array]:
        """A unit-rate process, stretched by the integral of the rate (a time change keeps a Poisson process one)."""
        random = np.random.default_rng(self.seed)
        reached = 0.0
        while True:
            points = reached + np.cumsum(random.exponential(size=CHUNK))
            reached = float(points[-1])
            yield self.rate.instants_ns(points)


@dataclass(frozen=True)
class Bursts:
    """`size` calls due at one instant, the bursts evenly spaced; `rate` counts calls, not bursts."""

    rate: Ramp
    size: int

    def offsets_ns(self) -> Iterator[Array]:
        """All calls of a burst are due when its first is."""
        for first in _firsts():
            yield self.rate.instants_ns((first + np.arange(CHUNK)) // self.size * self.size)


@dataclass(frozen=True)
class Recorded:
    """A schedule that was written down: seconds from the start, in order, each played once."""

    seconds: tuple[float, ...]

    def offsets_ns(self) -> Iterator[Array]:
        """The schedule's own instants."""
        offsets = np.rint(np.array(self.seconds) * _NS).astype(np.int64)
        for first in range(0, len(offsets), CHUNK):
            yield offsets[first : first + CHUNK]


def _firsts() -> Iterator[int]:
    first = 0
    while True:
        yield first
        first += CHUNK


@dataclass(frozen=True)
class Load:
    """What is asked of the server: calls at a pace, until `count` of them were made or the measured time is over.

    The first `warm_up` calls, and those due within `warm_up_ns` of the start, are sent and judged, but not timed; the
    pace does not change when they are over. `duration_ns` counts from the first call that is timed. Of several
    processes that share a load, `process` makes every `processes`-th call of an open load, and its share of the calls
    in flight of a closed one. Calls are numbered from 0 over all processes.
    """

    pace: Closed | Constant | Poisson | Bursts | Recorded
    count: int | None = None
    duration_ns: int | None = None
    warm_up: int = 0
    warm_up_ns: int = 0
    process: int = 0
    processes: int = 1

    @property
    def is_open(self) -> bool:
        """Whether calls are due at instants of their own."""
        return not isinstance(self.pace, Closed)

    def share(self, process: int, processes: int) -> Load:
        """The part of one of several processes."""
        return replace(self, process=process, processes=processes)

    def get_ready(self) -> None:
        """Work out the first instants once, outside the clock: the libraries that this takes are loaded then."""
        if not isinstance(self.pace, Closed):
            next(self.pace.offsets_ns(), None)

    def most_in_flight(self, elapsed_ns: int) -> int:
        """How many calls of this process may be in flight so long after the start, in a closed load: one at least of all processes'."""
        assert isinstance(self.pace, Closed)
        whole = max(1, math.floor(self.pace.concurrency.at(elapsed_ns) + 1e-9))
        return whole // self.processes + (self.process < whole % self.processes)


class Stop(Protocol):
    """Whether a run should end early; threading.Event is one."""

    def is_set(self) -> bool:
        """True: send nothing more, leave what is in flight, and return within 0.1 s."""


class Course:
    """A load under way in one process, from `start_ns` on: says which calls may be made, in order, and when no more may.

    A transport asks `arrivals` (open) or `grant` (closed); both skip nothing and repeat nothing.
    """

    def __init__(self, load: Load, start_ns: int) -> None:
        self.load = load
        self.start_ns = start_ns
        self.over = False
        self._next = load.process
        self._end_ns: int | None = None

    def arrivals(self) -> Iterator[tuple[Array, Array]]:
        """The calls of an open load: their numbers and the instants at which they are due, int64 [k] each, until the load's end."""
        load = self.load
        assert not isinstance(load.pace, Closed)
        first = 0
        for offsets in load.pace.offsets_ns():
            numbers = np.arange(first, first + len(offsets))
            first += len(offsets)
            due = offsets + self.start_ns
            keep = self._before_the_end(numbers, due)
            mine = slice(keep) if load.processes == 1 else np.flatnonzero(numbers[:keep] % load.processes == load.process)
            if len(numbers[mine]):
                yield numbers[mine], due[mine]
            if keep < len(offsets):
                break
        self.over = True

    def grant(self, wanted: int, now_ns: int) -> range:
        """The numbers of at most `wanted` calls of a closed load that are due now; fewer, and `over` is true, at the end."""
        load, step = self.load, self.load.processes
        if self._end_ns is not None and now_ns >= self._end_ns:
            self.over = True
        if self.over:
            return range(0)
        end = self._next + wanted * step
        if load.count is not None and end >= load.count:
            end = load.count
            self.over = True
        granted = range(self._next, end, step)
        self._next += len(granted) * step
        if load.duration_ns is not None and self._end_ns is None and self._next > load.warm_up and now_ns >= self.timed_ns:
            self._end_ns = now_ns + load.duration_ns
        return granted

    @property
    def timed_ns(self) -> int:
        """No call that is due before this instant is timed."""
        return self.start_ns + self.load.warm_up_ns

    def _before_the_end(self, numbers: Array, due: Array) -> int:
        """How many of these calls, of all processes, are made."""
        load = self.load
        keep = len(numbers) if load.count is None else max(0, min(len(numbers), load.count - int(numbers[0])))
        if load.duration_ns is None:
            return keep
        if self._end_ns is None:
            timed = np.flatnonzero((numbers >= load.warm_up) & (due >= self.timed_ns))
            if len(timed):
                self._end_ns = int(due[timed[0]]) + load.duration_ns
        return keep if self._end_ns is None else min(keep, int(np.searchsorted(due, self._end_ns)))
