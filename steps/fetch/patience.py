"""Waiting within bounds: for a network that fails, and for another process that does the same work."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from steps import contract, storage

T = TypeVar("T")

RETRY_BOUND_S = 90.0  # without a byte of progress, before the step gives up
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 15.0
LOCK_BOUND_S = 3600.0
_LOCK_POLL_S = 0.2


class Trouble(Exception):
    """A failure that may mend itself. `reached` is how many bytes the attempt had in the end."""

    def __init__(self, reason: str, reached: int = 0) -> None:
        super().__init__(reason)
        self.reached = reached


def persist(attempt: Callable[[], T], what: str) -> T:
    """The result of an attempt, made again after Trouble, with growing waits between.

    Raises contract.Transient when RETRY_BOUND_S have gone by without getting further than ever before.
    """
    furthest, wait_s = 0, FIRST_WAIT_S
    since = time.monotonic()
    while True:
        try:
            return attempt()
        except Trouble as trouble:
            if trouble.reached > furthest:
                furthest, wait_s, since = trouble.reached, FIRST_WAIT_S, time.monotonic()
            tried_s = time.monotonic() - since
            if tried_s + wait_s > RETRY_BOUND_S:
                raise contract.Transient(
                    f"{what}: {trouble}; tried for {tried_s:.0f} s without getting further; check the network and the address, "
                    "another start continues where this one stopped"
                ) from None
            contract.log(f"{what}: {trouble}; trying again in {wait_s:.1f} s")
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)


@contextlib.contextmanager
def lock(path: Path, what: str) -> Iterator[None]:
    """Hold a lock file, waiting for the process that holds it. Raises contract.Transient after LOCK_BOUND_S."""
    until = time.monotonic() + LOCK_BOUND_S
    waited = False
    while True:
        with storage.lock(path) as descriptor:
            if descriptor is not None:
                yield
                return
        if time.monotonic() > until:
            raise contract.Transient(f"{what}: another process has been busy with it for {LOCK_BOUND_S:.0f} s; it holds {path}")
        if not waited:
            contract.log(f"{what}: another process is busy with it; waiting")
            waited = True
        time.sleep(_LOCK_POLL_S)
