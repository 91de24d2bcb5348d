"""The conditions of JSONPath filters: [?(@.age > 42 && @.name == 'x')], as the library that Argo uses reads them.

Operators are looked for from the loosest to the tightest, outside of quotes and brackets. Text is never a
number; only true and false are conditions for && and ||; an item for which a condition cannot be told does not match.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from pipelines.language.errors import EvaluationError

Query = Callable[[Any, str], Any]

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda first, second: first == second,
    "!=": lambda first, second: first != second,
    "<=": lambda first, second: first <= second,
    ">=": lambda first, second: first >= second,
    "<": lambda first, second: first < second,
    ">": lambda first, second: first > second,
}
_OPERATORS = ("||", "&&", *_COMPARISONS, "=~", "!")
_UNKNOWN = re.compile(r"(?<!\w)(not in|in)(?!\w)|[+*/%]|(?<=\s)-(?=\s)")
_BRACKETS = {"(": 1, "[": 1, ")": -1, "]": -1}


def matches(condition: str, root: Any, item: Any, query: Query) -> bool:
    """Whether a filter keeps an item; `query` finds what a path names. Raises EvaluationError for an operator that is not known."""
    bare = "".join(character for _, character in _outside(condition))
    unknown = _UNKNOWN.search(re.sub(r"[@$][\w.*-]*", "", bare))
    if unknown:
        raise EvaluationError(f"jsonpath: the operator {unknown[0]} of the filter {condition!r} is not supported")
    try:
        found = _value(condition, root, item, query)
    except (EvaluationError, ValueError, TypeError, re.error):
        return False
    return bool(_unquoted(found)) and found != "false"


def _value(text: str, root: Any, item: Any, query: Query) -> Any:
    text = text.strip()
    while text.startswith("(") and text.endswith(")"):
        text = text[1:-1].strip()
    for operator in _OPERATORS:
        place = _place(text, operator)
        if place >= 0 and (operator != "!" or place == 0):
            sides = (text[:place], text[place + len(operator) :])
            return _result(operator, *(_value(side, root, item, query) if side.strip() else None for side in sides))
    if text[:1] in ("@", "$"):
        found = query(item if text[0] == "@" else root, f"${text[1:]}")
        return f"'{found}'" if isinstance(found, str) else found
    return f"'{text[1:-1]}'" if text[:1] == text[-1:] == '"' else text


def _result(operator: str, first: Any, second: Any) -> bool:
    if operator == "||":
        return any([_condition(first), _condition(second)])
    if operator == "&&":
        return all([_condition(first), _condition(second)])
    if operator == "!":
        return not _condition(second)
    if operator == "=~":
        return re.search(_unquoted(_text(second)), _unquoted(_text(first))) is not None
    compare = _COMPARISONS[operator]
    try:
        return compare(_number(first), _number(second))
    except (ValueError, TypeError):
        if operator not in ("==", "!="):
            raise
    return compare(_text(first), _text(second))


def _condition(value: Any) -> bool:
    if value not in (True, False, "true", "false"):
        raise ValueError
    return value in (True, "true")


def _number(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError
    return float(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, (str, int, float)):
        raise TypeError
    return str(value)


def _unquoted(value: Any) -> Any:
    quoted = isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == "'"
    return value[1:-1] if quoted else value


def _place(text: str, operator: str) -> int:
    return next((place for place, _ in _outside(text) if text.startswith(operator, place)), -1)


def _outside(text: str) -> Iterator[tuple[int, str]]:
    """The characters outside of quotes and brackets, with their places."""
    quote, depth = "", 0
    for place, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in _BRACKETS:
            depth += _BRACKETS[character]
        elif not depth:
            yield place, character
