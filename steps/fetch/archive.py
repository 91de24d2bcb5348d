"""zip, tar, tar.gz and gz unpacked into a folder, nothing outside it. What a file is, its content says; its name must agree."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import re
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from steps import contract, storage
from steps.fetch import disk, manifest

# Text shrinks 3 to 20 times; what claims far more is made to fill the disk.
MAX_RATIO, RATIO_FLOOR_BYTES = 250, 64 << 20
MAX_ENTRIES = 100_000
_SUFFIX = re.compile(r"\.(zip|tgz|tar\.gz|tar|gz)$", re.IGNORECASE)
_KIND_OF_SUFFIX = {".zip": ("zip",), ".tgz": ("tar.gz",), ".tar.gz": ("tar.gz",), ".tar": ("tar",), ".gz": ("gz", "tar.gz")}
_TAR_MAGIC_AT, _TAR_MAGIC = 257, b"ustar"
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    struct.error,
    NotImplementedError,
    UnicodeDecodeError,
    ValueError,
    OverflowError,
)

Reader = Any  # a binary file to read; GzipFile is no IO[bytes] to the types


@dataclass
class Budget:
    """How many bytes may still be unpacked."""

    archive: str
    left: int
    reason: str

    def take(self, size: int) -> None:
        """Count bytes. Raises BadInput where they are too many."""
        self.left -= size
        if self.left < 0:
            raise contract.BadInput(f"{self.archive}: its content is larger than {self.reason}; nothing was unpacked")


def place(path: Path, name: str, into: Path, *, ours: bool) -> list[manifest.Entry]:
    """Unpack the file called `name`, or take it as it is (moved where it is `ours`), into a folder; what lies there then.

    Raises BadInput for a damaged archive, and for entries that would land outside the folder or are no plain files.
    """
    with storage.naming(path):
        kind = _kind(path, name)
        if kind == "plain":
            return [_take(path, _inside(name, name), into, ours=ours)]
        return _unpack(path, name, kind, into)


def _unpack(path: Path, name: str, kind: str, into: Path) -> list[manifest.Entry]:
    size, free = path.stat().st_size, disk.free_bytes(into)
    by_ratio = max(MAX_RATIO * size, RATIO_FLOOR_BYTES)
    reason = f"the {free:,} bytes free at {into}" if free < by_ratio else f"{MAX_RATIO} times the archive, which no data set is"
    budget = Budget(name, min(free, by_ratio), reason)
    readers = {"zip": _zip_entries, "tar": _tar_entries, "tar.gz": _tar_gz_entries, "gz": _gz_entries}
    entries: list[manifest.Entry] = []
    with _damage(name):
        for entry_name, source in readers[kind](path, name, budget):
            if len(entries) == MAX_ENTRIES:
                raise contract.BadInput(f"{name}: expected at most {MAX_ENTRIES:,} files in an archive, found more")
            entries.append(_write(source, name, entry_name, into, budget))
    return entries


@contextlib.contextmanager
def _damage(name: str) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # zipfile's word for an encrypted entry
        raise contract.BadInput(f"{name}: cannot be unpacked: {error}") from None
    except _DAMAGE as error:
        raise contract.BadInput(
            f"{name}: expected a whole archive, got one that is truncated or damaged ({error or type(error).__name__}); "
            "fetch or pack it anew, and check it against its checksum"
        ) from None


def _kind(path: Path, name: str) -> str:
    kind = _content_kind(path)
    suffix = _SUFFIX.search(name)
    if suffix and kind not in _KIND_OF_SUFFIX[suffix[0].lower()]:
        if suffix[0].lower() == ".tar" and tarfile.is_tarfile(path):
            return "tar"
        raise contract.BadInput(
            f"{name}: expected the content of a {suffix[0]} file, got {kind} content that starts with {_head(path, 16)!r}; "
            "is it an error page, or truncated?"
        )
    return kind


def _head(path: Path, size: int) -> bytes:
    with open(path, "rb") as file:
        return file.read(size)


def _content_kind(path: Path) -> str:
    head = _head(path, 512)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if head.startswith(b"\x1f\x8b"):
        try:
            with gzip.open(path) as file:
                head = file.read(512)
        except _DAMAGE:
            return "gz"
        return "tar.gz" if _is_tar(head) else "gz"
    return "tar" if _is_tar(head) else "plain"


def _is_tar(head: bytes) -> bool:
    return head[_TAR_MAGIC_AT:].startswith(_TAR_MAGIC)


def _zip_entries(path: Path, name: str, budget: Budget) -> Iterator[tuple[str, Reader]]:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        for member in members:
            mode = member.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(name, member.filename, "is a link or a device")
            _inside(name, member.filename)
        declared = sum(member.file_size for member in members)
        if declared > budget.left:
            budget.take(declared)
        for member in members:
            if not member.is_dir():
                with archive.open(member) as source:
                    yield member.filename, source


def _tar_entries(path: Path, name: str, _budget: Budget) -> Iterator[tuple[str, Reader]]:
    with open(path, "rb") as file:
        yield from _tar_stream(file, name)


def _tar_gz_entries(path: Path, name: str, budget: Budget) -> Iterator[tuple[str, Reader]]:
    with gzip.open(path) as file:
        yield from _tar_stream(file, name)
        while rest := file.read(disk.BLOCK_BYTES):  # to the end, where gzip's checksum is
            budget.take(len(rest))


def _tar_stream(file: Reader, name: str) -> Iterator[tuple[str, Reader]]:
    with tarfile.open(fileobj=file, mode="r|") as archive:
        for member in archive:
            if not (member.isreg() or member.isdir()):
                raise _refused(name, member.name, "is a link or a device")
            _inside(name, member.name)
            source = archive.extractfile(member)
            if source is not None:
                yield member.name, source


def _gz_entries(path: Path, name: str, _budget: Budget) -> Iterator[tuple[str, Reader]]:
    with gzip.open(path) as file:
        yield _SUFFIX.sub("", name), file


def _inside(archive: str, name: str) -> PurePosixPath:
    """The path of an entry, relative and without surprises. Raises BadInput for any other."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or re.match(r"[A-Za-z]:", name):
        raise _refused(archive, name, "points outside the folder")
    if path == PurePosixPath(manifest.NAME) or not name.isprintable() or len(name.encode()) > 1000:
        raise _refused(archive, name, "has a name that cannot be used here")
    return path


def _refused(archive: str, name: str, why: str) -> contract.BadInput:
    return contract.BadInput(f"{archive}: entry {name!r} {why}; expected plain files below the archive's own folder; nothing was unpacked")


def _write(source: Reader, archive: str, name: str, into: Path, budget: Budget) -> manifest.Entry:
    path = _inside(archive, name)
    target = into / path
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        file = open(target, "xb")  # noqa: SIM115
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise _refused(archive, name, "is there twice") from None
    digest, size = hashlib.sha256(), 0
    with storage.naming(target), file:
        while block := source.read(disk.BLOCK_BYTES):
            budget.take(len(block))
            digest.update(block)
            file.write(block)
            size += len(block)
    return manifest.Entry(str(path), size, digest.hexdigest())


def _take(path: Path, name: PurePosixPath, into: Path, *, ours: bool) -> manifest.Entry:
    target = into / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        raise contract.BadInput(f"{name}: expected files of different names, got two of this one")
    if ours:
        path.rename(target)
    else:
        disk.need(into, path.stat().st_size, str(name))
        with storage.naming(target):
            shutil.copyfile(path, target)
    return manifest.Entry(str(name), target.stat().st_size, disk.sha256(target))
