"""JSONPath, as far as workflows use it: $, .name, ['name'], [0], [-1], [*], .*, ..name, slices [1:3] and filters [?(@.age > 42)]."""

from __future__ import annotations

import re
from typing import Any

from pipelines.language import jsonpath_filter
from pipelines.language.errors import EvaluationError

_STEP = re.compile(
    r"""(?P<deep>\.\.)?(?:
      \.?(?P<name>[A-Za-z_][\w-]*)
    | \.?(?P<any>\*)
    | \[\?\((?P<filter>(?:'[^']*'|"[^"]*"|[^'"])*?)\)\]
    | \[\s*(?:'(?P<single>[^']*)'|"(?P<double>[^"]*)"|(?P<star>\*)|(?P<start>-?\d*):(?P<end>-?\d*)|(?P<index>-?\d+))\s*\]
    )""",
    re.VERBOSE,
)


def query(document: Any, text: str) -> Any:
    """The value at a path; a list of values where the path has a wildcard. Raises EvaluationError where there is none."""
    if not text.startswith("$"):
        raise EvaluationError(f"jsonpath {text!r}: expected it to begin with $")
    found, position, many, kept = [document], 1, False, False
    while position < len(text):
        step = _STEP.match(text, position)
        if not step or step.end() == position:
            raise EvaluationError(f"jsonpath {text!r}: {text[position:]!r} is not supported")
        if step["deep"]:
            found = [inner for value in found for inner in _all_inside(value)]
        many = many or bool(step["deep"] or step["any"] or step["star"] or step["start"] is not None or step["filter"])
        # An index after a filter is one of what the filter has kept.
        found = [found] if kept and step["index"] is not None else found
        many = many and not (kept and step["index"] is not None)
        kept = bool(step["filter"])
        found = [inner for value in found for inner in _inside(value, step, document)]
        position = step.end()
    if many:
        return found
    if not found:
        raise EvaluationError(f"jsonpath {text!r}: key not found")
    return found[0]


def _inside(value: Any, step: re.Match[str], root: Any) -> list[Any]:
    if step["filter"]:
        if not isinstance(value, (dict, list)) and not step["deep"]:
            raise EvaluationError(f"jsonpath: a filter needs a list or a map, got {value!r}")
        return [item for item in _items(value) if jsonpath_filter.matches(step["filter"], root, item, query)]
    if step["any"] or step["star"]:
        return _items(value)
    if step["start"] is not None:
        bounds = slice(*(int(bound) if bound else None for bound in (step["start"], step["end"])))
        return value[bounds] if isinstance(value, list) else []
    if step["index"] is not None:
        place = int(step["index"])
        return [value[place]] if isinstance(value, list) and -len(value) <= place < len(value) else []
    name = next(text for text in (step["name"], step["single"], step["double"]) if text is not None)
    return [value[name]] if isinstance(value, dict) and name in value else []


def _items(value: Any) -> list[Any]:
    """What a value holds; a map's values by their keys."""
    return [value[key] for key in sorted(value)] if isinstance(value, dict) else list(value) if isinstance(value, list) else []


def _all_inside(value: Any) -> list[Any]:
    nested = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [value, *(inner for item in nested for inner in _all_inside(item))]
