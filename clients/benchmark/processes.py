"""One load by several processes: each builds its requests, or reads the one file of those that do not fit the memory; all start
at one instant, and their samples become one.

They are started as programs of their own, not forked (gRPC does not outlive a fork) and not by multiprocessing (which
would run the caller's own program anew). Each hears its orders, and answers, over a pair of pipes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any

from clients.benchmark.data.requests import Requests, prepare
from clients.benchmark.data.spool import Spool
from clients.benchmark.driving import Ended, drive
from clients.benchmark.errors import BenchmarkError, NothingSucceeded
from clients.benchmark.load import Stop
from clients.benchmark.model import Model
from clients.benchmark.pool import Pool
from clients.benchmark.samples import Samples
from clients.benchmark.settings import Settings
from clients.benchmark.transport import connect
from clients.serving.tensors import Array

# All processes hear the word within this time, even where they share a core.
_LEAD_NS = 100_000_000
_LOOK_S = 0.1
# A process that was told to stop and does not is killed.
_STOP_S = 10.0
_PROGRAM = "import sys; sys.path[:] = {path!r}; from clients.benchmark.processes import work; work({fd})"


def drive_all(settings: Settings, model: Model, requests: Requests, asked: Stop, tell: Callable[[int], None]) -> tuple[Samples, Ended]:
    """Make the calls of a load by `settings.processes` processes. See driving.drive."""
    workers = [_Worker(settings, model, requests, process) for process in range(settings.processes)]
    try:
        _wait_for(workers, "ready", asked)
        start_ns = time.perf_counter_ns() + _LEAD_NS
        for worker in workers:
            worker.say("start", start_ns)
        _hear(workers, asked, tell)
        return _merged(workers)
    finally:
        for worker in workers:
            worker.end()


class _Worker:
    """A process, as the one that started it sees it."""

    def __init__(self, settings: Settings, model: Model, requests: Requests, process: int) -> None:
        self.heard: dict[str, Any] = {}
        self.lost = False
        self.connection, theirs = Pipe()
        program = _PROGRAM.format(path=sys.path, fd=theirs.fileno())
        spool = requests.spool
        files = (theirs.fileno(),) if spool is None else (theirs.fileno(), spool.fileno())
        with _ctrl_c_held():
            self.process = subprocess.Popen([sys.executable, "-c", program], pass_fds=files, stdin=subprocess.DEVNULL)
        theirs.close()
        self.say("settings", (settings, model, None if spool is None else (requests.rows, spool), process))

    @property
    def is_over(self) -> bool:
        return self.lost or bool({"done", "failed"} & set(self.heard))

    def say(self, word: str, value: Any = None) -> None:
        """Send an order; a process that is gone does not hear it."""
        try:
            self.connection.send((word, value))
        except OSError:
            self.lost = True

    def hear(self) -> None:
        """Take one message."""
        try:
            word, value = self.connection.recv()
        except (EOFError, OSError):
            self.lost = True
            return
        self.heard[word] = value

    def end(self) -> None:
        """Leave no process behind."""
        self.connection.close()
        try:
            self.process.wait(_STOP_S if self.is_over else 0.1)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def _ctrl_c_held() -> Iterator[None]:
    """Ctrl-C reaches all processes of a terminal; those that are started here never hear it, the first of them says when to stop."""
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def _wait_for(workers: Sequence[_Worker], word: str, asked: Stop) -> None:
    """Until all have said it. Raises what one of them failed with."""
    while not all(word in worker.heard for worker in workers):
        if asked.is_set():
            raise KeyboardInterrupt
        _listen(workers)
        for worker in workers:
            if "failed" in worker.heard:
                raise worker.heard["failed"]
            if worker.lost:
                raise NothingSucceeded("--processes: a process of the client ended before the run began; what it printed says why")


def _hear(workers: Sequence[_Worker], asked: Stop, tell: Callable[[int], None]) -> None:
    """Until all are over; tells their orders to stop, and how far they are."""
    stopping = False
    while not all(worker.is_over for worker in workers):
        if asked.is_set() and not stopping:
            stopping = True
            for worker in workers:
                worker.say("stop")
        _listen(workers)
        tell(sum(worker.heard.get("told", 0) for worker in workers))


def _listen(workers: Sequence[_Worker]) -> None:
    speaking = wait([worker.connection for worker in workers if not worker.is_over], _LOOK_S)
    for worker in workers:
        if worker.connection in speaking:
            worker.hear()


def _merged(workers: Sequence[_Worker]) -> tuple[Samples, Ended]:
    """The samples of all that have any. Raises what one failed with, where none has."""
    results: list[tuple[Samples, Ended]] = [worker.heard["done"] for worker in workers if "done" in worker.heard]
    if not results:
        failures = [worker.heard["failed"] for worker in workers if "failed" in worker.heard]
        raise failures[0] if failures else NothingSucceeded("--processes: all processes of the client ended without a result")
    samples = results[0][0]
    for other, _ in results[1:]:
        samples.merge(other)
    ends = [ended for _, ended in results]
    return samples, Ended(
        any(ended.interrupted for ended in ends),
        any(ended.gave_up for ended in ends),
        max(ended.busy for ended in ends),
        len(workers) - len(results),
    )


def work(fd: int) -> None:
    """What a process does: hear the settings, get ready, start when told, say what happened."""
    connection: Any = Connection(fd)
    _, (settings, model, streamed, process) = connection.recv()
    said = threading.Lock()

    def say(word: str, value: Any = None) -> None:
        with said:
            connection.send((word, value))

    try:
        say("done", _work(settings, _pool(settings, model, streamed), process, connection, say))
    except BenchmarkError as error:
        say("failed", error)
    except (BrokenPipeError, EOFError):
        os._exit(1)  # who started this process is gone


def _pool(settings: Settings, model: Model, streamed: tuple[Array, Spool] | None) -> Pool:
    """The requests of a run, the same in each process."""
    if streamed is not None:
        return Pool((), *streamed)
    requests = prepare(settings, model)
    return Pool(requests.bodies, requests.rows)


def _work(settings: Settings, pool: Pool, process: int, connection: Any, say: Callable[[str, Any], None]) -> tuple[Samples, Ended]:
    transport = connect(settings.transport, settings.endpoint())
    load = settings.load().share(process, settings.processes)
    try:
        transport.connect(pool)
        load.get_ready()
        say("ready", None)
        _, start_ns = connection.recv()
        asked = threading.Event()
        threading.Thread(target=_listen_for_stop, args=(connection, asked), daemon=True).start()
        return drive(load, transport, pool, settings.deadline_s, start_ns, asked, lambda done: say("told", done))
    finally:
        transport.close()
        pool.close()


def _listen_for_stop(connection: Any, asked: threading.Event) -> None:
    with contextlib.suppress(EOFError, OSError):  # who started this process is gone
        connection.recv()
    asked.set()
