"""Room on the disk, and errors of the disk that name the file."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from steps import contract, storage

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


def sha256(path: Path) -> str:
    """The checksum of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with storage.naming(path), open(path, "rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
