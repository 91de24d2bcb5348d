"""One call, and many: what carries requests to a server. Each way has a module, loaded when it is used.

A transport knows bytes, connections and the clock. It knows nothing of tensors, percentiles or printing: it takes the
bodies from a pool, and tells a sink what happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Protocol

from clients.benchmark.interrupts import held_back
from clients.benchmark.load import Course, Stop
from clients.serving.tensors import Array

# Name -> module with a class `Client(endpoint)` that is a Transport.
TRANSPORTS = {
    "grpc": "clients.benchmark.transport.grpcio",
    "rest": "clients.benchmark.transport.rest",
    "wire": "clients.benchmark.transport.wire",
}


@dataclass(frozen=True)
class Tls:
    """What is known of the server and of this client, as PEM: None for the system's authorities, and for no client certificate."""

    authorities: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Endpoint:
    """One server: where, and how calls to it are made.

    `address` is HOST:PORT or unix:PATH. `metadata` goes with every call, a token among it. A call without an answer
    `deadline_s` seconds after it was sent has failed. `connections` are opened, and share the calls.
    """

    address: str
    deadline_s: float = 30.0
    connections: int = 1
    tls: Tls | None = None
    metadata: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    max_message_bytes: int | None = None
    compression: str | None = None
    # No load will have more than one call in flight: a transport may have a cheaper way for that.
    one_in_flight: bool = False


@dataclass(frozen=True)
class Failure:
    """A call that was not answered: gRPC's status by name, and the server's (or the transport's) own words."""

    status: str
    details: str

    def __str__(self) -> str:
        return f"{self.status}: {' '.join(self.details.split())}" if self.details else self.status


class Pool(Protocol):
    """The distinct requests of a run. The place of a request is its index among them."""

    # Rows of each distinct request: int64 [N].
    rows: Array
    # Encoded requests by place. The first `resident` are in memory, and may be framed ahead; the others are read from disk
    # ahead of their turn, so that they are best asked for once and in order.
    bodies: Sequence[bytes]
    resident: int

    def place(self, number: int) -> int:
        """The place of the request that the call of this number sends."""

    def places(self, numbers: Array) -> Array:
        """The same for many: int64 [k] of int64 [k]."""


class Sink(Protocol):
    """Hears what happened. Instants are int64 nanoseconds of time.perf_counter_ns; calls may be told in any order and in batches.

    Each call that was made is told once: by `answered`, `failed` or `abandoned`.
    """

    def answered(self, numbers: Array, due_ns: Array, sent_ns: Array, end_ns: Array, places: Array) -> None:
        """Calls that were answered: their numbers, instants and places, int64 [k] each."""

    def answer(self, place: int, body: bytes, count: int, first_ns: int) -> None:
        """`count` of the answers to the request at `place` were these bytes, the first of them at `first_ns`; tell equal ones together."""

    def failed(self, status: str, details: str, number: int, due_ns: int, sent_ns: int, end_ns: int) -> None:
        """A call that ended without an answer: the status by gRPC's name (NOT_SENT: the client could not even send it)."""

    def abandoned(self, count: int) -> None:
        """So many calls were in flight when the run was stopped."""


class Transport(Protocol):
    """A way to reach one server."""

    def call(self, method: str, body: bytes) -> bytes | Failure:
        """One call of a gRPC method (`/package.Service/Method`) with an encoded request; an encoded response, or the failure."""

    def connect(self, pool: Pool) -> None:
        """Open the connections and make ready what can be ahead of the clock."""

    def drive(self, course: Course, pool: Pool, sink: Sink, stop: Stop) -> None:
        """Make the calls of a load by Predict, and return when all of them have ended, or soon after `stop` is set.

        Latency is the business of the sink: a call that is sent late is told with the instant at which it was due. A server
        that goes away is tried again: a closed load waits 0.1 s after a call that could not be sent (UNAVAILABLE).
        """

    def close(self) -> None:
        """Close the connections."""


def connect(name: str, endpoint: Endpoint) -> Transport:
    """The transport of this name to a server; it connects when it is used."""
    with held_back():
        module = import_module(TRANSPORTS[name])
    client: Transport = module.Client(endpoint)
    return client
