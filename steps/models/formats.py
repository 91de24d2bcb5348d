"""What a data format is: which files of a folder it reads, and how their lines become columns. One file per format beside this one."""

from __future__ import annotations

import dataclasses
import keyword
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from steps import contract

Kind = Literal["number", "category"]
MANIFEST, SCHEMA = "download.json", "schema.json"
_SUFFIXES = {".csv", ".tsv", ".tab", ".txt", ".data", ".test", ""}
_NO_DATA = re.compile(r"(readme|license|licence|index|copying|notice)\b", re.IGNORECASE)
_COLUMN = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")


@dataclass(frozen=True)
class Column:
    """A feature. A number's blank is NaN, a category's the empty string."""

    name: str
    kind: Kind


@dataclass(frozen=True)
class Format:
    """How the lines of a data set read.

    `file_columns` names what a line holds, in order: the label, the features, and what is not used. `blanks` are the
    texts, besides nothing at all, that mean "no value" in `blanks_in` columns. `classes` is None where the label column itself shall tell.
    """

    name: str
    file_columns: tuple[str, ...]
    label: str
    classes: tuple[str, ...] | None
    columns: tuple[Column, ...]
    delimiter: str = ","
    header: bool = False
    quoted: bool = False
    blanks: tuple[str, ...] = ()
    blanks_in: tuple[Kind, ...] = ()
    trim: bool = False
    comment: str = ""
    label_end: str = ""

    def __post_init__(self) -> None:
        check_columns([column.name for column in self.columns])


@dataclass(frozen=True)
class Parts:
    """The files of a data set. Without evaluation files a tenth of the rows is held back."""

    train: tuple[Path, ...]
    evaluation: tuple[Path, ...]


def check_name(name: str) -> None:
    """Raise BadInput for a DATA_FORMAT that is none of the formats, nor the name of a schema file."""
    if name not in ("criteo", "census", "csv") and not name.endswith(".json"):
        raise contract.BadInput(f"DATA_FORMAT: expected criteo, census, csv, or the path of a schema file that ends in .json, got {name!r}")


def resolve(name: str, folder: Path, volume: Path) -> tuple[Format, Parts]:
    """The format that DATA_FORMAT names, with the files of the folder. Raises BadInput where they do not fit."""
    from steps.models import census, criteo, table

    check_name(name)
    if name == "criteo":
        return criteo.find(folder)
    if name == "census":
        return census.find(folder)
    return table.find(folder, _schema_file(name, folder, volume))


def _schema_file(name: str, folder: Path, volume: Path) -> Path | None:
    if name == "csv":
        beside = folder / SCHEMA
        return beside if beside.is_file() else None
    places = [base / name for base in (folder, volume)]
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        raise contract.BadInput(f"DATA_FORMAT: expected a schema file, found none at {' or '.join(map(str, dict.fromkeys(places)))}")
    return found


def check_columns(names: Sequence[str]) -> None:
    """Raise BadInput for features whose names cannot be inputs of a served model: they become names of a TensorFlow signature."""
    said = "expected names of letters, digits and _ that start with a letter"
    for name in names:
        if not _COLUMN.fullmatch(name) or keyword.iskeyword(name):
            raise contract.BadInput(
                f"column {name!r}: {said}, and are no word of Python, for they become the inputs of the served model; rename it"
            )
        if name.lower() == "label":
            raise contract.BadInput(f"column {name!r}: a feature cannot be called so, for the label's column is; rename it")
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            raise contract.BadInput(f"column {name!r}: expected names that differ in more than case, got it twice; rename one")
        seen.add(name.lower())
    if not names:
        raise contract.BadInput("columns: expected at least one besides the label, got none")


def files(folder: Path) -> list[Path]:
    """All files below a folder in order of their names, but for hidden ones and what macOS adds to archives."""
    found = []
    for path in sorted(folder.rglob("*")):
        inner = path.relative_to(folder).parts
        if path.is_file() and not any(part.startswith(".") or part == "__MACOSX" for part in inner):
            found.append(path)
    return found


def find_parts(folder: Path) -> Parts:
    """Files by their names: *train* and *eval*, *valid* or *test* where there are such, else all that look like data.

    Raises BadInput where none does. What is left aside is named in the log.
    """
    data = [path for path in files(folder) if path.suffix.lower() in _SUFFIXES and not _NO_DATA.match(path.name) and path.name != MANIFEST]
    if not data:
        listed = ", ".join(path.name for path in files(folder)[:5]) or "none"
        raise contract.BadInput(
            f"{folder}: expected data files ({', '.join(sorted(_SUFFIXES - {''}))}), got {listed}; unpack or rename them"
        )
    named = {word: _named(data, word) for word in ("train", "eval", "valid", "test")}
    marked = {path for paths in named.values() for path in paths}
    train = named["train"] or [path for path in data if path not in marked] or data
    evaluation = next((named[word] for word in ("eval", "valid", "test") if named[word] and named[word] != train and train != data), [])
    return Parts(tuple(train), tuple(evaluation))


def tell_unused(folder: Path, parts: Parts) -> None:
    """Name the data files that are not used."""
    used = {*parts.train, *parts.evaluation}
    for path in files(folder):
        if path not in used and path.suffix.lower() in _SUFFIXES and not _NO_DATA.match(path.name):
            contract.log(
                f"{path.name}: left aside; training reads {_names(parts.train)}, evaluation {_names(parts.evaluation) or 'a tenth of it'}"
            )


def described(format_: Format) -> dict[str, object]:
    """A format as data, for fingerprints."""
    return dataclasses.asdict(format_)


def first_line(path: Path) -> str:
    """The first line of a file, without its end. Raises BadInput for a file that is empty, or no text."""
    with open(path, "rb") as file:
        line = file.readline(1 << 20)
    if not line:
        raise contract.BadInput(f"{path}: expected lines of data, got an empty file")
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise contract.BadInput(
            f"{path}:1: expected UTF-8 text, got byte {line[error.start]:#04x} at place {error.start + 1}; convert the file"
        ) from None
    if "\0" in text:
        raise contract.BadInput(f"{path}:1: expected text, got a NUL byte at place {text.index(chr(0)) + 1}; is it a text file in UTF-8?")
    text = text.rstrip("\r\n")
    if "\r" in text:
        raise contract.BadInput(
            f"{path}:1: expected lines that end as on Unix or Windows, got a carriage return alone; convert the line ends"
        )
    return text


def _named(paths: Iterable[Path], word: str) -> list[Path]:
    pattern = re.compile(rf"(^|[^a-z]){word}(ing|uation|idation|ation)?([^a-z]|$)", re.IGNORECASE)
    return [path for path in paths if pattern.search(path.name)]


def _names(paths: Iterable[Path]) -> str:
    return ", ".join(path.name for path in paths)
