"""One run: read, build, send, sum up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from clients.benchmark import pacing
from clients.benchmark.errors import Interrupted
from clients.benchmark.model import describe
from clients.benchmark.requests import Request, prepare
from clients.benchmark.rows import open_table
from clients.benchmark.samples import Samples
from clients.benchmark.settings import Settings
from clients.benchmark.summary import Result, summarise
from clients.benchmark.transport import Failure, Transport

# A server that has answered nothing for this many deadlines is given up.
_DEADLINES_TO_GIVE_UP = 2


def _silent(done: int) -> None:
    del done


def run(settings: Settings, tell: Callable[[int], None] = _silent) -> Result:
    """Measure a served model. `tell` hears how many requests have ended, after each of them.

    Ctrl-C ends the run early: the result is of the calls made until then, and its warnings say so. Raises BadInput for
    a data file or signature that does not fit, NothingSucceeded where no measured call was answered, Interrupted where
    nothing was measured before Ctrl-C.
    """
    try:
        with Transport(settings.server, settings.deadline_s) as transport:
            with open_table(settings.data_file, settings.columns_file, settings.format) as table:
                model = describe(settings, transport)
                prepared = prepare(settings, model, table)
            samples = _send(settings, transport, prepared.requests, tell)
    except KeyboardInterrupt:
        raise Interrupted("interrupted before the first request") from None
    return summarise(settings, model, prepared, samples)


def _send(settings: Settings, transport: Transport, requests: Sequence[Request], tell: Callable[[int], None]) -> Samples:
    samples = Samples()

    def call(number: int, due_ns: int) -> int:
        place = number % len(requests)
        if number == settings.warm_up_iteration:
            samples.begin_interval(due_ns)
        sent_ns = time.perf_counter_ns()
        answer = transport.predict(requests[place].body)
        end_ns = time.perf_counter_ns()
        if isinstance(answer, Failure):
            samples.fail(answer, sent_ns, end_ns)
        else:
            samples.succeed(place, answer, end_ns)
            if number >= settings.warm_up_iteration:
                samples.time_call(due_ns, sent_ns, end_ns, requests[place].rows)
        tell(number + 1)
        return end_ns

    try:
        pacing.one_in_flight(_numbers(settings, samples), call)
    except KeyboardInterrupt:
        samples.interrupted = True
    samples.end_interval()
    return samples


def _numbers(settings: Settings, samples: Samples) -> Iterator[int]:
    """The numbers of the requests, as long as the server has answered one of late."""
    patience_ns = _DEADLINES_TO_GIVE_UP * settings.deadline_s * 1e9
    for number in range(settings.num_iteration):
        if samples.failing_since_ns is not None and time.perf_counter_ns() - samples.failing_since_ns > patience_ns:
            samples.gave_up = True
            return
        yield number
