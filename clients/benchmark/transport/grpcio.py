"""gRPC by grpcio: the reference. One call in flight by its blocking calls, which cost least; more by its asyncio ones."""

from __future__ import annotations

import asyncio
import selectors
import threading
import time
from typing import Any

import grpc
import grpc.aio

from clients.benchmark.load import Course, Stop
from clients.benchmark.transport import Endpoint, Failure, Pool, Sink
from clients.benchmark.transport.telling import Batch
from clients.serving import calls

_now = time.perf_counter_ns
_LOOK_S = 0.05
# A closed load waits so long after a call that could not be sent: a server that is down fails ten thousand calls in a second.
_PAUSE_S = 0.1
# An open load keeps no more calls in flight: each is an object of some kilobytes. What is due beyond waits, and is late.
_MOST_IN_FLIGHT = 8192


class Client:
    """Calls to one server by grpcio. See Transport."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._channel: Any = None

    def call(self, method: str, body: bytes) -> bytes | Failure:
        """One call, outside the clock."""
        if self._channel is None:
            self._channel = _channel(grpc, self._endpoint)
        try:
            answer: bytes = self._channel.unary_unary(method)(body, **_how(self._endpoint))
        except grpc.RpcError as error:
            return _failure(error)
        return answer

    def connect(self, pool: Pool) -> None:
        """Nothing is ahead of the clock: grpcio frames each request when it sends it."""
        del pool

    def drive(self, course: Course, pool: Pool, sink: Sink, stop: Stop) -> None:
        """Make the calls of a load."""
        blocking = not course.load.is_open and _always_one(course)
        target = _one_in_flight if blocking else _many_in_flight
        target(self._endpoint, course, pool, sink, stop)

    def close(self) -> None:
        """Close the connection."""
        if self._channel is not None:
            self._channel.close()


def _always_one(course: Course) -> bool:
    load = course.load
    return load.most_in_flight(0) == 1 and load.most_in_flight(1 << 62) == 1


def _channel(kind: Any, endpoint: Endpoint) -> Any:
    options = [
        ("grpc.max_receive_message_length", endpoint.max_message_bytes or -1),
        ("grpc.max_send_message_length", endpoint.max_message_bytes or -1),
        # The server is measured, not a proxy between; and not a connection that another run in this process has left.
        ("grpc.enable_http_proxy", 0),
        ("grpc.use_local_subchannel_pool", 1),
        # A call is sent once: one that the library sent again by itself would be two for the server.
        ("grpc.enable_retries", 0),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
    ]
    compression = grpc.Compression.Gzip if endpoint.compression == "gzip" else None
    if endpoint.tls is None:
        return kind.insecure_channel(endpoint.address, options=options, compression=compression)
    tls = endpoint.tls
    credentials = grpc.ssl_channel_credentials(tls.authorities, tls.key, tls.certificate)
    return kind.secure_channel(endpoint.address, credentials, options=options, compression=compression)


def _how(endpoint: Endpoint) -> dict[str, Any]:
    return {"timeout": endpoint.deadline_s, "metadata": endpoint.metadata or None}


def _failure(error: Any) -> Failure:
    return Failure(error.code().name, error.details() or "")


def _one_in_flight(endpoint: Endpoint, course: Course, pool: Pool, sink: Sink, stop: Stop) -> None:
    """Blocking calls, in a thread, so that what the caller asks for meanwhile is heard: closing the channel ends a call."""
    channel = _channel(grpc, endpoint)
    caller = threading.Thread(target=_call_in_turn, args=(channel, endpoint, course, pool, sink, stop), daemon=True)
    caller.start()
    while caller.is_alive():
        caller.join(_LOOK_S)
        if stop.is_set():
            channel.close()
    channel.close()


def _call_in_turn(channel: Any, endpoint: Endpoint, course: Course, pool: Pool, sink: Sink, stop: Stop) -> None:
    predict, how = channel.unary_unary(calls.PREDICT), _how(endpoint)
    batch = Batch(sink)
    due_ns = _now()
    while not stop.is_set() and (granted := course.grant(1, due_ns)):
        number = granted[0]
        place = pool.place(number)
        body = pool.bodies[place]
        sent_ns = _now()
        try:
            answer = predict(body, **how)
        except (grpc.RpcError, ValueError) as error:
            if stop.is_set():  # the channel was closed
                sink.abandoned(1)
                break
            failure = _failure(error)
            end_ns = _now()
            sink.failed(failure.status, failure.details, number, due_ns, sent_ns, end_ns)
            if failure.status == "UNAVAILABLE":
                time.sleep(_PAUSE_S)
                end_ns = _now()
        else:
            end_ns = _now()
            batch.answered(number, due_ns, sent_ns, end_ns, place, answer)
        due_ns = end_ns
    batch.tell()


def _many_in_flight(endpoint: Endpoint, course: Course, pool: Pool, sink: Sink, stop: Stop) -> None:
    """Run the asyncio loop in a thread of its own: the caller may have a loop already, as notebooks do."""
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with asyncio.Runner(loop_factory=_loop) as runner:
                runner.run(_Many(endpoint, course, pool, sink, stop).drive())
        except BaseException as error:  # handed to the caller
            failures.append(error)

    caller = threading.Thread(target=work, daemon=True)
    caller.start()
    while caller.is_alive():
        caller.join(_LOOK_S)
    if failures:
        raise failures[0]


def _loop() -> asyncio.AbstractEventLoop:
    """A loop whose timers are good to microseconds: epoll counts in milliseconds, select does not."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


class _Many:
    """Several calls in flight, over several connections."""

    def __init__(self, endpoint: Endpoint, course: Course, pool: Pool, sink: Sink, stop: Stop) -> None:
        self._endpoint, self._course, self._pool, self._sink, self._stop = endpoint, course, pool, sink, stop
        self._batch = Batch(sink)
        self._how = _how(endpoint)
        self._calls: list[Any] = []
        self._in_flight: set[asyncio.Task[None]] = set()
        self._freed = asyncio.Event()

    async def drive(self) -> None:
        """Send until the load or the caller's patience ends, and wait for what is in flight."""
        channels = [_channel(grpc.aio, self._endpoint) for _ in range(self._endpoint.connections)]
        self._calls = [channel.unary_unary(calls.PREDICT) for channel in channels]
        sending = asyncio.create_task(self._open() if self._course.load.is_open else self._closed())
        try:
            while not sending.done() and not self._stop.is_set():
                await asyncio.wait([sending], timeout=_LOOK_S)
            while self._in_flight and not self._stop.is_set():
                await asyncio.wait(self._in_flight, timeout=_LOOK_S)
            if sending.done():
                sending.result()
        finally:
            sending.cancel()
            for task in self._in_flight:
                task.cancel()
            await asyncio.gather(sending, *self._in_flight, return_exceptions=True)
            self._batch.tell()
            for channel in channels:
                await channel.close(None)

    async def _closed(self) -> None:
        """As many callers as the load has in flight, each with one call after the other."""
        course, started = self._course, 0
        while not course.over and not self._stop.is_set():
            allowed = course.load.most_in_flight(_now() - course.start_ns)
            while len(self._in_flight) < allowed:
                self._start(self._caller(started))
                started += 1
            await asyncio.sleep(0.005 if self._course.load.pace.concurrency.over_ns else _LOOK_S)  # type: ignore[union-attr]

    async def _caller(self, which: int) -> None:
        course = self._course
        ramps = course.load.pace.concurrency.over_ns > 0  # type: ignore[union-attr]
        due_ns = _now()
        while granted := course.grant(1, due_ns):
            reached = await self._call(which, granted[0], due_ns)
            if not reached:
                await asyncio.sleep(_PAUSE_S)
            due_ns = _now()
            if ramps and len(self._in_flight) > course.load.most_in_flight(due_ns - course.start_ns):
                return

    async def _open(self) -> None:
        """Start each call when it is due."""
        for numbers, due in self._course.arrivals():
            for number, due_ns in zip(numbers.tolist(), due.tolist(), strict=True):
                while (wait_ns := due_ns - _now()) > 0:
                    await asyncio.sleep(wait_ns / 1e9)
                while len(self._in_flight) >= _MOST_IN_FLIGHT:
                    self._freed.clear()
                    await self._freed.wait()
                if self._stop.is_set():
                    return
                self._start(self._call(number, number, due_ns))
                if not number % 64:
                    await asyncio.sleep(0)  # a client that is late must still hear the answers

    def _start(self, what: Any) -> None:
        task = asyncio.get_running_loop().create_task(what)
        self._in_flight.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        self._freed.set()
        if not task.cancelled():
            task.result()

    async def _call(self, which: int, number: int, due_ns: int) -> bool:
        """One call; whether the server was reached."""
        place = self._pool.place(number)
        sent_ns = _now()
        try:
            answer = await self._calls[which % len(self._calls)](self._pool.bodies[place], **self._how)
        except grpc.RpcError as error:
            failure = _failure(error)
            self._sink.failed(failure.status, failure.details, number, due_ns, sent_ns, _now())
            return failure.status != "UNAVAILABLE"
        except asyncio.CancelledError:
            self._sink.abandoned(1)
            raise
        self._batch.answered(number, due_ns, sent_ns, _now(), place, answer)
        return True
