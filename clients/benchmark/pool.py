"""The distinct requests of a run, and which call sends which."""

from __future__ import annotations

from collections.abc import Sequence

from clients.serving.tensors import Array


class Pool:
    """Requests that are sent in their order, and from the first again after the last. See transport.Pool."""

    def __init__(self, bodies: Sequence[bytes], rows: Array) -> None:
        self.bodies = bodies
        self.rows = rows

    def place(self, number: int) -> int:
        """The place of the request that the call of this number sends."""
        return number % len(self.bodies)

    def places(self, numbers: Array) -> Array:
        """The same for many."""
        return numbers % len(self.bodies)
