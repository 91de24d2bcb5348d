"""The repository that a server reads: `MODEL_NAME/VERSION/saved_model.pb`, versions that only grow, whole or not there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from steps import storage

EXTRA = "assets.extra"
SAMPLE = f"{EXTRA}/sample.json"
WARM_UP = f"{EXTRA}/tf_serving_warmup_requests"
ORIGIN = f"{EXTRA}/release.json"
REASON = "reason.json"
# No part of a candidate's identity: what validation itself adds, and TensorFlow's fingerprint, which holds a random id.
_NOT_HASHED = (SAMPLE, WARM_UP, ORIGIN, REASON, "fingerprint.pb")


def versions(repository: Path) -> list[int]:
    """The published versions, lowest first."""
    if not repository.is_dir():
        return []
    return sorted(int(path.name) for path in repository.iterdir() if path.name.isascii() and path.name.isdecimal() and path.is_dir())


def next_version(present: Iterable[int], highest_recorded: int) -> int:
    """One more than any version ever used."""
    return 1 + max([highest_recorded, *present])


def to_remove(present: Sequence[int], keep: int, protected: Iterable[int]) -> list[int]:
    """The versions beyond the newest `keep`, but for the protected ones."""
    kept = {*sorted(present)[-keep:], *protected}
    return [version for version in sorted(present) if version not in kept]


def content_hash(folder: Path) -> str:
    """SHA-256 over names and content of a candidate's files: the same for the same model exported twice."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if name in _NOT_HASHED or path.name.startswith(storage.ASIDE):
            continue
        digest.update(f"{len(name)}:{name}:{path.stat().st_size}:".encode())
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def origin(version_folder: Path) -> dict[str, Any]:
    """Where a published version came from: run, candidate, content hash. Empty where nobody noted it."""
    return _read(version_folder / ORIGIN)


def published(repository: Path, run: str, content: str | None = None, candidate: str | None = None) -> int | None:
    """The newest version that a run published of this content, or of this candidate. None where it did not."""
    for version in reversed(versions(repository)):
        noted = origin(repository / str(version))
        if noted.get("run") == run and (
            (content and noted.get("content") == content) or (candidate and noted.get("candidate") == candidate)
        ):
            return version
    return None


def publish(candidate: Path, repository: Path, version: int, noted: dict[str, Any]) -> None:
    """Give a validated candidate its version by one rename, its origin noted in it first."""
    repository.mkdir(parents=True, exist_ok=True)
    (candidate / EXTRA).mkdir(exist_ok=True)
    storage.write_whole(candidate / ORIGIN, json.dumps(noted, indent=2) + "\n")
    storage.move(candidate, repository / str(version))


def reject(candidate: Path, rejected: Path, noted: dict[str, Any]) -> Path:
    """Move a refused candidate out of the way, the reason in it. Returns where it lies now."""
    rejected.mkdir(parents=True, exist_ok=True)
    storage.write_whole(candidate / REASON, json.dumps(noted, indent=2) + "\n")
    target, number = rejected / candidate.name, 1
    while target.exists():
        number += 1
        target = rejected / f"{candidate.name}.{number}"
    storage.move(candidate, target)
    return target


def rejection(rejected: Path, run: str, candidate: str) -> dict[str, Any] | None:
    """What was noted when a run's candidate was refused; None where it was not."""
    for path in sorted(rejected.glob(f"*/{REASON}")):
        noted = _read(path)
        if noted.get("run") == run and noted.get("candidate") == candidate:
            return noted
    return None


def remove(repository: Path, version: int) -> None:
    """Take a version away: out of sight by one rename, then from the disk."""
    aside = repository / f"{storage.ASIDE}{uuid.uuid4().hex[:12]}-{version}"
    os.rename(repository / str(version), aside)
    shutil.rmtree(aside, ignore_errors=True)


def _read(path: Path) -> dict[str, Any]:
    try:
        noted = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}
