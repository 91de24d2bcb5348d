"""YAML as values, each with its place in the file. Events are read, not nodes: PyYAML's C composer overflows on deep nesting."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from pipelines.check.findings import Path, Problem, UnreadableInput
from pipelines.language import scalars

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MOST_VALUES, _DEEPEST = 300_000, 100
_NO_MEMBERS: Mapping[str, Any] = {}
_STRING = "tag:yaml.org,2002:str"


@dataclass(slots=True)
class Place:
    """Where a value stands: its key (or, in a list, itself), counted from 1. Parts of maps and lists have places of their own."""

    line: int
    column: int
    text_line: int = 0
    style: str = ""
    # The words as written, where Kubernetes' reader takes them for a boolean.
    word: str = ""
    key_word: str = ""
    members: Mapping[str, Place] = field(default_factory=lambda: _NO_MEMBERS)
    items: Sequence[Place] = ()


@dataclass(frozen=True)
class Document:
    """One document of a file: its value, the places in it, and what is wrong with it as YAML."""

    file: str
    value: Any
    place: Place
    problems: tuple[Problem, ...] = ()
    prefix: Path = ()


def documents(text: str, file: str) -> Iterator[Document]:
    """The documents of a YAML text, those of a `List` one by one. Raises UnreadableInput at the first that is no YAML."""
    reading = _Reading(file, text)
    try:
        for document in reading.documents():
            yield from _unlisted(document)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or getattr(error, "reason", None) or error
        raise UnreadableInput(file, mark.line + 1 if mark else 1, f"no YAML: {' '.join(str(what).split())}") from None


def line_and_column(document: Document, path: Path, offset: int = 0) -> tuple[int, int]:
    """Where a path is in the file; for a path that is not there, where the nearest part of it is."""
    place, value = document.place, document.value
    for part in path[len(document.prefix) :]:
        inner = place.members.get(part) if isinstance(part, str) else place.items[part] if part < len(place.items) else None
        if inner is None:
            return place.line, place.column
        place, value = inner, _part(value, part)
    if offset and isinstance(value, str) and place.style == "|":
        return place.text_line + 1 + value.count("\n", 0, offset), 1
    return place.line, place.column


def _part(value: Any, part: str | int) -> Any:
    try:
        return value[part]
    except (KeyError, IndexError, TypeError):
        return None


def _unlisted(document: Document) -> Iterator[Document]:
    value = document.value
    listed = value.get("items") if isinstance(value, dict) and str(value.get("kind", "")).endswith("List") else None
    if not isinstance(listed, list):
        yield document
        return
    for number, (item, place) in enumerate(zip(listed, document.place.members["items"].items, strict=True)):
        yield Document(document.file, item, place, document.problems if number == 0 else (), ("items", number))


class _Reading:
    """Depth is bounded, and what an alias repeats counts each time: no bomb goes off. Fields that are null are left out."""

    def __init__(self, file: str, text: str) -> None:
        self._file, self._count = file, 0
        # yaml's own types do not tell scalars, aliases and starts apart.
        self._next: Callable[[], Any] = _LOADER(text).get_event
        self._anchors: dict[str, tuple[Any, Place, int]] = {}
        self._problems: list[Problem] = []

    def documents(self) -> Iterator[Document]:
        while not isinstance(event := self._next(), yaml.StreamEndEvent):
            if isinstance(event, yaml.DocumentStartEvent):
                self._anchors, self._problems, self._count = {}, [], 0
                value, place = self._value(self._next(), (), 0)
                yield Document(self._file, value, place, tuple(self._problems))

    def _value(self, event: Any, path: Path, depth: int) -> tuple[Any, Place]:
        before = self._count
        self._count += 1
        if depth > _DEEPEST:
            self._fail(event, f"nested more than {_DEEPEST} deep")
        mark: Any = event.start_mark
        place = Place(mark.line + 1, mark.column + 1, mark.line + 1)
        value: Any
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event, place)
        elif isinstance(event, yaml.MappingStartEvent):
            value = self._mapping(place, path, depth)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(place, path, depth)
        else:
            value = self._alias(event, place)
        if self._count > _MOST_VALUES:
            self._fail(event, f"more than {_MOST_VALUES} values in a document, aliases counted each time they are used")
        if event.anchor and not isinstance(event, yaml.AliasEvent):
            self._anchors[event.anchor] = (value, place, self._count - before)
        return value, place

    def _alias(self, event: Any, place: Place) -> Any:
        if event.anchor not in self._anchors:
            self._fail(event, f"the alias *{event.anchor} names nothing that is complete before it")
        value, named, count = self._anchors[event.anchor]
        self._count += count
        place.members, place.items, place.style, place.word = named.members, named.items, named.style, named.word
        return value

    def _sequence(self, place: Place, path: Path, depth: int) -> list[Any]:
        values: list[Any] = []
        items: list[Place] = []
        place.items = items
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            value, inner = self._value(event, (*path, len(values)), depth + 1)
            values.append(value)
            items.append(inner)
        return values

    def _mapping(self, place: Place, path: Path, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        members: dict[str, Place] = {}
        place.members = members
        event: Any
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                self._fail(event, "a key must be text")
            mark: Any = event.start_mark
            written = str(event.value)
            key = written if event.style else scalars.key(written)
            value, inner = self._value(self._next(), (*path, key), depth + 1)
            inner.line, inner.column = mark.line + 1, mark.column + 1
            inner.key_word = written if key != written else ""
            if key == "<<" and not event.style:
                self._merge(value, inner, merged, members)
                continue
            if key in result:
                fix = "keep one of the two"
                self._problems.append(
                    Problem("duplicate-key", (*path, key), f"the key {key!r} is there twice; only one of them counts", fix)
                )
            members[key] = inner
            result[key] = value
        return {key: value for key, value in {**merged, **result}.items() if value is not None}

    def _merge(self, value: Any, place: Place, merged: dict[str, Any], members: dict[str, Place]) -> None:
        for one, where in zip(value, place.items, strict=True) if isinstance(value, list) else [(value, place)]:
            for key, inner in one.items() if isinstance(one, dict) else ():
                merged.setdefault(key, inner)
                members.setdefault(key, where.members[key])

    def _scalar(self, event: Any, place: Place) -> Any:
        place.style = event.style or ""
        text = str(event.value)
        if event.tag and event.tag not in ("!", _STRING):
            self._fail(event, f"the tag {event.tag} is not known")
        if event.style or event.tag:
            return text
        try:
            value = scalars.plain(text)
        except OverflowError as error:
            self._fail(event, str(error))
        if isinstance(value, bool) and text.lower() not in ("true", "false"):
            place.word = text
        return value

    def _fail(self, event: Any, message: str) -> NoReturn:
        raise UnreadableInput(self._file, event.start_mark.line + 1, message)
