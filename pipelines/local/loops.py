"""Loops: a step or a task with withItems, withParam or withSequence as one for each item."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pipelines.language import gotext, tags, when
from pipelines.language.errors import EvaluationError
from pipelines.language.tags import Variables

_LOOPS = ("withItems", "withParam", "withSequence")
_FORMAT = re.compile(r"%([-+ 0]*)(\d*)([dxXob])")


def is_loop(holder: Mapping[str, Any]) -> bool:
    """Whether a step or a task is one for each item."""
    return bool(holder.get("withItems") or holder.get("withParam") or holder.get("withSequence") is not None)


def runs(holder: Mapping[str, Any]) -> bool:
    """Whether its `when` lets a step or a task run. Raises EvaluationError."""
    return when.truth(holder.get("when") or "")


def expand(holder: Mapping[str, Any], variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One step or task for each item, named NAME(0:item), with {{item}} replaced. Raises EvaluationError."""
    try:
        items = _items(holder)
    except EvaluationError:
        if not _never_runs(holder):
            raise
        items = []
    body = {key: value for key, value in holder.items() if key not in _LOOPS}
    never = _never_runs(body)
    return [_one(body, place, item, variables, never) for place, item in enumerate(items)]


def _never_runs(holder: Mapping[str, Any]) -> bool:
    try:
        return not runs(holder)
    except EvaluationError:
        return False


def _items(holder: Mapping[str, Any]) -> list[Any]:
    if holder.get("withItems"):
        return list(holder["withItems"])
    if holder.get("withParam"):
        text = str(holder["withParam"])
        try:
            items = json.loads(text, parse_int=gotext.Written, parse_float=gotext.Written)
        except ValueError as error:
            raise EvaluationError(f"withParam value could not be parsed as a JSON list: {text.strip()[:200]}: {error}") from None
        if not isinstance(items, list):
            raise EvaluationError(f"withParam value could not be parsed as a JSON list: {text.strip()[:200]}")
        return items
    return sequence(holder["withSequence"])


def sequence(given: Mapping[str, Any]) -> list[str]:
    """The texts of a withSequence. Raises EvaluationError."""
    start, end, count = (
        None if given.get(name) in (None, "") else gotext.whole_number(gotext.any_string(given[name]), f"withSequence.{name}")
        for name in ("start", "end", "count")
    )
    start = start or 0
    if end is None:
        if count is None:
            raise EvaluationError("withSequence: neither end nor count was specified")
        if count == 0:
            return []
        end = start + count - 1
    numbers = range(start, end + 1) if start <= end else range(start, end - 1, -1)
    if len(numbers) > 1_000_000:
        raise EvaluationError(f"withSequence: {len(numbers)} items; at most 1,000,000 are made")
    return [_formatted(given.get("format") or "%d", number) for number in numbers]


def _formatted(template: str, number: int) -> str:
    try:
        return _FORMAT.sub(lambda match: _printed(match, number), template.replace("%%", "\0")).replace("\0", "%")
    except ValueError:
        raise EvaluationError(f"withSequence.format: expected such as %03d, got {template!r}") from None


def _printed(match: re.Match[str], number: int) -> str:
    flags, width, verb = match.groups()
    if len(width) > 3:
        raise ValueError(width)
    return format(number, f"{width}b") if verb == "b" else f"%{flags}{width}{verb}" % number


def _one(body: Mapping[str, Any], place: int, item: Any, variables: Mapping[str, Any], never: bool) -> dict[str, Any]:
    named, described = _item(item)
    known = {**variables, **named}
    if never:
        known = {name: value for name, value in known.items() if value is not None}
    one: dict[str, Any] = tags.replace(dict(body), Variables(known), tags.nothing if never else tags.everything)
    described = described.replace("(", "").replace(")", "")
    return {**one, "name": f"{body['name']}({place}:{described})", "template": body.get("template", "")}


def _item(item: Any) -> tuple[dict[str, str], str]:
    """The variables of an item, and how it shows in a node's name."""
    if isinstance(item, dict):
        named = {f"item.{key}": _shown(value) for key, value in item.items()}
        parts = sorted(f"{key}:{_shown(value)}" for key, value in item.items())
        return {**named, "item": gotext.json_text(item)}, ",".join(parts)
    if isinstance(item, list) or item is None:
        return {"item": gotext.json_text(item)}, "[" + " ".join(map(_shown, item or [])) + "]"
    return {"item": item if isinstance(item, str) else _shown(item)}, _shown(item)


def _shown(value: Any) -> str:
    text = gotext.unescaped(gotext.json_text(value))
    return text[1:-1] if text.startswith('"') else text
