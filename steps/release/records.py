"""The record of releases: a file of JSON lines that only grows, beside the repository."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

Action = Literal["publish", "reject", "roll", "deploy", "deploy-failed", "rollback", "rollback-failed"]


@dataclass(frozen=True)
class Record:
    """One line. `previous` is the version deployed before, `reason` says why something failed, `run` is the workflow's uid."""

    action: Action
    version: int | None
    previous: int | None = None
    reason: str = ""
    run: str = ""
    candidate: str = ""
    time: str = ""


def append(path: Path, record: Record) -> None:
    """Add a line and flush it to the disk. A part of a line that a kill left behind is closed first, so it spoils no other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = asdict(record) | {"time": record.time or datetime.now(UTC).isoformat(timespec="seconds")}
    line = json.dumps({name: values[name] for name in ("time", *(name for name in values if name != "time"))}) + "\n"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        content = (("\n" if torn else "") + line).encode()
        while content:
            content = content[os.write(descriptor, content) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(path: Path) -> list[Record]:
    """All whole lines, oldest first; none where there is no file. A line that a kill cut short is passed over."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    return [record for line in lines if (record := _parse(line)) is not None]


def _parse(line: str) -> Record | None:
    try:
        values = json.loads(line)
        return Record(**{name: values[name] for name in Record.__dataclass_fields__ if name in values})
    except (ValueError, TypeError):
        return None


def highest_version(records: Sequence[Record]) -> int:
    """The highest version ever recorded; 0 for none."""
    return max((record.version or 0 for record in records), default=0)


def deployed(records: Sequence[Record]) -> list[int]:
    """The versions in the order they were released, the one that should serve last: a rollback takes those above it away."""
    history: list[int] = []
    for record in records:
        if record.version is None or record.action not in ("deploy", "rollback"):
            continue
        if record.action == "rollback" and record.version in history:
            del history[history.index(record.version) + 1 :]
        elif not history or history[-1] != record.version:
            history.append(record.version)
    return history


def may_serve(records: Sequence[Record]) -> set[int]:
    """The versions that a server may have: the one released last, and any that was begun to be rolled out since."""
    versions: set[int] = set()
    for record in records:
        if record.version is not None and record.action in ("deploy", "rollback"):
            versions = {record.version}
        elif record.version is not None and record.action == "roll":
            versions.add(record.version)
    return versions


def version_before(records: Sequence[Record], serving: int | None, kept: Sequence[int]) -> int | None:
    """The version to go back to: released before the last one, and still in the repository. None where there is none.

    `serving` may be ahead of the records: a deploy that was killed just before it could record itself.
    """
    history = deployed(records)
    if serving is not None and serving not in history:
        history.append(serving)
    earlier = [version for version in history[:-1] if version in kept and version != history[-1]]
    return earlier[-1] if earlier else None
