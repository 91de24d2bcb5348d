"""The connections of a client: as many as are wanted, each replaced when it is lost or the server asks to leave it."""

from __future__ import annotations

import select
import time
from collections.abc import Callable

from clients.benchmark.transport.wire.line import Line
from clients.benchmark.transport.wire.responses import Refusal

# How soon a server that could not be reached, or only hung up, is tried again.
_RETRY_NS = 100_000_000
# What select takes; with more files, sleeping is less exact.
_MOST_FILES = 1024


class Lines:
    """`count` places for a line each. `make_line` opens one; it is called again whenever a place needs another."""

    def __init__(self, make_line: Callable[[], Line], count: int) -> None:
        self._make_line = make_line
        self.places = [make_line() for _ in range(count)]
        # Lines that take no further calls, on which some are still under way.
        self.leaving: list[Line] = []
        # By place: when a line that could not connect is tried again, and why it could not.
        self.down: dict[int, tuple[int, Refusal]] = {}

    def close(self) -> None:
        """Close all of them."""
        for line in (*self.places, *self.leaving):
            line.close()

    def connect(self) -> None:
        """Wait until each line is ready, or has failed."""
        while any(not line.connection.ready and not line.connection.ended for line in self.places):
            for line in self.ready(0.1):
                line.read()
            self._give_up_slow(time.perf_counter_ns())

    def ready(self, timeout_s: float) -> list[Line]:
        """The lines for which something has come, or that go on connecting, within some seconds; what is queued goes as far as it can."""
        lines = [line for line in (*self.places, *self.leaving) if not line.connection.ended]
        writing = [line for line in lines if line.wants_to_write]
        if all(line.fileno() < _MOST_FILES for line in lines):
            readable, writable, _ = select.select(lines, writing, [], timeout_s)
        else:
            readable, writable = _poll(lines, writing, timeout_s)
        for line in writable:
            line.advance()
        return readable

    def tend(self, now_ns: int) -> list[int]:
        """Replace lines that have ended, whose events were told, or that take no further calls. Returns the places that went down now."""
        self._give_up_slow(now_ns)
        for line in [line for line in self.leaving if line.connection.ended or not line.connection.open_calls]:
            line.close()
            self.leaving.remove(line)
        went_down = []
        for place, line in enumerate(self.places):
            connection = line.connection
            if place in self.down:
                if now_ns >= self.down[place][0]:
                    del self.down[place]
                    self.places[place] = self._make_line()
            elif (connection.ended or connection.leaving) and not connection.events:
                # A server that only hangs up is given a pause.
                if connection.useful or connection.open_calls:
                    self.places[place] = self._make_line()
                else:
                    self.down[place] = now_ns + _RETRY_NS, Refusal("UNAVAILABLE", connection.ended or connection.leaving)
                    went_down.append(place)
                if connection.open_calls:
                    self.leaving.append(line)
                else:
                    line.give_up(connection.leaving)
                    line.close()
        return went_down

    def _give_up_slow(self, now_ns: int) -> None:
        for line in self.places:
            if not line.connection.ready and not line.connection.ended and now_ns >= line.until_ns:
                line.give_up("no HTTP/2 connection in time")


def _poll(lines: list[Line], writing: list[Line], timeout_s: float) -> tuple[list[Line], list[Line]]:
    """What select does, for any number of files, and to the millisecond below."""
    poll = select.poll()
    by_file = {line.fileno(): line for line in lines}
    writers = {line.fileno() for line in writing}
    for file in by_file:
        poll.register(file, select.POLLIN | (select.POLLOUT if file in writers else 0))
    found = poll.poll(int(timeout_s * 1000))
    readable = [by_file[file] for file, event in found if event & ~select.POLLOUT]
    return readable, [by_file[file] for file, event in found if event & select.POLLOUT]
