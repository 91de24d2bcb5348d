"""How equal is equal."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tolerance:
    """Numbers are equal where |got - recorded| <= absolute + relative * |recorded|. Whole numbers and text must be the same."""

    relative: float = 1e-4
    absolute: float = 1e-6
