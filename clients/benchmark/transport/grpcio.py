"""gRPC by grpcio: the reference. One call in flight by its blocking calls, which cost least; more by its asyncio ones."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import grpc

from clients.benchmark.load import Course, Stop
from clients.benchmark.transport import Endpoint, Failure, Pool, Sink
from clients.benchmark.transport.telling import Batch
from clients.serving import calls

_now = time.perf_counter_ns
_LOOK_S = 0.05
# A closed load waits so long after a call that could not be sent, as in asynchronous.py, which costs more to load.
_PAUSE_S = 0.1
# Connections that are not open by then are opened when they are used.
READY_S = 5.0


class Client:
    """Calls to one server by grpcio. See transport.Transport."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._channel: Any = None
        self._many: Any = None

    def call(self, method: str, body: bytes) -> bytes | Failure:
        """One call, outside the clock."""
        try:
            answer: bytes = self._one().unary_unary(method)(body, **how(self._endpoint))
        except grpc.RpcError as error:
            return failure_of(error)
        return answer

    def connect(self, pool: Pool) -> None:
        """Open the connections; grpcio frames each request when it sends it."""
        del pool
        if not self._endpoint.one_in_flight:
            from clients.benchmark.transport.grpcio_many import Many

            self._many = Many(self._endpoint)

    def drive(self, course: Course, pool: Pool, sink: Sink, stop: Stop) -> None:
        """Make the calls of a load."""
        if self._many is not None:
            self._many.drive(course, pool, sink, stop)
            return
        # In a thread, so that what the caller asks for meanwhile is heard: closing the channel ends the call in flight.
        with ThreadPoolExecutor(1) as thread:
            calling = thread.submit(self._call_in_turn, course, pool, sink, stop)
            while not wait([calling], _LOOK_S).done:
                if stop.is_set():
                    self.close()
        calling.result()

    def close(self) -> None:
        """Close the connections."""
        if self._many is not None:
            self._many.close()
            self._many = None
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _one(self) -> Any:
        if self._channel is None:
            self._channel = channel(grpc, self._endpoint)
        return self._channel

    def _call_in_turn(self, course: Course, pool: Pool, sink: Sink, stop: Stop) -> None:
        predict, options = self._one().unary_unary(calls.PREDICT), how(self._endpoint)
        batch = Batch(sink)
        due_ns = _now()
        while not stop.is_set() and (granted := course.grant(1, due_ns)):
            number = granted[0]
            place = pool.place(number)
            body = pool.bodies[place]
            sent_ns = _now()
            try:
                answer = predict(body, **options)
            except (grpc.RpcError, ValueError) as error:
                if stop.is_set():  # the channel was closed, at which grpcio raises either
                    sink.abandoned(1)
                    break
                if isinstance(error, ValueError):
                    raise
                failure = failure_of(error)
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


def channel(kind: Any, endpoint: Endpoint) -> Any:
    """A channel of grpc or of grpc.aio."""
    options = [
        ("grpc.max_receive_message_length", endpoint.max_message_bytes or -1),
        ("grpc.max_send_message_length", endpoint.max_message_bytes or -1),
        # The server is measured, not a proxy between; and not a connection that another run in this process has left.
        ("grpc.enable_http_proxy", 0),
        ("grpc.use_local_subchannel_pool", 1),
        # A call is sent once: one that the library sent again by itself would be two for the server.
        ("grpc.enable_retries", 0),
        # A server that comes back is found soon.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
    ]
    compression = grpc.Compression.Gzip if endpoint.compression == "gzip" else None
    if endpoint.tls is None:
        return kind.insecure_channel(endpoint.address, options=options, compression=compression)
    tls = endpoint.tls
    credentials = grpc.ssl_channel_credentials(tls.authorities, tls.key, tls.certificate)
    return kind.secure_channel(endpoint.address, credentials, options=options, compression=compression)


def how(endpoint: Endpoint) -> dict[str, Any]:
    """What goes with each call."""
    return {"timeout": endpoint.deadline_s, "metadata": endpoint.metadata or None}


def failure_of(error: Any) -> Failure:
    """The failure that an error of grpc or of grpc.aio means."""
    return Failure(error.code().name, error.details() or "")
