"""Room on the disk, and errors of the disk that name the file."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from steps import contract

BLOCK_BYTES = 1 << 20


def free_bytes(folder: Path) -> int:
    """What is free where the folder lies, in bytes."""
    return shutil.disk_usage(folder).free


def need(folder: Path, size: int, what: str) -> None:
    """Raise BadInput where fewer than `size` bytes are free."""
    free = free_bytes(folder)
    if size > free:
        raise contract.BadInput(
            f"{folder}: the disk is too full for {what}: {size:,} bytes are needed, {free:,} are free; free some, then run again"
        )


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give an error of the operating system the name of the file that it is about: a failed write carries none."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def sha256(path: Path) -> str:
    """The checksum of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with naming(path), open(path, "rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
