"""How figures are written for people."""

from __future__ import annotations

import math


def figure(value: float) -> str:
    """Three significant digits, whole numbers with separators."""
    if not math.isfinite(value):
        return "unbounded"
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}".rstrip("0").rstrip(".") if abs(value) >= 1e-4 else f"{value:.2g}"


def ms(value: float) -> str:
    """Milliseconds."""
    return f"{value:.3g} ms" if value < 1000 else f"{value:,.0f} ms"


def between(low: float | None, high: float | None) -> str:
    """The bounds of an interval, `?` where it has none."""
    return f"[{'?' if low is None else _short(low)}, {'?' if high is None else _short(high)}]"


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
