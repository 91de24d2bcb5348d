"""Reports on disk: there whole or not at all, and never the reason that a result is lost."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

from clients.benchmark.errors import BadInput


def check_writable(flag: str, path: Path) -> None:
    """Raises BadInput now for what would lose the report after the run."""
    folder = path.absolute().parent
    if path.is_dir() or not folder.is_dir() or not os.access(path if path.exists() else folder, os.W_OK):
        raise BadInput(f"{flag}: expected a file that can be written in a folder that exists, got {path}")


def write(flag: str, path: Path, content: str | Callable[[IO[bytes]], None]) -> None:
    """Write a regular file aside and rename it; write into anything else. `content` is the text, or writes it.

    Raises BadInput where it cannot be written.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.exists() and not target.is_file():
            with target.open("wb") as file:
                _fill(file, content)
            return
        aside = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            with aside.open("wb") as file:
                _fill(file, content)
                os.fsync(file.fileno())
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise BadInput(f"{flag}: the result could not be written to {path}: {error.strerror or error}") from None


def _fill(file: IO[bytes], content: str | Callable[[IO[bytes]], None]) -> None:
    if isinstance(content, str):
        file.write(content.encode())
    else:
        content(file)
    file.flush()
