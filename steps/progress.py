"""How far a long work is: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time

_EVERY_S = 5.0


class Progress:
    """Tells on stderr how much is done. `note` is what stands behind the figures, such as the loss."""

    def __init__(self, what: str, total: float | None, unit: str = "") -> None:
        self._what, self._total, self._unit = what, total, unit
        self._terminal = sys.stderr.isatty()
        self._every_s = 0.2 if self._terminal else _EVERY_S
        self._told = time.monotonic()

    def tell(self, done: float, note: str = "") -> None:
        """Say how much is done, if the last word is old enough."""
        if time.monotonic() - self._told >= self._every_s:
            self._say(done, note)

    def end(self, done: float, note: str = "") -> None:
        """Say how much was done, at the end."""
        self._say(done, note)
        if self._terminal:
            print(file=sys.stderr, flush=True)

    def _say(self, done: float, note: str) -> None:
        self._told = time.monotonic()
        amount = f"{done:,.0f}" if self._total is None else f"{done:,.0f}/{self._total:,.0f}"
        share = "" if not self._total else f" {min(done / self._total, 1):4.0%}"
        line = f"{self._what}{share} {amount} {self._unit}".rstrip() + (f", {note}" if note else "")
        if self._terminal:
            bar = "" if not self._total else f" [{'#' * int(20 * min(done / self._total, 1)):20}]"
            print(f"\r\x1b[2K{line}{bar}", end="", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)
