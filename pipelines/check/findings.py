"""What is found: problems, which know a path in a document, and findings, which know the file and the line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """What is wrong at a field of a document. `offset` counts characters inside a text."""

    rule: str
    path: Path
    message: str
    fix: str
    offset: int = 0


@dataclass(frozen=True, order=True)
class Finding:
    """What is wrong in a file; lines and columns count from 1."""

    file: str
    line: int
    column: int
    rule: str
    path: str
    message: str
    fix: str
    severity: str


class UnreadableInput(Exception):
    """A file that cannot be read, or is no YAML."""

    def __init__(self, file: str, line: int, message: str) -> None:
        self.file, self.line, self.message = file, line, message
        super().__init__(f"{file}:{line}: {message}")


def shown(path: Path) -> str:
    """A path as people write it: spec.templates[2].container."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
