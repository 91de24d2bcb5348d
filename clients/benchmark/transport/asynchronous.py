"""Several calls in flight in one asyncio loop, whatever carries them."""

from __future__ import annotations

import asyncio
import selectors
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

from clients.benchmark.load import Closed, Course, Stop
from clients.benchmark.transport import Failure, Pool, Sink
from clients.benchmark.transport.telling import Batch

# A caller, by number, makes the call with the request at a place.
Predict = Callable[[int, int], Awaitable[bytes | Failure]]

# A closed load waits so long after a call that could not be sent: a server that is down fails ten thousand calls in a second.
PAUSE_S = 0.1
_now = time.perf_counter_ns
_LOOK_S = 0.05
# While a closed load ramps, how many calls it has in flight is looked at so often.
_RAMP_LOOK_S = 0.005
# An open load keeps no more calls in flight: each is an object of some kilobytes. What is due beyond waits, and is late.
_MOST_IN_FLIGHT = 8192
# After so many calls sent in a row, the answers that came meanwhile are heard, so that a late client does not become deaf.
_IN_A_ROW = 16


class Loop:
    """An asyncio loop in a thread of its own: the caller may have a loop already, as notebooks do."""

    def __init__(self) -> None:
        # epoll counts in milliseconds, select does not: the timers of this loop are good to microseconds.
        self._loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, what: Any) -> Any:
        """Wait for a coroutine."""
        return asyncio.run_coroutine_threadsafe(what, self._loop).result()

    def close(self) -> None:
        """End the loop and its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Drive:
    """One load under way."""

    def __init__(self, predict: Predict, course: Course, pool: Pool, sink: Sink, stop: Stop) -> None:
        self._predict = predict
        self._course, self._pool, self._sink, self._stop = course, pool, sink, stop
        self._batch = Batch(sink)
        self._in_flight: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()
        self._leaving = False
        self._broken: BaseException | None = None

    async def run(self) -> None:
        """Send until the load or the caller's patience ends, and wait for what is in flight."""
        pace = self._course.load.pace
        sending = asyncio.create_task(self._closed(pace) if isinstance(pace, Closed) else self._open())
        try:
            while not sending.done() and not self._stop.is_set() and self._broken is None:
                await asyncio.wait([sending], timeout=_LOOK_S)
            while self._in_flight and not self._stop.is_set() and self._broken is None:
                await asyncio.wait(self._in_flight, timeout=_LOOK_S)
        finally:
            # A call that is cancelled may end with a failure in place of the cancellation; its caller must not go on.
            self._leaving = self._course.over = True
            left = [sending, *self._in_flight]
            for task in left:
                task.cancel()
            ends = await asyncio.gather(*left, return_exceptions=True)
            self._batch.tell()
        if broken := self._broken or next((end for end in ends if isinstance(end, Exception)), None):
            raise broken

    async def _closed(self, pace: Closed) -> None:
        """As many callers as the load has in flight, each with one call after the other."""
        course, ramps, started = self._course, pace.concurrency.over_ns > 0, 0
        while not course.over:
            while len(self._in_flight) < course.load.most_in_flight(_now() - course.start_ns):
                self._start(self._caller(started, ramps))
                started += 1
            await asyncio.sleep(_RAMP_LOOK_S if ramps else _LOOK_S)

    async def _caller(self, which: int, ramps: bool) -> None:
        course = self._course
        due_ns = _now()
        while granted := course.grant(1, due_ns):
            if not await self._call(which, granted[0], due_ns):
                await asyncio.sleep(PAUSE_S)
            due_ns = _now()
            if ramps and len(self._in_flight) > course.load.most_in_flight(due_ns - course.start_ns):
                return

    async def _open(self) -> None:
        """Start each call when it is due."""
        in_a_row = 0
        for numbers, due in self._course.arrivals():
            for number, due_ns in zip(numbers.tolist(), due.tolist(), strict=True):
                in_a_row += 1
                while (wait_ns := due_ns - _now()) > 0 or in_a_row >= _IN_A_ROW:
                    in_a_row = 0
                    await asyncio.sleep(max(wait_ns, 0) / 1e9)
                while len(self._in_flight) >= _MOST_IN_FLIGHT:
                    self._ended.clear()
                    await self._ended.wait()
                self._start(self._call(number, number, due_ns))

    def _start(self, what: Any) -> None:
        task = asyncio.create_task(what)
        self._in_flight.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        self._ended.set()
        if not task.cancelled() and task.exception() is not None:
            self._broken = self._broken or task.exception()

    async def _call(self, which: int, number: int, due_ns: int) -> bool:
        """One call; whether the server was reached."""
        place = self._pool.place(number)
        sent_ns = _now()
        try:
            answer = await self._predict(which, place)
        except asyncio.CancelledError:
            self._sink.abandoned(1)
            raise
        end_ns = _now()
        if self._leaving:
            self._sink.abandoned(1)
            return True
        if isinstance(answer, Failure):
            self._sink.failed(answer.status, answer.details, number, due_ns, sent_ns, end_ns)
            return answer.status != "UNAVAILABLE"
        self._batch.answered(number, due_ns, sent_ns, end_ns, place, answer)
        return True
