"""Files and folders that appear under their name only when whole, and locks. Standard library only."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

ASIDE = ".aside-"


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file aside, flush it to the disk, then give it its name: a reader sees the old file or the new one, never a part."""
    aside = path.with_name(f"{ASIDE}{uuid.uuid4().hex[:12]}-{path.name}")
    try:
        with naming(path), open(aside, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    flush(path.parent)


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, which gets its name when the block ends without an error, its files flushed to the disk first.

    Where a folder of that name has appeared meanwhile, that one stays and this one is dropped: steps are idempotent, so
    both hold the same. What a kill leaves aside is removed by `remove_asides`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{ASIDE}{uuid.uuid4().hex[:12]}-{path.name}")
    aside.mkdir()
    try:
        with naming(path):
            yield aside
        for folder, _, files in os.walk(aside):
            for name in files:
                flush(Path(folder, name))
            flush(Path(folder))
        try:
            os.rename(aside, path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        flush(path.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def remove_asides(folder: Path) -> None:
    """Remove what killed writers left in a folder. Only the folder's one writer may call it (see `lock`)."""
    for path in folder.glob(f"{ASIDE}*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def lock(path: Path) -> Iterator[int | None]:
    """Hold a lock file while the block runs: yields its file descriptor, or None where another process holds it.

    The lock goes with the process, however it ends. A child that inherits the descriptor (os.set_inheritable) keeps it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """An error that names no file, as that of a full disk, names this one."""
    try:
        yield
    except OSError as error:
        if error.errno and error.filename is None:
            error.filename = str(path)
        raise


def move(source: Path, target: Path) -> None:
    """Rename a file or folder, the names on the disk when this returns."""
    folders = (source.parent, target.parent)
    os.rename(source, target)
    for folder in folders:
        flush(folder)


def flush(path: Path) -> None:
    """Put a file's content or a folder's names on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
