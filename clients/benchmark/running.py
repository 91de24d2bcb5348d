"""One run: read, build, send, sum up."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from clients.benchmark import server_side
from clients.benchmark.data.requests import Requests, prepare
from clients.benchmark.driving import LEAD_NS, Ended, drive, heard
from clients.benchmark.errors import BadInput, Interrupted, NotSaved
from clients.benchmark.judging.judge import Judge
from clients.benchmark.load import Stop
from clients.benchmark.model import Model, describe
from clients.benchmark.pool import Pool
from clients.benchmark.progress import unheard
from clients.benchmark.report.files import check_writable
from clients.benchmark.samples import Samples
from clients.benchmark.settings import Settings
from clients.benchmark.transport import Endpoint, connect

if TYPE_CHECKING:
    from clients.benchmark.summary import Result

# A server that says nothing for so long when asked for the model is not well.
_LEAST_ASKING_S = 5.0


def run(settings: Settings, tell: Callable[[int], None] = unheard, read: Callable[[int], None] = unheard) -> Result:
    """Measure a served model. `read` hears now and then how many rows were read before the first call, `tell` how many calls have ended.

    Ctrl-C ends the run early: the result is of the calls made until then, and its warnings say so. Raises BadInput for
    a data file or signature that does not fit, NothingSucceeded where no measured call was answered, Interrupted where
    nothing was measured before Ctrl-C, NotSaved (with the result) where the answers could not be recorded.
    """
    try:
        if settings.save_answers is not None:
            check_writable("--save-answers", settings.save_answers)
        settings.load()  # refuses a schedule that is none before anything is asked of the server
        with closing(connect(settings.transport, _asking(settings.endpoint()))) as transport:
            model = describe(settings, transport)
            before = server_side.look(transport, settings.model, settings.metrics_url)
        requests = prepare(settings, model, read)
        with closing(requests):
            judge = Judge.of(settings, model.outputs, requests)
            with heard() as asked:
                samples, ended = _send(settings, model, requests, asked, tell)
                watched = _watched(settings, before)
    except KeyboardInterrupt:
        raise Interrupted("interrupted before the first request") from None
    from clients.benchmark.summary import summarise  # what is needed after a run does not delay its first request

    result = summarise(settings, model, requests, samples, ended, judge.judge(samples.answers, samples.unkept), watched)
    if settings.save_answers is not None:
        from clients.benchmark.judging import expected
        from clients.benchmark.judging.judgement import outputs_by_row

        try:
            expected.save(settings.save_answers, outputs_by_row(samples.answers, requests), int(requests.rows.sum()))
        except BadInput as error:
            raise NotSaved(str(error), result) from None
    return result


def _watched(settings: Settings, before: server_side.Look) -> server_side.Watched:
    """The server before the run and now."""
    with closing(connect(settings.transport, _asking(settings.endpoint()))) as transport:
        after = server_side.look_again(transport, settings.model, settings.metrics_url)
    return server_side.Watched.between(before, after, settings.model)


def _asking(endpoint: Endpoint) -> Endpoint:
    """Where the server is asked what it serves: the deadline of the load's calls is not meant for that."""
    return replace(endpoint, deadline_s=max(endpoint.deadline_s, _LEAST_ASKING_S), one_in_flight=True)


def _send(settings: Settings, model: Model, requests: Requests, asked: Stop, tell: Callable[[int], None]) -> tuple[Samples, Ended]:
    if settings.processes > 1:
        from clients.benchmark.processes import drive_all

        return drive_all(settings, model, requests, asked, tell)
    load = settings.load()
    with (
        closing(Pool(requests.bodies, requests.rows, requests.spool)) as pool,
        closing(connect(settings.transport, settings.endpoint())) as transport,
    ):
        transport.connect(pool)
        load.get_ready()
        start_ns = time.perf_counter_ns() + (LEAD_NS if load.is_open else 0)
        return drive(load, transport, pool, settings.deadline_s, start_ns, asked, tell)
