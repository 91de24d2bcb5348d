"""Everything that is wrong with a workflow's fields, by the table: unknown names, wrong types, what is refused."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pipelines.local import pod_patch
from pipelines.local.errors import Problem
from pipelines.local.fields import FIELDS, Field

_SECTIONS: dict[str, dict[str, Field]] = {}
for _field in FIELDS:
    _SECTIONS.setdefault(_field.section, {})[_field.name] = _field


def of_fields(value: Any, section: str = "Workflow", path: str = "") -> Iterator[Problem]:
    """The problems of an object that a section of the table describes."""
    if not isinstance(value, dict):
        yield Problem(path or "the workflow", f"expected a map, got {_told(value)}")
        return
    known = _SECTIONS[section]
    for row in known.values():
        if row.required and value.get(row.name) is None:
            yield Problem(f"{path}.{row.name}".lstrip("."), "it is missing, and must be there")
    for name, inner in value.items():
        inner_path = f"{path}.{name}" if path else str(name)
        field = known.get(name)
        if field is None:
            yield Problem(inner_path, f"unknown field{_hint(name, known)}")
        elif field.verdict == "refused" and _is_set(inner):
            yield Problem(inner_path, f"not supported on one machine: {field.reason}")
        elif field.verdict == "honoured" and inner is not None:
            yield from _of_kind(inner, field.kind, inner_path)


def _hint(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if name in ("true", "false"):
        return "; Kubernetes reads a bare y, n, yes, no, on or off as a boolean: write the name in quotes"
    return f"; did you mean {near[0]}?" if near else ""


def ignored(value: Any, section: str = "Workflow", path: str = "") -> Iterator[Problem]:
    """The fields that are there and change nothing, each with the reason."""
    known = _SECTIONS[section]
    for name, inner in value.items():
        field = known[name]
        inner_path = f"{path}.{name}" if path else str(name)
        if field.verdict == "ignored":
            yield Problem(inner_path, field.reason)
        else:
            yield from _ignored_inside(inner, field.kind, inner_path)


def _ignored_inside(value: Any, kind: str, path: str) -> Iterator[Problem]:
    if kind.startswith("[") and isinstance(value, list):
        for place, item in enumerate(value):
            yield from _ignored_inside(item, kind[1:-1], f"{path}[{place}]")
    elif kind in _SECTIONS and isinstance(value, dict):
        yield from ignored(value, kind, path)


def _of_kind(value: Any, kind: str, path: str) -> Iterator[Problem]:
    if kind in _SECTIONS:
        yield from of_fields(value, kind, path)
    elif kind.startswith("["):
        yield from _of_list(value, kind[1:-1], path)
    elif kind.startswith("{"):
        yield from _of_map(value, kind[1:-1], path)
    elif kind == "podSpecPatch":
        yield from _of_patch(value, path)
    elif kind not in ("any", "volume") and not _EXPECTED[kind][1](value):
        hint = "; write it in quotes" if kind == "text" and isinstance(value, (bool, int, float)) else ""
        yield Problem(path, f"expected {_EXPECTED[kind][0]}, got {_told(value)}{hint}")


def _of_list(value: Any, kind: str, path: str) -> Iterator[Problem]:
    if not isinstance(value, list):
        yield Problem(path, f"expected a list, got {_told(value)}")
        return
    for place, item in enumerate(value):
        yield from _of_kind(item, kind, f"{path}[{place}]")


def _of_map(value: Any, kind: str, path: str) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield Problem(path, f"expected a map, got {_told(value)}")
        return
    for name, inner in value.items():
        yield from _of_kind(inner, kind, f"{path}.{name}")


def _of_patch(value: Any, path: str) -> Iterator[Problem]:
    if not isinstance(value, str):
        yield Problem(path, f"expected text, got {_told(value)}")
        return
    for message in pod_patch.problems(value):
        yield Problem(path, message)


def _is_set(value: Any) -> bool:
    return value is not None and value is not False and value != "" and value != [] and value != {}


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_EXPECTED: Mapping[str, tuple[str, Any]] = {
    "text": ("text", lambda value: isinstance(value, str)),
    "bool": ("true or false", lambda value: isinstance(value, bool)),
    "whole": ("a whole number", _whole),
    "scalar": ("text, a number, true or false", lambda value: isinstance(value, (str, int, float))),
    "whole-or-text": ("a whole number or text", lambda value: _whole(value) or isinstance(value, str)),
    "items": ("a list", lambda value: isinstance(value, list)),
}


def _told(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"the boolean {'true' if value else 'false'}"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    return f"the text {value[:40]!r}" if isinstance(value, str) else "a list" if isinstance(value, list) else "a map"
