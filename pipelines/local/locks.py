"""Mutexes and semaphores of templates: as many nodes of a run hold one as it allows, the others wait for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from pipelines.language import gotext
from pipelines.language.errors import EvaluationError
from pipelines.local import configs, turns
from pipelines.local.references import Objects
from pipelines.local.variables import NAMESPACE


class TooLate(Exception):
    """A lock was not free before the workflow's deadline."""


def wanted(template: Mapping[str, Any], objects: Objects) -> dict[str, int]:
    """The locks that a template needs, by Argo's names, each with how many may hold it. Raises EvaluationError."""
    section = template.get("synchronization") or {}
    found = {f"{one.get('namespace') or NAMESPACE}/Mutex/{one.get('name', '')}": 1 for one in section.get("mutexes") or []}
    for one in section.get("semaphores") or []:
        reference = one["configMapKeyRef"]
        name = f"{one.get('namespace') or NAMESPACE}/ConfigMap/{reference.get('name', '')}/{reference['key']}"
        found[name] = gotext.whole_number(configs.value_of(objects, "ConfigMap", {**reference, "optional": False}) or "", name)
    return found


class Locks:
    """The locks of one run."""

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()
        self._changed = asyncio.Condition()

    @contextlib.asynccontextmanager
    async def held(self, limits: Mapping[str, int], waiting: Callable[[str, str], None], timeout_s: float | None) -> AsyncIterator[None]:
        """Hold all locks while the block runs; `waiting` is told the name of one that is not free, and a message. Raises TooLate."""
        if not limits:
            yield
            return
        async with self._changed:
            if busy := self._busy(limits):
                free = limits[busy] - self._held[busy]
                turns.waits()
                waiting(busy, f"Waiting for {busy} lock. Lock status: {free}/{limits[busy]}")
            try:
                await asyncio.wait_for(self._changed.wait_for(lambda: not self._busy(limits)), timeout_s)
            except TimeoutError:
                raise TooLate from None
            self._held.update(limits.keys())
        try:
            yield
        finally:
            self._held.subtract(limits.keys())
            async with self._changed:
                self._changed.notify_all()

    def _busy(self, limits: Mapping[str, int]) -> str:
        return next((name for name, limit in limits.items() if self._held[name] >= limit), "")


def check(template: Mapping[str, Any], objects: Objects) -> None:
    """Raise EvaluationError for a lock whose limit is not known; names that are known later only are left alone."""
    known = [one for one in (template.get("synchronization") or {}).get("semaphores") or [] if "{{" not in gotext.json_text(one)]
    for one in known:
        if "configMapKeyRef" not in one:
            raise EvaluationError("a semaphore needs a configMapKeyRef")
    wanted({"synchronization": {"semaphores": known}}, objects)
