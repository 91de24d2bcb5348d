"""A file under transfer, which goes on where it stopped: its bytes, and beside them which version of the source they are of."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from steps import contract, storage
from steps.fetch import disk, patience
from steps.progress import Progress

_MEGABYTE = 1e6


@dataclass(frozen=True)
class Opened:
    """A source's answer: bytes from `start` on. `validator` names the version of the whole; `read` raises patience.Trouble."""

    start: int
    total: int | None
    validator: str | None
    read: Callable[[int], bytes]
    close: Callable[[], object]


Open = Callable[[int, str | None], Opened]
"""Open a source at an offset, if it is still the version of the validator, else at 0."""


@dataclass(frozen=True)
class Partial:
    """The file `path`; its note (`path`.json) is written before its first byte, so bytes never lie under a wrong note."""

    path: Path

    @property
    def _note(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    def size(self) -> int:
        """How many bytes are here, 0 where nobody knows of what."""
        return self.path.stat().st_size if self._note.exists() and self.path.exists() else 0

    def note(self) -> tuple[str | None, int | None]:
        """The source's validator and its total size in bytes, as far as known."""
        try:
            note = json.loads(self._note.read_bytes())
        except (OSError, ValueError):
            return None, None
        return note["validator"], note["total"]

    def begin(self, validator: str | None, total: int | None) -> None:
        """Forget what is here and start anew."""
        self.discard()
        storage.write_whole(self._note, json.dumps({"validator": validator, "total": total}))
        self.path.touch()

    def complete(self) -> None:
        """Note that the bytes here are all."""
        storage.write_whole(self._note, json.dumps({"validator": self.note()[0], "total": self.size()}))

    def is_complete(self) -> bool:
        """Whether all bytes are here."""
        return self.path.exists() and self.note()[1] == self.size()

    def discard(self) -> None:
        """Remove the bytes, then the note."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)


def transfer(partial: Partial, open_at: Open, what: str) -> None:
    """Bring all bytes of a source here, going on where an earlier transfer stopped. Raises BadInput, Transient, OSError."""
    partial.path.parent.mkdir(parents=True, exist_ok=True)
    patience.persist(lambda: _attempt(partial, open_at, what), what)


def _attempt(partial: Partial, open_at: Open, what: str) -> None:
    if partial.is_complete():
        return
    validator, _ = partial.note()
    opened = open_at(partial.size() if validator else 0, validator)
    with contextlib.closing(opened):
        if opened.start == 0:
            partial.begin(opened.validator, opened.total)
        else:
            contract.log(f"{what}: going on at {opened.start:,} bytes")
        if opened.total is not None:
            disk.need(partial.path.parent, opened.total - opened.start, what)
        try:
            _append(partial, opened, Progress("download", opened.total and opened.total / _MEGABYTE, "MB"))
        except patience.Trouble as trouble:
            trouble.reached = partial.size()
            raise
    _check_size(partial, opened.total)
    partial.complete()


def _append(partial: Partial, opened: Opened, progress: Progress) -> None:
    done = opened.start
    with storage.naming(partial.path), open(partial.path, "ab", buffering=0) as file:
        while block := opened.read(disk.BLOCK_BYTES):
            written = 0
            while written < len(block):
                written += file.write(memoryview(block)[written:])
            done += len(block)
            progress.tell(done / _MEGABYTE)
    progress.end(done / _MEGABYTE)


def _check_size(partial: Partial, total: int | None) -> None:
    size = partial.size()
    if total is not None and size < total:
        raise patience.Trouble(f"the connection ended after {size:,} of {total:,} bytes", size)
    if total is not None and size > total:
        partial.discard()
        raise patience.Trouble(f"{size:,} bytes came, {total:,} were announced; starting over")
