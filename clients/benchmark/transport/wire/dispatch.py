"""Sends calls on lines, and tells a sink how each of them ended."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import numpy as np

from clients.benchmark.transport import Pool, Sink
from clients.benchmark.transport.wire.calls import Calls
from clients.benchmark.transport.wire.connection import Answer, Answers, Refused, Untouched
from clients.benchmark.transport.wire.line import Line
from clients.benchmark.transport.wire.responses import Refusal
from clients.benchmark.transport.wire.runs import Octets, Wheel
from clients.benchmark.transport.wire.streams import Integers
from clients.benchmark.transport.wire.tally import Tally

# A call that a server would not look at is made anew so often.
_MOST_MOVES = 3
# Answered calls are told so many at a time, if no more than the other number came at once: a sink works on arrays, but what is due
# must not wait long for it.
_UNTOLD, _MOST_UNTOLD = 1024, 16_384

NONE: Integers = np.zeros(0, np.int64)


class Dispatcher:
    """`message` gives the gRPC message of the request at a place; `wheel` has the first requests framed ahead, where they fit."""

    def __init__(self, pool: Pool, message: Callable[[int], bytes], wheel: Wheel | None, deadline_ns: int, sink: Sink) -> None:
        self.calls = Calls()
        # Calls that begun, and that no line had room for, oldest first: tags.
        self.waiting = NONE
        # How often calls were made anew, by tag.
        self._moves: Counter[int] = Counter()
        self._pool, self._message, self._wheel = pool, message, wheel
        self._all_framed = wheel is not None and wheel.distinct == len(pool.rows)
        self._deadline_ns, self._sink = deadline_ns, sink
        # No call's deadline is over before.
        self._expire_ns = 0
        self._tally = Tally(sink, len(pool.rows))
        # Answered calls that the sink has not been told: number, due, sent, place, end.
        self._untold = np.zeros((5, _MOST_UNTOLD), np.int64)
        self._untold_count = 0
        self._lines: dict[int, Line] = {}

    def begin(self, line: Line | None, numbers: Integers, due_ns: Integers | int, now_ns: int) -> None:
        """Begin the calls of these numbers, and send them on a line that has room for them, or let them wait."""
        places = self._pool.places(numbers)
        tags = self.calls.begin(numbers, places, due_ns, now_ns)
        if line is None:
            self.waiting = np.concatenate([self.waiting, tags])
        else:
            self._send(line, tags, numbers, places)

    def send_waiting(self, line: Line, count: int) -> None:
        """Send the first of the calls that wait on a line that has room for so many."""
        tags, self.waiting = self.waiting[:count], self.waiting[count:]
        self._send(line, tags, *self.calls.numbers_and_places(tags))

    def refuse_waiting(self, refusal: Refusal, now_ns: int) -> None:
        """Fail the calls that wait."""
        tags, self.waiting = self.waiting, NONE
        self._refuse(tags, refusal, now_ns)

    def fail(self, numbers: Integers, refusal: Refusal, now_ns: int) -> None:
        """Calls that are due now, and have failed."""
        for number in numbers.tolist():
            self._sink.failed(refusal.status, refusal.details, number, now_ns, now_ns, now_ns)

    def note_sent(self, line: Line) -> None:
        """Keep when the bytes of calls were handed over: now."""
        if line.handed_over:
            now_ns = time.perf_counter_ns()
            for tags in line.handed_over:
                self.calls.note_sent(tags, now_ns)
            line.handed_over.clear()

    def _send(self, line: Line, tags: Integers, numbers: Integers, places: Integers) -> None:
        """All at once where that is possible."""
        wheel = self._wheel
        if wheel is not None and not self._all_framed and int(places.max()) >= wheel.distinct:
            wheel = None
        if wheel is None or not line.call_many(tags, wheel, wheel.positions(numbers, places)):
            for tag, place in zip(tags.tolist(), places.tolist(), strict=True):
                line.call(tag, self._message(place))
            line.flush()
        self.note_sent(line)

    def collect(self, line: Line, now_ns: int) -> bool:
        """Tell what happened on a line; whether anything did."""
        events = line.connection.events
        if not events:
            return False
        ones: list[Answer] = []
        for event in events:
            match event:
                case Answers(tags, bodies):
                    self._answered(tags, bodies, now_ns)
                case Answer():
                    ones.append(event)
                case Refused(tag, refusal):
                    self._refuse(np.array([tag]), refusal, now_ns)
                case Untouched(tag, refusal):
                    self._move(tag, refusal, now_ns)
        if ones:
            self._answered_one_by_one(ones, now_ns)
        events.clear()
        return True

    def expire(self, lines: list[Line], now_ns: int) -> None:
        """End the calls whose deadline is over."""
        if now_ns < self._expire_ns:
            return
        late = self.calls.begun_before(now_ns - self._deadline_ns + 1)
        if len(late):
            self.waiting = self.waiting[~np.isin(self.waiting, late)]
            for line in lines:
                line.connection.cancel(late)
            self._refuse(late, Refusal("DEADLINE_EXCEEDED", f"no answer within {self._deadline_ns / 1e9:g} s"), now_ns)

        self._expire_ns = min(self.calls.oldest_ns, now_ns) + self._deadline_ns

    def tell(self) -> None:
        """Tell the sink which calls were answered since it was last told."""
        if self._untold_count:
            numbers, due_ns, sent_ns, places, end_ns = self._untold[:, : self._untold_count].copy()
            self._untold_count = 0
            self._sink.answered(numbers, due_ns, sent_ns, end_ns, places)

    def finish(self) -> None:
        """Tell the sink what it has not been told yet, the answers themselves among it."""
        self.tell()
        self._tally.tell()

    def _answered(self, tags: Integers, bodies: Octets, now_ns: int) -> None:
        places = self._told(tags, now_ns)
        self._tally.many(places, bodies, now_ns)

    def _answered_one_by_one(self, answers: list[Answer], now_ns: int) -> None:
        places = self._told(np.array([answer.tag for answer in answers]), now_ns)
        for place, answer in zip(places.tolist(), answers, strict=True):
            self._tally.one(place, answer.body, now_ns)

    def _told(self, tags: Integers, now_ns: int) -> Integers:
        """Keep that calls were answered, for the sink, and end them. Returns their places."""
        count = len(tags)
        if self._untold_count + count > _MOST_UNTOLD:
            self.tell()
        ended = self.calls.end(tags)
        untold = self._untold[:, self._untold_count : self._untold_count + count]
        untold[:4], untold[4] = ended, now_ns
        self._untold_count += count
        if self._untold_count >= _UNTOLD:
            self.tell()
        if self._moves:
            self._forget_moves(tags)
        places: Integers = ended[3]
        return places

    def _refuse(self, tags: Integers, refusal: Refusal, now_ns: int) -> None:
        """These calls have failed."""
        for number, due_ns, sent_ns, _ in self.calls.end(tags).T.tolist():
            self._sink.failed(refusal.status, refusal.details, number, due_ns, sent_ns, now_ns)
        self._forget_moves(tags)

    def _move(self, tag: int, refusal: Refusal, now_ns: int) -> None:
        """A call that the server has not looked at is made anew, not without end."""
        self._moves[tag] += 1
        if self._moves[tag] > _MOST_MOVES:
            self._refuse(np.array([tag]), refusal, now_ns)
        else:
            self.waiting = np.concatenate([self.waiting, [tag]])

    def _forget_moves(self, tags: Integers) -> None:
        for tag in tags.tolist():
            self._moves.pop(tag, None)
