"""Pods that run beside the steps after them, and end with the steps or the DAG that they are part of."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pipelines.language.errors import EvaluationError
from pipelines.local import requests, templates
from pipelines.local.calls import Ended
from pipelines.local.errors import Problem
from pipelines.local.nodes import Node

IP = "127.0.0.1"
Running = asyncio.Future[Ended]
_PROBED = ("httpGet", "tcpSocket")
_PAUSE_S = 0.2


class Daemons:
    """The daemons that run, by the id of the node that they are part of."""

    def __init__(self) -> None:
        self._running: dict[str, list[tuple[Node, Running]]] = {}

    async def begin(
        self, node: Node, template: Mapping[str, Any], pod: asyncio.Future[Ended], ended: Callable[[Node, Ended], None]
    ) -> bool:
        """Wait until a daemon is ready, and let it run; False where it ended before. `ended` hears of one that ends by itself."""
        self._running.setdefault(node.get("boundaryID", ""), []).append((node, pod))
        asks: asyncio.Future[None] = asyncio.ensure_future(_ready(template))
        both: list[asyncio.Future[Any]] = [pod, asks]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            asks.cancel()
        if pod.done():
            self._running[node.get("boundaryID", "")].remove((node, pod))
            return False
        pod.add_done_callback(lambda done: None if done.cancelled() else ended(node, outcome(done)))
        return True

    async def stop(self, boundary: str, stopped: Callable[[Node], object]) -> None:
        """End the daemons of a node, and wait until they have ended."""
        running = self._running.pop(boundary, [])
        left = [(node, pod) for node, pod in running if not pod.done()]
        for _, pod in left:
            pod.cancel()
        await asyncio.gather(*(pod for _, pod in left), return_exceptions=True)
        for node, _ in left:
            stopped(node)

    async def close(self) -> None:
        """End them all: the run is over, or interrupted."""
        for boundary in list(self._running):
            await self.stop(boundary, lambda _node: None)


def outcome(pod: Running) -> Ended:
    """How a daemon ended that nobody had stopped: a daemon that succeeds has failed to go on."""
    error = pod.exception()
    if error is not None:
        return Ended("Error", str(error))
    ended = pod.result()
    return Ended("Failed", ended.message, ended.outputs) if ended.phase == "Succeeded" else ended


def problems(template: Mapping[str, Any], path: str) -> Iterator[Problem]:
    """What of a daemon's readiness probe cannot be asked here."""
    for inner, container in templates.containers(template) if template.get("daemon") else ():
        probe = container.get("readinessProbe") or {}
        kind = next((kind for kind in _PROBED if kind in probe), None)
        if probe and (kind is None or not str((probe[kind] or {}).get("port", "")).isdigit()):
            yield Problem(f"{path}.{inner}.readinessProbe", "of a daemon, only httpGet and tcpSocket with a number as port can be asked")


async def _ready(template: Mapping[str, Any]) -> None:
    """Wait until every container that has a readiness probe passes it."""
    for _, container in templates.containers(template):
        probe = container.get("readinessProbe") or {}
        while probe and not await _passes(probe):
            await asyncio.sleep(_PAUSE_S)


async def _passes(probe: Mapping[str, Any]) -> bool:
    if "tcpSocket" in probe:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(IP, int(probe["tcpSocket"]["port"]))
            writer.close()
            return True
        return False
    get = probe["httpGet"]
    url = f"{str(get.get('scheme') or 'http').lower()}://{IP}:{get['port']}/{str(get.get('path') or '').lstrip('/')}"
    try:
        return 200 <= (await requests.answer({"url": url, "timeoutSeconds": 1, "insecureSkipVerify": True})).code < 400
    except EvaluationError:
        return False
