"""Sends calls on lines, and tells a sink how each of them ended."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from clients.benchmark.transport import Pool, Sink
from clients.benchmark.transport.wire.calls import SENT, WAITING, Calls, Tally
from clients.benchmark.transport.wire.connection import Answer, Answers, Refused, Untouched
from clients.benchmark.transport.wire.line import Line
from clients.benchmark.transport.wire.responses import Refusal
from clients.benchmark.transport.wire.runs import Octets, Wheel
from clients.benchmark.transport.wire.streams import Integers

# A call that a server would not look at is made anew so often.
_MOST_MOVES = 3
# Answered calls are told so many at a time: a sink works on arrays. No more than these come at once.
_MOST_UNTOLD = 16_384

NONE: Integers = np.zeros(0, np.int64)


class Dispatcher:
    """`message` gives the gRPC message of the request at a place; `wheel` has the requests framed ahead, where they fit."""

    def __init__(self, pool: Pool, message: Callable[[int], bytes], wheel: Wheel | None, deadline_ns: int, sink: Sink) -> None:
        self.calls = Calls()
        # Calls that begun, and that no line had room for, oldest first: tags.
        self.waiting = NONE
        self._pool, self._message, self._wheel = pool, message, wheel
        self._deadline_ns, self._sink = deadline_ns, sink
        self._tally = Tally(sink, len(pool.rows))
        # Answered calls that the sink has not been told: number, due, sent, end, place.
        self._untold = np.zeros((5, _MOST_UNTOLD), np.int64)
        self._untold_count = 0
        self._lines: dict[int, Line] = {}

    def begin(self, numbers: Integers, due_ns: Integers | int, now_ns: int) -> Integers:
        """Tags for the calls of these numbers."""
        return self.calls.begin(numbers, self._pool.places(numbers), due_ns, now_ns)

    def wait(self, tags: Integers) -> None:
        """Put calls behind those that wait."""
        self.waiting = np.concatenate([self.waiting, tags]) if len(self.waiting) else tags

    def send(self, line: Line, tags: Integers) -> None:
        """Send calls on a line that has room for them: all at once where that is possible."""
        calls, stream = self.calls, line.connection.next_stream
        calls.state[tags] = SENT
        calls.lines[tags] = id(line)
        calls.streams[tags] = np.arange(stream, stream + 2 * len(tags), 2)
        places = calls.places[tags]
        if self._wheel is None or not line.call_many(tags, self._wheel, self._wheel.positions(calls.numbers[tags], places)):
            for tag, place in zip(tags.tolist(), places.tolist(), strict=True):
                line.call(tag, self._message(place))
            line.flush()
        self.note_sent(line)

    def note_sent(self, line: Line) -> None:
        """Keep when the bytes of calls were handed over: now."""
        if line.handed_over:
            now_ns = time.perf_counter_ns()
            for tags in line.handed_over:
                self.calls.sent_ns[tags] = now_ns
            line.handed_over.clear()

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
                    self.refuse(np.array([tag]), refusal, now_ns)
                case Untouched(tag, refusal):
                    self._move(tag, refusal, now_ns)
        if ones:
            self._answered_one_by_one(ones, now_ns)
        events.clear()
        return True

    def refuse(self, tags: Integers, refusal: Refusal, now_ns: int) -> None:
        """These calls have failed."""
        calls = self.calls
        for tag in tags.tolist():
            due_ns, sent_ns = int(calls.due_ns[tag]), int(calls.sent_ns[tag]) or now_ns
            self._sink.failed(refusal.status, refusal.details, int(calls.numbers[tag]), due_ns, sent_ns, now_ns)
        calls.end(tags)

    def expire(self, lines: list[Line], now_ns: int) -> None:
        """End the calls whose deadline is over."""
        calls = self.calls
        late = calls.begun_before(now_ns - self._deadline_ns)
        if not len(late):
            return
        if len(self.waiting):
            self.waiting = self.waiting[~np.isin(self.waiting, late)]
        by_id = {id(line): line for line in lines}
        for tag in late[calls.state[late] != WAITING].tolist():
            by_id[int(calls.lines[tag])].connection.cancel(int(calls.streams[tag]))
        self.refuse(late, Refusal("DEADLINE_EXCEEDED", f"no answer within {self._deadline_ns / 1e9:g} s"), now_ns)

    def tell(self) -> None:
        """Tell the sink which calls were answered since it was last told."""
        if self._untold_count:
            numbers, due_ns, sent_ns, end_ns, places = self._untold[:, : self._untold_count].copy()
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
        """Tell that calls were answered, and end them. Returns their places."""
        calls = self.calls
        sent_ns = calls.sent_ns[tags]
        if not sent_ns.all():
            # The answer came before the whole request was sent.
            sent_ns[sent_ns == 0] = now_ns
        places = calls.places[tags]
        count = len(tags)
        if self._untold_count + count > _MOST_UNTOLD:
            self.tell()
        untold = self._untold[:, self._untold_count : self._untold_count + count]
        untold[0], untold[1], untold[2], untold[3], untold[4] = calls.numbers[tags], calls.due_ns[tags], sent_ns, now_ns, places
        self._untold_count += count
        calls.end(tags)
        return places

    def _move(self, tag: int, refusal: Refusal, now_ns: int) -> None:
        """A call that the server has not looked at is made anew, not without end."""
        calls = self.calls
        if calls.moved[tag] >= _MOST_MOVES:
            self.refuse(np.array([tag]), refusal, now_ns)
            return
        calls.moved[tag] += 1
        calls.state[tag] = WAITING
        self.waiting = np.concatenate([self.waiting, np.array([tag])])
