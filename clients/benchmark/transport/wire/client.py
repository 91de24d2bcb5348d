"""The transport: one server, reached by lines of its own."""

from __future__ import annotations

import base64
import gc
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from clients.benchmark.load import Course, Stop
from clients.benchmark.transport import Endpoint, Failure, Pool, Sink
from clients.benchmark.transport.wire.addresses import Target
from clients.benchmark.transport.wire.connection import Answer, Refused, Untouched
from clients.benchmark.transport.wire.dispatch import Dispatcher
from clients.benchmark.transport.wire.drive import drive
from clients.benchmark.transport.wire.hpack import Field
from clients.benchmark.transport.wire.line import Line
from clients.benchmark.transport.wire.lines import Lines
from clients.benchmark.transport.wire.responses import COMPRESSIONS
from clients.benchmark.transport.wire.runs import Wheel, message
from clients.serving.calls import PREDICT

# Without a limit of the user's: what fits into a message, and into the memory of most machines.
_MAX_MESSAGE_BYTES = 1024 * 1024 * 1024
# Requests are framed ahead up to this, counted with their repetitions.
_MOST_FRAMED_BYTES = 512 * 1024 * 1024
_LEAST_CONNECT_S, _MOST_CONNECT_S = 1.0, 20.0


class Client:
    """A Transport. Lines are opened by `connect`, or by `drive`; each `call` has one of its own."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._lines: Lines | None = None
        self._wheel: Wheel | None = None
        self._target = Target(endpoint)

    def close(self) -> None:
        """Close the connections."""
        if self._lines is not None:
            self._lines.close()
            self._lines = None

    def call(self, method: str, body: bytes) -> bytes | Failure:
        """One call of a gRPC method with an encoded request; an encoded response, or the failure."""
        until_ns = time.perf_counter_ns() + int(self._endpoint.deadline_s * 1e9)
        lines = Lines(lambda: self._line(method, until_ns), 1)
        try:
            return self._call(lines, self._message(body), until_ns)
        finally:
            lines.close()

    def connect(self, pool: Pool) -> None:
        """Open the connections, and frame the requests that are in memory; the others are framed when they are sent."""
        lines = self._open()
        lines.connect()
        places, bodies = range(pool.resident), pool.bodies
        if places and sum(len(bodies[place]) for place in places) <= _MOST_FRAMED_BYTES:
            block = lines.places[0].connection.predicted_block()
            self._wheel = Wheel((self._message(bodies[place]) for place in places), block)
        gc.collect()

    def drive(self, course: Course, pool: Pool, sink: Sink, stop: Stop) -> None:
        """Make the calls of a load by Predict, and return when all of them have ended, or soon after `stop` is set."""
        deadline_ns = int(self._endpoint.deadline_s * 1e9)
        dispatcher = Dispatcher(pool, lambda place: self._message(pool.bodies[place]), self._wheel, deadline_ns, sink)
        try:
            with _undisturbed():
                drive(course, self._open(), dispatcher, deadline_ns, stop)
        finally:
            dispatcher.finish()
            if dispatcher.calls.under_way:
                self.close()
                sink.abandoned(dispatcher.calls.under_way)

    def _open(self) -> Lines:
        if self._lines is None:
            connect_s = min(max(self._endpoint.deadline_s, _LEAST_CONNECT_S), _MOST_CONNECT_S)
            self._lines = Lines(lambda: self._line(PREDICT, time.perf_counter_ns() + int(connect_s * 1e9)), self._endpoint.connections)
        return self._lines

    def _line(self, method: str, until_ns: int) -> Line:
        max_message_bytes = self._endpoint.max_message_bytes or _MAX_MESSAGE_BYTES
        return Line(self._target, self._fields(method), max_message_bytes, until_ns)

    def _fields(self, method: str) -> list[Field]:
        endpoint, target = self._endpoint, self._target
        fields = {
            ":method": "POST",
            ":scheme": target.scheme,
            ":path": method,
            ":authority": target.authority,
            "te": "trailers",
            "content-type": "application/grpc",
            "user-agent": "tiphys-bench",
            "grpc-accept-encoding": ",".join(("identity", *(name.decode() for name in COMPRESSIONS))),
            "grpc-timeout": _timeout(endpoint.deadline_s),
        }
        if endpoint.compression:
            fields["grpc-encoding"] = endpoint.compression
        return [(name.encode(), value.encode()) for name, value in (*fields.items(), *map(_metadatum, endpoint.metadata))]

    def _message(self, body: bytes) -> bytes:
        if not self._endpoint.compression:
            return message(body)
        bits = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}[self._endpoint.compression]
        compressor = zlib.compressobj(wbits=bits)
        return message(compressor.compress(body) + compressor.flush(), compressed=True)

    def _call(self, lines: Lines, request: bytes, until_ns: int) -> bytes | Failure:
        line = lines.places[0]
        called = False
        while time.perf_counter_ns() < until_ns:
            if line.connection.room and not called:
                line.call(0, request)
                line.flush()
                called = True
            for event in line.connection.events:
                match event:
                    case Answer(_, body):
                        return body
                    case Refused(_, refusal) | Untouched(_, refusal):
                        return Failure(*refusal)
            if line.connection.ended or (line.connection.leaving and not called):
                return Failure("UNAVAILABLE", line.connection.ended or line.connection.leaving)
            if line in lines.ready((until_ns - time.perf_counter_ns()) / 1e9):
                line.read()
                line.flush()
        return Failure("DEADLINE_EXCEEDED", f"{self._endpoint.address}: no answer within {self._endpoint.deadline_s:g} s")


def _metadatum(metadatum: tuple[str, str]) -> tuple[str, str]:
    """Names are in small letters; the values of names with -bin are binary, and go as base64."""
    name, value = metadatum
    name = name.lower()
    return name, base64.b64encode(value.encode()).decode().rstrip("=") if name.endswith("-bin") else value


def _timeout(deadline_s: float) -> str:
    """A deadline in the form of the header grpc-timeout: up to eight digits and a unit."""
    for unit, per_s in (("u", 1e6), ("m", 1e3), ("S", 1)):
        if deadline_s * per_s < 1e8:
            return f"{max(1, round(deadline_s * per_s))}{unit}"
    return "99999999S"


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Without the garbage collector, whose pauses would be measured: the loop makes no cycles."""
    was_enabled = gc.isenabled()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_enabled:
            gc.enable()
