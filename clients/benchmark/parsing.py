"""The words of the command line that are more than one number, and what is said of those that are none."""

from __future__ import annotations

import argparse
import math
from typing import NoReturn

from clients.benchmark.errors import BadInput
from clients.benchmark.judging.tolerance import Tolerance


class Parser(argparse.ArgumentParser):
    """Raises BadInput with one line; the usage of so many flags would hide it."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message}; `{self.prog} --help` lists the flags")


def shape(text: str) -> tuple[str, tuple[int, ...]]:
    """Name and sizes of NAME=2,3."""
    name, _, sizes = text.rpartition("=")
    try:
        shape = tuple(int(size) for size in sizes.split(",") if size)
    except ValueError:
        shape = (-1,)
    if not name or any(size < 0 for size in shape):
        raise argparse.ArgumentTypeError(f"expected NAME=SIZES of one row, such as image=28,28, got {text!r}")
    return name, shape


def tolerance(text: str) -> Tolerance:
    """One or two numbers."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in (1, 2) or not all(0 <= value < math.inf for value in values):
        raise argparse.ArgumentTypeError(f"expected a relative and perhaps an absolute tolerance, such as 1e-4,1e-6, got {text!r}")
    return Tolerance(*values)


def rate_or_ramp(text: str) -> float | tuple[float, float]:
    """One number, or both of FROM..TO."""
    start, dots, end = text.partition("..")
    try:
        return (float(start), float(end)) if dots else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected calls per second, or a ramp such as 100..5000, got {text!r}") from None


def count_or_ramp(text: str) -> int | tuple[int, int]:
    """One whole number, or both of FROM..TO."""
    start, dots, end = text.partition("..")
    try:
        return (int(start), int(end)) if dots else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a whole number, or a ramp such as 1..64, got {text!r}") from None
