"""Concurrent requests merged into one call of the model.

The first request to come runs the call itself; those that come meanwhile queue, and one of them takes all that queue
along in the next call. So a lone request never changes threads, and nobody waits where nobody else is on the way.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Request = TypeVar("Request")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Merging:
    """How far concurrent requests are merged: requests and rows in one call of the model, and how long a call may wait for them."""

    most_requests: int = 64
    most_rows: int = 1024
    longest_wait_s: float = 0.002


class _Waiting(Generic[Request, Answer]):
    """A request in the queue. `turn` opens when it is answered, or when it is to lead the next call."""

    __slots__ = ("answer", "request", "since_s", "turn")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.since_s = time.perf_counter()
        self.answer: Answer | None = None
        self.turn = threading.Lock()
        self.turn.acquire()


class Merger(Generic[Request, Answer]):
    """Calls `answer_all` with all requests that are waiting, at most `most` of them, one call at a time.

    As many requests as were around in the last call are expected for the next one, since callers that were just
    answered tend to ask again. They are waited for, but never for longer than a call takes, nor than `longest_wait_s`.
    `answer_all` must not raise, and gives one answer for each request. `queued` hears how many seconds each request waited.
    """

    def __init__(
        self,
        answer_all: Callable[[Sequence[Request]], Sequence[Answer]],
        most: int,
        longest_wait_s: float,
        queued: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._answer_all = answer_all
        self._most = most
        self._longest_wait_s = longest_wait_s
        self._queued = queued
        self._lock = threading.Lock()
        self._queue: list[_Waiting[Request, Answer]] = []
        self._led = False
        self._expected = 1
        self._call_s = 0.0
        self._enough = threading.Event()

    def __call__(self, request: Request) -> Answer:
        """The answer to one request."""
        mine: _Waiting[Request, Answer] = _Waiting(request)
        with self._lock:
            self._queue.append(mine)
            leads = not self._led
            self._led = True
            if len(self._queue) == self._expected:
                self._enough.set()
        if not leads:
            mine.turn.acquire()
        if mine.answer is None:
            self._lead(mine)
        assert mine.answer is not None
        return mine.answer

    def _lead(self, mine: _Waiting[Request, Answer]) -> None:
        self._gather()
        with self._lock:
            batch, self._queue = self._queue[: self._most], self._queue[self._most :]
        started = time.perf_counter()
        for waiting in batch:
            self._queued(started - waiting.since_s)
        answers = self._answer_all([waiting.request for waiting in batch])
        took_s = time.perf_counter() - started
        self._call_s += 0.1 * (took_s - self._call_s)
        for waiting, answer in zip(batch, answers, strict=True):
            waiting.answer = answer
            if waiting is not mine:
                waiting.turn.release()
        with self._lock:
            self._expected = min(self._most, len(batch) + len(self._queue))
            if self._queue:
                self._queue[0].turn.release()
            else:
                self._led = False

    def _gather(self) -> None:
        with self._lock:
            if len(self._queue) >= self._expected:
                return
            self._enough.clear()
        self._enough.wait(min(self._longest_wait_s, self._call_s))
