"""A load under way: what is due is sent, what comes is told, and neither waits for the other."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import cycle

import numpy as np

from clients.benchmark.load import Course, Stop
from clients.benchmark.transport.wire.dispatch import NONE, Dispatcher
from clients.benchmark.transport.wire.line import Line
from clients.benchmark.transport.wire.lines import Lines
from clients.benchmark.transport.wire.streams import Integers

_MS = 1_000_000
# How often `stop`, deadlines and lost lines are looked after, at least.
_LONGEST_WAIT_NS = 20 * _MS
# Nearer to the next call than this, the loop does not sleep: waking up takes a while.
_SPIN_NS = 200_000
# So long the loop looks for answers before it sleeps.
_LOOK_NS = 50_000
# So many calls are sent at most before answers are looked for again.
MOST_AT_ONCE = 256


class Pace:
    """Sends what is due."""

    def __init__(self, course: Course, lines: Lines, dispatcher: Dispatcher) -> None:
        self._course, self._lines, self._dispatcher = course, lines, dispatcher
        self._turns = cycle(range(len(lines.places)))

    @property
    def over(self) -> bool:
        """Whether no call is to come."""
        return self._course.over

    def send_waiting(self, now_ns: int) -> bool:
        """Give the calls that wait to the lines that have room, in turns; whether one was sent."""
        dispatcher, places = self._dispatcher, self._lines.places
        if not len(dispatcher.waiting):
            return False
        if len(self._lines.down) == len(places):
            dispatcher.refuse_waiting(next(iter(self._lines.down.values()))[1], now_ns)
            return False
        sent = False
        share = min(-(-len(dispatcher.waiting) // len(places)), MOST_AT_ONCE)
        for _ in places:
            line = places[next(self._turns)]
            count = min(line.connection.room, share, len(dispatcher.waiting))
            if count:
                dispatcher.send_waiting(line, count)
                sent = True
        return sent


class OpenPace(Pace):
    """Calls are due at instants of their own."""

    def __init__(self, course: Course, lines: Lines, dispatcher: Dispatcher) -> None:
        super().__init__(course, lines, dispatcher)
        self._arrivals: Iterator[tuple[Integers, Integers]] = course.arrivals()
        self._numbers, self._due_ns = NONE, NONE
        self._next = 0
        self._refill()

    @property
    def over(self) -> bool:
        """Whether no call is to come."""
        return self._course.over and self._next == len(self._numbers)

    def next_due_ns(self, now_ns: int) -> int:
        """When the next call is due, if that is known."""
        return int(self._due_ns[self._next]) if self._next < len(self._due_ns) else now_ns + _LONGEST_WAIT_NS

    def send(self, now_ns: int) -> bool:
        """Begin and send the calls that are due now; whether there were any."""
        sent = self.send_waiting(now_ns)
        first = self._next
        self._next += int(self._due_ns[first : first + MOST_AT_ONCE].searchsorted(now_ns, "right"))
        if first == self._next:
            return sent
        numbers, due_ns = self._numbers[first : self._next], self._due_ns[first : self._next]
        line = self._lines.places[next(self._turns)]
        if len(self._dispatcher.waiting) or line.connection.room < len(numbers):
            self._dispatcher.begin(None, numbers, due_ns, now_ns)
            self.send_waiting(now_ns)
        else:
            self._dispatcher.begin(line, numbers, due_ns, now_ns)
        self._refill()
        return True

    def follow(self, place: int, now_ns: int) -> None:
        """Answers do not make further calls due."""

    def fail(self, place: int, now_ns: int) -> None:
        """A line that is down leaves its calls to the others."""

    def _refill(self) -> None:
        if self._next == len(self._numbers) and not self._course.over:
            self._numbers, self._due_ns = next(self._arrivals, (NONE, NONE))
            self._next = 0


class ClosedPace(Pace):
    """Calls are due when those before them have ended."""

    def next_due_ns(self, now_ns: int) -> int:
        """Not before something comes."""
        return now_ns + _LONGEST_WAIT_NS

    def send(self, now_ns: int) -> bool:
        """Begin and send as many calls as may be in flight; whether there were any."""
        sent = self.send_waiting(now_ns)
        for place in range(len(self._lines.places)):
            sent |= self.follow(place, now_ns)
        return sent

    def follow(self, place: int, now_ns: int) -> bool:
        """Begin the calls that a line lacks, now that others have ended; whether there were any."""
        line = self._lines.places[place]
        room = line.connection.room
        if self._course.over or not room:
            return False
        numbers = self._granted(min(self._share(place, now_ns) - line.connection.open_calls, room, MOST_AT_ONCE), now_ns)
        if len(numbers):
            self._dispatcher.begin(line, numbers, now_ns, now_ns)
        return bool(len(numbers))

    def fail(self, place: int, now_ns: int) -> None:
        """A line could not connect: the calls that would have been made on it have failed."""
        self._dispatcher.fail(self._granted(self._share(place, now_ns), now_ns), self._lines.down[place][1], now_ns)

    def _granted(self, wanted: int, now_ns: int) -> Integers:
        numbers = self._course.grant(wanted, now_ns) if wanted > 0 else range(0)
        return np.arange(numbers.start, numbers.stop, numbers.step) if numbers else NONE

    def _share(self, place: int, now_ns: int) -> int:
        """How many calls a line may have in flight."""
        whole = self._course.load.most_in_flight(now_ns - self._course.start_ns)
        lines = len(self._lines.places)
        return whole // lines + (place < whole % lines)


def drive(course: Course, lines: Lines, dispatcher: Dispatcher, deadline_ns: int, stop: Stop) -> None:
    """Make the calls of a load, until all of them have ended or `stop` is set; some may then be under way."""
    clock = time.perf_counter_ns
    pace = (OpenPace if course.load.is_open else ClosedPace)(course, lines, dispatcher)
    check_every_ns = min(max(deadline_ns // 8, _MS // 10), _LONGEST_WAIT_NS)
    busy_ns = checked_ns = clock()
    while not stop.is_set():
        now_ns = clock()
        busy = pace.send(now_ns)
        busy |= _read(lines, dispatcher, pace)
        if now_ns - checked_ns >= check_every_ns:
            checked_ns = now_ns
            _check(lines, dispatcher, pace, now_ns)
        if busy:
            busy_ns = now_ns
        elif pace.over and not dispatcher.calls.under_way:
            break
        elif now_ns - busy_ns > _LOOK_NS:
            wait_ns = min(pace.next_due_ns(now_ns) - _SPIN_NS, checked_ns + check_every_ns) - clock()
            if wait_ns > 0:
                lines.ready(wait_ns / 1e9)


def _read(lines: Lines, dispatcher: Dispatcher, pace: OpenPace | ClosedPace) -> bool:
    """Take and tell what has come, and send what follows; whether there was anything."""
    places = lines.places
    # One line is looked at directly: that costs less than asking whether anything has come.
    readable = None if len(places) == 1 and not lines.leaving else set(lines.ready(0.0))
    came = False
    for place, line in enumerate(places):
        if (readable is None or line in readable) and _read_line(line, dispatcher):
            came = True
            pace.follow(place, line.read_ns)
        if line.connection.ended or line.connection.leaving:
            _check(lines, dispatcher, pace, time.perf_counter_ns())
    for line in lines.leaving:
        came |= _read_line(line, dispatcher)
    return came


def _read_line(line: Line, dispatcher: Dispatcher) -> bool:
    """Whether anything came."""
    if line.connection.ended:
        return False
    came = line.read()
    if came:
        dispatcher.collect(line, line.read_ns)
    if line.connection.outgoing:
        line.flush()
    dispatcher.note_sent(line)
    return came


def _check(lines: Lines, dispatcher: Dispatcher, pace: OpenPace | ClosedPace, now_ns: int) -> None:
    """Look after deadlines and lost lines."""
    everything = [*lines.places, *lines.leaving]
    dispatcher.expire(everything, now_ns)
    dispatcher.tell()
    for line in everything:
        dispatcher.collect(line, now_ns)
    for place in lines.tend(now_ns):
        pace.fail(place, now_ns)
