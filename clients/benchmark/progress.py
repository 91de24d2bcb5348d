"""How far a run is."""

from __future__ import annotations

import sys
import time

from clients.benchmark.settings import Settings

_WIDTH = 30
# Reading is shown so often.
_EVERY_S = 0.2


def unheard(done: int) -> None:
    """For who does not want to hear how far it is."""
    del done


class Bar:
    """A bar on a terminal's standard error; elsewhere, nothing."""

    def __init__(self, settings: Settings) -> None:
        self._total = settings.calls
        self._duration_s = (settings.seconds or 0.0) + settings.warm_up_s
        self._shown = sys.stderr.isatty()
        self._drawn = False
        self._read_s = time.monotonic()
        # When the calls began.
        self._began_s: float | None = None

    def read(self, rows: int) -> None:
        """So many rows were read."""
        now_s = time.monotonic()
        if self._shown and now_s - self._read_s >= _EVERY_S:
            self._drawn = True
            self._read_s = now_s
            sys.stderr.write(f"\r{rows:,} rows read")
            sys.stderr.flush()

    def tell(self, done: int) -> None:
        """So many requests have ended."""
        if not self._shown:
            return
        self._drawn = True
        self._began_s = self._began_s or time.monotonic()
        total, share = "", (time.monotonic() - self._began_s) / self._duration_s if self._duration_s else 0.0
        if self._total is not None:
            total, share = f" of {self._total:,}", max(share, done / self._total)
        filled = min(int(_WIDTH * share), _WIDTH)
        sys.stderr.write(f"\r[{'#' * filled}{'.' * (_WIDTH - filled)}] {done:,}{total} requests")
        sys.stderr.flush()

    def clear(self) -> None:
        """Leave the line to what is printed next."""
        if self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
