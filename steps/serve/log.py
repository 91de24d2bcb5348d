"""The server's lines for people, on stderr, each with the time."""

from __future__ import annotations

import time

from steps import contract


def log(line: str) -> None:
    """One line, with the time of day in front."""
    contract.log(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}")
