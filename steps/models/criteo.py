"""The Criteo display-advertising data: label, 13 counts, 26 categories; comma or tab, blanks in any feature, no header."""

from __future__ import annotations

from pathlib import Path

from steps import contract
from steps.models.formats import Column, Format, Parts, find_parts, first_line, tell_unused

COLUMNS = (*(Column(f"I{number}", "number") for number in range(1, 14)), *(Column(f"C{number}", "category") for number in range(1, 27)))


def find(folder: Path) -> tuple[Format, Parts]:
    """The format with the delimiter of the files, and the files. A test file without labels, as published, is left aside."""
    parts = find_parts(folder)
    labelled = tuple(path for path in parts.evaluation if not _is_unlabelled(path))
    if labelled != parts.evaluation:
        contract.log(f"{parts.evaluation[0].name}: left aside, for its lines have {len(COLUMNS)} columns and so no label")
        parts = Parts(parts.train, labelled)
    tell_unused(folder, parts)
    delimiter = _delimiter(first_line(parts.train[0]))
    names = ("label", *(column.name for column in COLUMNS))
    return Format("criteo", names, "label", ("0", "1"), COLUMNS, delimiter=delimiter), parts


def _delimiter(line: str) -> str:
    return "\t" if line.count("\t") > line.count(",") else ","


def _is_unlabelled(path: Path) -> bool:
    line = first_line(path)
    return line.count(_delimiter(line)) + 1 == len(COLUMNS)
