"""A CSV file of the user's own: with a header, described by a small schema file, or inferred from header and content.

A schema file: {"label": "churn", "classes": ["no", "yes"], "columns": {"age": "number", "plan": "category"}}. `classes` may be
left out (the label column then tells); columns of the file that it does not name are not used, such as ids.

Inferred: the label is the column `label`, `target` or `class`; a column is a number where every value of the first rows that is
not blank reads as one, else a category; all columns are used.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from steps import contract
from steps.models.formats import SCHEMA, Column, Format, Kind, Parts, find_parts, first_line, tell_unused
from steps.reading import numbers, quoting

LABELS = ("label", "target", "class")
BLANKS = ("NA", "N/A", "NaN", "nan", "NULL", "null", "None", "?")
SAMPLE_BYTES = 4 << 20
_DELIMITERS = (",", ";", "\t", "|")


def find(folder: Path, schema_file: Path | None) -> tuple[Format, Parts]:
    """The format of the CSV files of a folder, and the files. Raises BadInput where header, schema and content do not fit."""
    parts = find_parts(folder)
    path = parts.train[0]
    delimiter, header = _header(path)
    if schema_file is None:
        label, classes, columns = _infer(path, delimiter, header)
    else:
        label, classes, columns = _read_schema(schema_file)
        _check_named(path, header, [label, *(column.name for column in columns)], schema_file)
    parts = _labelled(parts, header, label)
    tell_unused(folder, parts)
    try:
        return (
            Format(
                "csv", tuple(header), label, classes, columns, delimiter, header=True, quoted=True, blanks=BLANKS, blanks_in=("number",)
            ),
            parts,
        )
    except contract.BadInput as error:
        raise contract.BadInput(f"{schema_file or f'{path}:1'}: {error}") from None


def _header(path: Path) -> tuple[str, list[str]]:
    """The delimiter that cuts the first line into most columns, and their names."""
    line = first_line(path)
    cut = {delimiter: next((values for _, values in quoting.records(line, delimiter)), []) for delimiter in _DELIMITERS}
    delimiter = max(_DELIMITERS, key=lambda each: len(cut[each]))
    header = cut[delimiter]
    for name in header:
        if header.count(name) > 1:
            raise contract.BadInput(f"{path}:1: expected a header of different names, got {name!r} {header.count(name)} times; rename them")
    if len(header) < 2:
        raise contract.BadInput(f"{path}:1: expected a header of at least two columns, cut by one of , ; | or tab, got {line[:80]!r}")
    return delimiter, header


def _labelled(parts: Parts, header: Sequence[str], label: str) -> Parts:
    """The files, without those to evaluate that have no label column. Raises BadInput for any other difference of headers."""
    unlabelled = [path for path in parts.evaluation if _header(path)[1] == [name for name in header if name != label]]
    for path in unlabelled:
        contract.log(f"{path.name}: left aside, for it has no column {label}, the label")
    parts = Parts(parts.train, tuple(path for path in parts.evaluation if path not in unlabelled))
    for path in (*parts.train[1:], *parts.evaluation):
        found = _header(path)[1]
        if list(header) != found:
            first = parts.train[0].name
            raise contract.BadInput(f"{path}:1: expected the header of {first}, {', '.join(header)!r}, got {', '.join(found)!r}")
    return parts


def _check_named(path: Path, header: Sequence[str], names: Sequence[str], schema_file: Path) -> None:
    for name in names:
        if name not in header:
            raise contract.BadInput(f"{path}:1: expected the column {name!r} that {schema_file} names, got the columns {', '.join(header)}")


def _infer(path: Path, delimiter: str, header: Sequence[str]) -> tuple[str, None, tuple[Column, ...]]:
    label = next((name for wanted in LABELS for name in header if name.lower() == wanted), None)
    if label is None:
        raise contract.BadInput(
            f"{path}:1: expected a label column called {', '.join(LABELS[:-1])} or {LABELS[-1]}, got the columns {', '.join(header)}; "
            f"rename one, or write a schema file ({SCHEMA} beside the data), such as "
            f'{{"label": "{header[-1]}", "columns": {{"{header[0]}": "number"}}}}'
        )
    rows = _sample(path, delimiter)
    kinds = {name: _kind([row[place] for row in rows if len(row) == len(header)]) for place, name in enumerate(header)}
    return label, None, tuple(Column(name, kinds[name]) for name in header if name != label)


def _sample(path: Path, delimiter: str) -> list[list[str]]:
    with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
        text = file.read(SAMPLE_BYTES)
    rows = [values for _, values in quoting.records(text.replace("\0", ""), delimiter)]
    return rows[1:-1] if len(text) == SAMPLE_BYTES else rows[1:]


def _kind(values: Sequence[str]) -> Kind:
    present = [value for value in values if value != "" and value not in BLANKS]
    return "number" if present and all(numbers.is_number(value) for value in present) else "category"


def _read_schema(path: Path) -> tuple[str, tuple[str, ...] | None, tuple[Column, ...]]:
    example = '{"label": "churn", "classes": ["no", "yes"], "columns": {"age": "number", "plan": "category"}}'
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_no_twice)
    except ValueError as error:
        raise contract.BadInput(f"{path}: expected JSON such as {example}, got something else: {error}") from None
    wrong = _schema_fault(content)
    if wrong:
        raise contract.BadInput(f"{path}: {wrong}; a schema file reads {example}")
    classes = content.get("classes")
    columns = tuple(Column(name, kind) for name, kind in content["columns"].items())
    return content["label"], None if classes is None else tuple(classes), columns


def _no_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"a name is there twice among {', '.join(name for name, _ in pairs)}")
    return found


def _schema_fault(content: Any) -> str | None:
    """What is wrong with a schema file's content, None where nothing is."""
    if not isinstance(content, dict):
        return f"expected an object, got {type(content).__name__}"
    if unknown := set(content) - {"label", "classes", "columns"}:
        return f"expected label, classes and columns, got {', '.join(sorted(unknown))}"
    label, classes, columns = content.get("label"), content.get("classes"), content.get("columns")
    if not isinstance(label, str) or not label:
        return f"label: expected the name of a column, got {label!r}"
    if classes is not None and not (isinstance(classes, list) and all(isinstance(name, str) and name for name in classes)):
        return f"classes: expected two texts, got {classes!r}"
    if classes is not None and len(set(classes)) != 2:
        return f"classes: expected two different ones, {len(set(classes))} classes found: {', '.join(classes)}"
    if not isinstance(columns, dict) or not columns:
        return f"columns: expected names with their kinds, got {columns!r}"
    for name, kind in columns.items():
        if kind not in get_args(Kind):
            return f"columns: {name}: expected number or category, got {kind!r}"
    return f"columns: {label} is the label, and no feature" if label in columns else None
