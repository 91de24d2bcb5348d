"""One run: read, build, send, sum up."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from clients.benchmark.errors import Interrupted
from clients.benchmark.load import Course, Stop
from clients.benchmark.model import describe
from clients.benchmark.pool import Pool
from clients.benchmark.requests import prepare
from clients.benchmark.rows import open_table
from clients.benchmark.samples import Samples
from clients.benchmark.settings import Settings
from clients.benchmark.summary import Ended, Result, summarise
from clients.benchmark.transport import Transport, connect

# A server that has answered nothing for this many deadlines is given up.
_DEADLINES_TO_GIVE_UP = 2
_LOOK_S = 0.05


def _silent(done: int) -> None:
    del done


def run(settings: Settings, tell: Callable[[int], None] = _silent) -> Result:
    """Measure a served model. `tell` hears now and then how many calls have ended.

    Ctrl-C ends the run early: the result is of the calls made until then, and its warnings say so. Raises BadInput for
    a data file or signature that does not fit, NothingSucceeded where no measured call was answered, Interrupted where
    nothing was measured before Ctrl-C.
    """
    try:
        transport = connect(settings.transport, settings.endpoint())
        try:
            with open_table(settings.data_file, settings.columns_file, settings.format) as table:
                model = describe(settings, transport)
                prepared = prepare(settings, model, table)
            pool = Pool(prepared.requests)
            transport.connect(pool)
            samples, ended = _drive(settings, transport, pool, tell)
        finally:
            transport.close()
    except KeyboardInterrupt:
        raise Interrupted("interrupted before the first request") from None
    return summarise(settings, model, prepared, samples, ended)


@dataclass
class _Watch:
    """Ends a run early: asked by Ctrl-C, or because the server has answered nothing for long."""

    samples: Samples
    patience_ns: float
    interrupted: threading.Event
    gave_up: bool = False

    def is_set(self) -> bool:
        """See load.Stop."""
        if self.samples.silent_ns(time.perf_counter_ns()) > self.patience_ns:
            self.gave_up = True
        return self.gave_up or self.interrupted.is_set()


def _drive(settings: Settings, transport: Transport, pool: Pool, tell: Callable[[int], None]) -> tuple[Samples, Ended]:
    load = settings.load()
    start_ns = time.perf_counter_ns()
    samples = Samples.of(load, pool.rows, start_ns)
    busy_ns = -time.process_time_ns()
    with _heard() as interrupted, _told(samples, tell):
        watch = _Watch(samples, _DEADLINES_TO_GIVE_UP * settings.deadline_s * 1e9, interrupted)
        stop: Stop = watch
        transport.drive(Course(load, start_ns), pool, samples, stop)
    busy = (busy_ns + time.process_time_ns()) / max(1, time.perf_counter_ns() - start_ns)
    return samples, Ended(interrupted.is_set(), watch.gave_up, busy)


@contextmanager
def _heard() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets, while the block runs; Python hears signals in its main thread only."""
    asked = threading.Event()
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
        while not over.wait(_LOOK_S * 4):
            tell(samples.calls)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
    tell(samples.calls)
