"""The measured part of a run, in one process: the load goes out, what happened is kept, and Ctrl-C is heard."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from clients.benchmark.load import Course, Load, Stop
from clients.benchmark.pool import Pool
from clients.benchmark.samples import Samples
from clients.benchmark.transport import Transport

# A server that has answered nothing for this many deadlines is given up, where only a number of calls ends the run.
# It may come back within the least of these times, however short the deadline is.
DEADLINES_TO_GIVE_UP, LEAST_PATIENCE_S = 2, 20.0
_TELL_S = 0.2
# Between the word to start and the start, so that a thread or a process has time to hear it.
LEAD_NS = 20_000_000


@dataclass(frozen=True)
class Ended:
    """How a run ended: by Ctrl-C, given up, or by itself; and the largest share of the time that one of its processes worked.

    `lost` processes of the client ended without a result.
    """

    interrupted: bool = False
    gave_up: bool = False
    busy: float = 0.0
    lost: int = 0


@dataclass
class _Watch:
    """Ends a run early: asked for, or because the server has answered nothing for long."""

    samples: Samples
    patience_ns: float | None
    asked: Stop
    gave_up: bool = False

    def is_set(self) -> bool:
        """See load.Stop."""
        if self.patience_ns is not None and self.samples.silent_ns(time.perf_counter_ns()) > self.patience_ns:
            self.gave_up = True
        return self.gave_up or self.asked.is_set()


def drive(
    load: Load, transport: Transport, pool: Pool, deadline_s: float, start_ns: int, asked: Stop, tell: Callable[[int], None]
) -> tuple[Samples, Ended]:
    """Make the calls of a load from `start_ns` on. `tell` hears now and then how many have ended."""
    samples = Samples.of(load, pool.rows, start_ns)
    patience_ns = max(DEADLINES_TO_GIVE_UP * deadline_s, LEAST_PATIENCE_S) * 1e9 if load.duration_ns is None else None
    watch = _Watch(samples, patience_ns, asked)
    if not load.is_open:  # a transport waits for the instants of an open one, and gets ready before the first
        time.sleep(max(0, start_ns - time.perf_counter_ns()) / 1e9)
    busy_ns = -time.process_time_ns()
    with _told(samples, tell):
        transport.drive(Course(load, start_ns), pool, samples, watch)
    samples.waited, samples.waited_ns = pool.waits
    busy = (busy_ns + time.process_time_ns()) / max(1, time.perf_counter_ns() - start_ns)
    return samples, Ended(asked.is_set(), watch.gave_up, busy)


def _new_event() -> threading.Event:
    return threading.Event()


@contextmanager
def heard() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets while the block runs; a second one interrupts. Python hears signals in its main thread only."""
    asked = _new_event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def ask(number: int, frame: Any) -> None:
        del number, frame
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _told(samples: Samples, tell: Callable[[int], None]) -> Iterator[None]:
    """Tells how many calls have ended, a few times in a second and once at the end."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(_TELL_S):
            tell(samples.calls)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
    tell(samples.calls)
