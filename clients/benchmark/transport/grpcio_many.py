"""Several calls in flight by grpcio's asyncio calls: on one core they cost less than its threads and futures (benchmarks/client.py)."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import grpc.aio

from clients.benchmark.load import Course, Stop
from clients.benchmark.transport import Endpoint, Failure, Pool, Sink
from clients.benchmark.transport.asynchronous import Drive, Loop
from clients.benchmark.transport.grpcio import READY_S, channel, failure_of, how
from clients.serving import calls


class Many:
    """Open connections."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._loop = Loop()
        self._channels: list[Any] = []
        self._loop.run(self._connect())

    def drive(self, course: Course, pool: Pool, sink: Sink, stop: Stop) -> None:
        """Make the calls of a load."""
        methods = [opened.unary_unary(calls.PREDICT) for opened in self._channels]
        bodies, options = pool.bodies, how(self._endpoint)

        async def predict(which: int, place: int) -> bytes | Failure:
            try:
                answer: bytes = await methods[which % len(methods)](bodies[place], **options)
            except grpc.RpcError as error:
                return failure_of(error)
            return answer

        async def drive() -> None:
            await Drive(predict, course, pool, sink, stop).run()

        self._loop.run(drive())

    def close(self) -> None:
        """Close the connections, and end the loop."""
        self._loop.run(self._disconnect())
        self._loop.close()

    async def _connect(self) -> None:
        self._channels = [channel(grpc.aio, self._endpoint) for _ in range(self._endpoint.connections)]
        ready = [asyncio.ensure_future(opened.channel_ready()) for opened in self._channels]
        _, late = await asyncio.wait(ready, timeout=min(READY_S, self._endpoint.deadline_s))
        for task in late:
            task.cancel()

    async def _disconnect(self) -> None:
        for opened in self._channels:
            await opened.close(None)
