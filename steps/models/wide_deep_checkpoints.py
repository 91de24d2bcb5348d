"""Checkpoints: a folder each, whole or not there, with the hash of every file in it; what is damaged is set aside, not believed."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steps import contract, storage

_KEEP = 3
_NAME = re.compile(r"step-(\d{8,})")
_ARRAYS, _STATE, _MANIFEST = "arrays.npz", "state.json", "manifest.json"


class Damaged(Exception):
    """A checkpoint that cannot be used, and why."""


@dataclass(frozen=True)
class Checkpoint:
    """All that training needs to go on: the arrays by name, and what else is known at that step."""

    name: str
    arrays: dict[str, NDArray[np.float32]]
    state: dict[str, Any]


def name_of(step: int) -> str:
    """The name of the checkpoint after `step` steps."""
    return f"step-{step:08}"


def save(folder: Path, step: int, arrays: Mapping[str, NDArray[np.float32]], state: Mapping[str, Any], identity: str) -> None:
    """Save a checkpoint, then remove all but the newest few. `identity` says what network and data the arrays belong to."""
    try:
        with storage.whole_folder(folder / name_of(step)) as aside:
            np.savez(aside / _ARRAYS, **arrays)  # type: ignore[arg-type]
            (aside / _STATE).write_text(json.dumps(state))
            files = {name: _sha256(aside / name) for name in (_ARRAYS, _STATE)}
            (aside / _MANIFEST).write_text(json.dumps({"format": 1, "identity": identity, "sha256": files}, indent=1))
    except OSError as error:
        error.filename = error.filename or str(folder)  # a full disk names no file
        raise
    for path in list(_newest_first(folder))[_KEEP:]:
        _remove(path)


def newest(folder: Path, identity: str) -> Checkpoint | None:
    """The newest good checkpoint of a folder, None where there is none. Damaged ones in front of it are renamed and named in the log."""
    for path in _newest_first(folder):
        try:
            return read(path, identity)
        except Damaged as damage:
            aside = path.with_name(f"damaged-{path.name}-{uuid.uuid4().hex[:8]}")
            path.rename(aside)
            contract.log(f"{path}: a damaged checkpoint ({damage}); set aside as {aside.name}, the one before it is used")
    return None


def read(path: Path, identity: str) -> Checkpoint:
    """The checkpoint at a path. Raises Damaged for one that is not whole, or of another network or data."""
    try:
        manifest = json.loads((path / _MANIFEST).read_bytes())
        if manifest["format"] != 1:
            raise Damaged(f"expected format 1, got {manifest['format']!r}")
        for name in (_ARRAYS, _STATE):
            if _sha256(path / name) != manifest["sha256"][name]:
                raise Damaged(f"{name} is not what was written")
        if manifest["identity"] != identity:
            raise Damaged("it belongs to another network, other data or other settings")
        with np.load(path / _ARRAYS, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        return Checkpoint(path.name, arrays, json.loads((path / _STATE).read_bytes()))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Damaged(f"{Path(error.filename).name}: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        raise Damaged(f"{type(error).__name__}: {error}") from None


def _newest_first(folder: Path) -> Iterator[Path]:
    found = [(int(match[1]), path) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]
    yield from (path for _, path in sorted(found, reverse=True))


def _remove(path: Path) -> None:
    """Remove a checkpoint; killed on the way, it leaves nothing that looks like one."""
    aside = path.with_name(f"{storage.ASIDE}{path.name}-{uuid.uuid4().hex[:8]}")
    path.rename(aside)
    shutil.rmtree(aside)


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
