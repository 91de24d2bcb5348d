"""Who comes first among siblings: each begins when the one before has ended, or has come to where it waits for the world.

Argo's controller goes through a workflow in one order, and in each template as deep as it can without waiting. What a step
does before its first wait (a condition that cannot be evaluated, a call that fails at once) is therefore known before its
next sibling begins, and decides whether that one begins at all.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

_WAITS: contextvars.ContextVar[asyncio.Event | None] = contextvars.ContextVar("waits", default=None)


def waits() -> None:
    """Say that the work at hand waits from here on, so that its next sibling may begin."""
    event = _WAITS.get()
    if event is not None:
        event.set()


def begin(
    work: Coroutine[Any, Any, Any], create: Callable[..., asyncio.Task[Any]] = asyncio.create_task
) -> tuple[asyncio.Task[Any], asyncio.Event]:
    """Start work as a task, with what tells that it has ended or waits."""
    event = asyncio.Event()
    context = contextvars.copy_context()
    context.run(_WAITS.set, event)
    task = create(work, context=context)
    task.add_done_callback(lambda _: event.set())
    return task, event


async def together(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run all of it to the end of the last, each begun in its turn."""
    tasks = []
    async with asyncio.TaskGroup() as group:
        for one in work:
            task, event = begin(one, group.create_task)
            await event.wait()
            tasks.append(task)
        if not all(task.done() for task in tasks):
            waits()
