"""The compiled WorkflowTemplates that are committed for kustomize, and whether they are stale."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pipelines.build import registry
from steps import storage

FOLDER = Path(__file__).parents[2] / "kustomize" / "base"


def path(name: str, folder: Path = FOLDER) -> Path:
    """The committed file of a pipeline."""
    return folder / f"{name}.yaml"


def stale(names: Iterable[str], folder: Path = FOLDER) -> list[Path]:
    """The files that are missing or differ from what their definitions compile to now, by a byte."""
    return [path(name, folder) for name in names if _committed(path(name, folder)) != _compiled(name)]


def write(names: Iterable[str], folder: Path = FOLDER) -> list[Path]:
    """Write the files anew; those that were stale."""
    names = list(names)
    changed = stale(names, folder)
    for name in names:
        storage.write_whole(path(name, folder), _compiled(name))
    return changed


def _committed(file: Path) -> str | None:
    return file.read_text() if file.exists() else None


def _compiled(name: str) -> str:
    from pipelines.build import writer

    return writer.compile(registry.load(name), "WorkflowTemplate")
