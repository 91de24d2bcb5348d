"""download.json: what lies in a data folder and where it came from. A folder with a manifest is whole."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from steps import storage

NAME = "download.json"


@dataclass(frozen=True)
class Entry:
    """One file: its path in the folder, its size in bytes and its checksum."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """`sha256` is that of what was fetched (the archive, not its content). `best_accuracy` is known of synthetic data only."""

    url: str
    sha256: str
    files: tuple[Entry, ...]
    synthetic: bool
    best_accuracy: float | None


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest, the last file of its folder."""
    storage.write_whole(folder / NAME, json.dumps(dataclasses.asdict(manifest), indent=1) + "\n")


def read(folder: Path) -> Manifest | None:
    """The manifest of a folder; None where there is none that can be read."""
    try:
        content = json.loads((folder / NAME).read_bytes())
        files = tuple(Entry(**entry) for entry in content.pop("files"))
        return Manifest(**content, files=files)
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError, KeyError, AttributeError):
        return None


def is_whole(folder: Path) -> bool:
    """Whether a folder has a manifest and each file of it in its size."""
    manifest = read(folder)
    return manifest is not None and all(_size(folder / entry.name) == entry.size for entry in manifest.files)


def digest(files: Iterable[tuple[str, str]]) -> str:
    """One checksum for several files: that of the lines `CHECKSUM  NAME`, sorted by name, as sha256sum prints them."""
    lines = (f"{sha256}  {name}\n" for name, sha256 in sorted(files))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1
