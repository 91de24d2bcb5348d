"""A recorded schedule: a text file with the second of each call, one in a line, counted from any instant."""

from __future__ import annotations

import math
from pathlib import Path

from clients.benchmark.errors import BadInput


def read_schedule(path: Path) -> tuple[float, ...]:
    """The seconds of a schedule, from its first call. Raises BadInput by line for what is no time, or goes back."""
    seconds: list[float] = []
    try:
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    seconds.append(_second(path, number, line.strip(), seconds))
    except OSError as error:
        raise BadInput(f"--schedule: {path}: expected a file that can be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadInput(f"--schedule: {path}: expected seconds, one in a line, got what is not text") from None
    if not seconds:
        raise BadInput(f"--schedule: {path}: expected seconds, one in a line, but the file is empty")
    return tuple(second - seconds[0] for second in seconds)


def _second(path: Path, number: int, text: str, before: list[float]) -> float:
    try:
        second = float(text)
    except ValueError:
        second = math.nan
    if not math.isfinite(second):
        raise BadInput(f"--schedule: {path}, line {number}: expected seconds, such as 0.25, got {text!r}")
    if before and second < before[-1]:
        raise BadInput(f"--schedule: {path}, line {number}: expected {before[-1]:g} or later, as in the line before, got {text}")
    return second
