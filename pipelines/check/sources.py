"""Where YAML comes from: files, folders, standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.check.findings import UnreadableInput
from pipelines.check.reading import documents

_SUFFIXES = (".yaml", ".yml")
_KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
# Fields of a kustomization that name files which are parts of objects, not objects.
_PARTS = ("patches", "patchesStrategicMerge", "patchesJson6902", "replacements", "configurations", "transformers", "generators", "openapi")


@dataclass(frozen=True)
class Source:
    """A text and what to call it; instead of the text, why it cannot be read."""

    name: str
    text: str
    unreadable: str = ""


def sources(names: Iterable[str]) -> list[Source]:
    """The texts of files, of folders (all their YAML files, but parts of a kustomization), and of `-`, standard input."""
    return [source for name in names for source in _of(name)]


def _of(name: str) -> Iterator[Source]:
    if name == "-":
        yield _decoded("stdin", sys.stdin.buffer.read())
    elif Path(name).is_dir():
        parts = set(_parts_of_kustomizations(Path(name)))
        found = [path for path in _files(Path(name)) if path.suffix in _SUFFIXES and path not in parts]
        if not found:
            yield Source(name, "", "the folder holds no YAML files")
        yield from (_read(path) for path in found)
    else:
        yield _read(Path(name))


def _files(folder: Path) -> list[Path]:
    """The files of a folder, those in hidden folders (.venv, .git) left out."""
    found = sorted(folder.rglob("*"))
    return [path for path in found if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)]


def _read(path: Path) -> Source:
    try:
        return _decoded(str(path), path.read_bytes())
    except (OSError, ValueError) as error:
        return Source(str(path), "", f"cannot be read: {getattr(error, 'strerror', None) or error}")


def _decoded(name: str, content: bytes) -> Source:
    try:
        return Source(name, content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return Source(name, "", f"is no text in UTF-8: {error.reason} at byte {error.start}")


def _parts_of_kustomizations(folder: Path) -> Iterator[Path]:
    for file in (path for path in _files(folder) if path.name in _KUSTOMIZATIONS):
        yield file
        try:
            values = [document.value for document in documents(file.read_text(), str(file))]
        except (UnreadableInput, OSError, ValueError):
            continue
        for value in values:
            yield from (file.parent / name for name in _named_parts(value))


def _named_parts(kustomization: Any) -> Iterator[str]:
    for field in _PARTS:
        held = kustomization.get(field) if isinstance(kustomization, dict) else None
        for one in held if isinstance(held, list) else [held]:
            path = one.get("path") if isinstance(one, dict) else one
            if isinstance(path, str) and "\n" not in path:
                yield path
