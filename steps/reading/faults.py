"""Where in a chunk the first fault is, and what a person has to know about it. Slow and exact: it runs once, at the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from steps import contract
from steps.models.formats import Format
from steps.reading import numbers, quoting
from steps.reading.lines import Chunk

_LONGEST_SHOWN = 60


def find(path: Path, chunk: Chunk, format_: Format, cause: str) -> contract.BadInput:
    """The error for the first fault of a chunk; `cause` is what the fast reader said."""
    fault = _byte_fault(path, chunk)
    if fault:
        return fault
    for line, values in _records(chunk, format_):
        found = _record_fault(values, format_)
        if found:
            where, expected, got = found
            hint = _header_hint(line, values, format_) or (_classes_hint(chunk, format_) if where.endswith("(the label): ") else "")
            return contract.BadInput(f"{path}:{line}: {where}expected {expected}, got {got}{hint}; mend the file, then run again")
    last = chunk.first_line + chunk.data.count(b"\n")
    return contract.BadInput(
        f"{path}:{chunk.first_line}: expected rows of {format_.name} data, got something else up to line {last}: {cause}"
    )


def _byte_fault(path: Path, chunk: Chunk) -> contract.BadInput | None:
    place = chunk.data.find(b"\0")
    got, advice = "a NUL byte", "is the file damaged, or not in UTF-8?"
    if place < 0:
        try:
            chunk.data.decode()
        except UnicodeDecodeError as error:
            place = error.start
            got, advice = f"byte {chunk.data[place]:#04x}", "convert the file to UTF-8"
        else:
            return None
    return contract.BadInput(f"{path}:{_line_at(chunk, place)}: expected UTF-8 text, got {got}{_column_at(chunk, place)}; {advice}")


def _line_at(chunk: Chunk, place: int) -> int:
    return chunk.first_line + chunk.data.count(b"\n", 0, place)


def _column_at(chunk: Chunk, place: int) -> str:
    start = chunk.data.rfind(b"\n", 0, place)
    return f" at place {place - start} of the line"


def _records(chunk: Chunk, format_: Format) -> Iterator[tuple[int, list[str]]]:
    """Each record that is not empty, with the number of its first line."""
    text = chunk.data.decode()
    if not format_.quoted:
        for number, line in enumerate(text.split("\n"), chunk.first_line):
            if line.removesuffix("\r"):
                yield number, line.removesuffix("\r").split(format_.delimiter)
        return
    for before, values in quoting.records(text, format_.delimiter):
        if values:
            yield chunk.first_line + before, values


def _record_fault(values: list[str], format_: Format) -> tuple[str, str, str] | None:
    """What is wrong with a record: where, what was expected, what came. None where nothing is."""
    if len(values) != len(format_.file_columns):
        return "", f"{len(format_.file_columns)} columns cut by {format_.delimiter!r}", f"{len(values)}"
    named = dict(zip(format_.file_columns, values, strict=True))
    for column in format_.columns:
        text = named[column.name]
        if column.kind == "number" and not _is_blank(text, format_) and not numbers.is_number(text):
            return f"column {column.name}: ", numbers.EXPECTED, _shown(text)
    label = clean_label(named[format_.label], format_)
    if format_.classes is not None and label not in format_.classes:
        return f"column {format_.label} (the label): ", " or ".join(format_.classes), _shown(label) if label else "nothing"
    return None


def clean_label(text: str, format_: Format) -> str:
    """A label's text as the class is called."""
    text = text.strip() if format_.trim else text
    return text.removesuffix(format_.label_end)


def _is_blank(text: str, format_: Format) -> bool:
    text = text.strip(" ") if format_.trim else text
    return text == "" or ("number" in format_.blanks_in and text in format_.blanks)


def _header_hint(line: int, values: list[str], format_: Format) -> str:
    if line == 1 and not format_.header and values and all(value.strip() and not numbers.is_number(value) for value in values):
        return (
            f" (a header, where {format_.name} data has none: {_shown(','.join(values))}); remove the first line, or set DATA_FORMAT to csv"
        )
    return ""


def _classes_hint(chunk: Chunk, format_: Format) -> str:
    place, width = format_.file_columns.index(format_.label), len(format_.file_columns)
    found = sorted({clean_label(values[place], format_) for _, values in _records(chunk, format_) if len(values) == width} - {""})
    if len(found) < 3:
        return ""
    last = chunk.first_line + chunk.data.rstrip().count(b"\n")
    shown = ", ".join(found[:5]) + (", ..." if len(found) > 5 else "")
    return f" ({len(found)} classes found in lines {chunk.first_line} to {last}: {shown}; two are supported)"


def _shown(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "...")
