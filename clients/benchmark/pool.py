"""The distinct requests of a run, and which call sends which."""

from __future__ import annotations

from collections.abc import Sequence

from clients.benchmark.data.spool import Spool, Streamed
from clients.serving.tensors import Array


class Pool:
    """Requests that are sent in their order, and from the first again after the last. See transport.Pool.

    Those of a spool stand for `bodies`, where there is one. To be closed.
    """

    def __init__(self, bodies: Sequence[bytes], rows: Array, spool: Spool | None = None) -> None:
        self._streamed = None if spool is None else Streamed(spool)
        self.bodies = bodies if self._streamed is None else self._streamed
        self.resident = len(bodies) if self._streamed is None else self._streamed.resident
        self.rows = rows

    def place(self, number: int) -> int:
        """The place of the request that the call of this number sends."""
        return number % len(self.rows)

    def places(self, numbers: Array) -> Array:
        """The same for many."""
        return numbers % len(self.rows)

    @property
    def waits(self) -> tuple[int, int]:
        """How many requests had to be waited for, and nanoseconds in all."""
        return (0, 0) if self._streamed is None else (self._streamed.waited, self._streamed.waited_ns)

    def close(self) -> None:
        """Read nothing more ahead."""
        if self._streamed is not None:
            self._streamed.close()
