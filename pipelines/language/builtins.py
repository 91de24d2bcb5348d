"""The functions of the expression language itself, one row each. A name of the language without a row is refused."""

from __future__ import annotations

import base64
import functools
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

from pipelines.language import gotext
from pipelines.language.errors import EvaluationError
from pipelines.language.operators import equal, fail, less, named


def call(name: str, arguments: Sequence[Any]) -> Any:
    """Call a function by its name. Raises EvaluationError for wrong arguments and for functions without a row."""
    if name not in FUNCTIONS:
        raise EvaluationError(f"{name}: this function of the expression language is not supported here")
    function, least, most = FUNCTIONS[name]
    return checked(name, function, least, most, arguments)


def checked(name: str, function: Callable[..., Any], least: int, most: int, arguments: Sequence[Any]) -> Any:
    """Call a function whose number of arguments is checked; errors of Python become EvaluationError."""
    if not least <= len(arguments) <= most:
        expected = str(least) if least == most else f"{least} to {most}"
        raise EvaluationError(f"{name}: expected {expected} arguments, got {len(arguments)}")
    try:
        return function(*arguments)
    except (TypeError, ValueError, AttributeError, KeyError, IndexError, OverflowError, RecursionError) as error:
        shown = ", ".join(gotext.plain(value) for value in arguments)
        raise EvaluationError(f"{name}({shown[:200]}): {error}") from None


def to_int(value: Any) -> int:
    """A number, or the text of a whole number, as an integer."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return int(fail(f"invalid operation: int({named(value)})"))
    if isinstance(value, str):
        return gotext.whole_number(value, "int")
    return int(value)


def to_float(value: Any) -> float:
    """A number, or the text of one, as a float."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return float(fail(f"invalid operation: float({named(value)})"))
    if isinstance(value, str) and (value != value.strip() or "_" in value):
        raise ValueError("not a number")
    return float(value)


def text(value: Any) -> str:
    """The value, which must be a string."""
    return value if isinstance(value, str) else str(fail(f"expected a string, got {named(value)}"))


def array(value: Any) -> list[Any]:
    """The value, which must be an array."""
    return value if isinstance(value, list) else list(fail(f"expected an array, got {named(value)}"))


def mapping(value: Any) -> dict[str, Any]:
    """The value, which must be a map."""
    return value if isinstance(value, dict) else dict(fail(f"expected a map, got {named(value)}"))


def index(value: Any, key: Any) -> Any:
    """`value[key]`, nil where there is none."""
    if isinstance(value, dict):
        return value.get(key)
    if isinstance(value, (list, str)) and -len(value) <= int(key) < len(value):
        return value[int(key)]
    return None


def round_half_away(value: float) -> float:
    """Round as Go does: halves away from zero."""
    return math.copysign(math.floor(abs(value) + 0.5), value)


def sort(values: list[Any], order: str = "asc") -> list[Any]:
    """Values in ascending ("asc") or descending ("desc") order."""
    if order not in ("asc", "desc"):
        raise ValueError(f"invalid order {order}, expected asc or desc")
    return sorted(values, key=functools.cmp_to_key(_compare), reverse=order == "desc")


def numbers(*values: Any) -> list[float]:
    """All numbers among values and nested arrays."""
    found: list[float] = []
    for value in values:
        if isinstance(value, list):
            found += numbers(*value)
        elif isinstance(value, bool) or not isinstance(value, (int, float)):
            fail(f"expected a number, got {named(value)}")
        else:
            found.append(value)
    return found


def _compare(left: Any, right: Any) -> int:
    return -1 if less(left, right) else int(less(right, left))


def _uniq(values: Any) -> list[Any]:
    kept: list[Any] = []
    for value in array(values):
        if not any(equal(value, other) for other in kept):
            kept.append(value)
    return kept


def _flatten(values: Any) -> list[Any]:
    return [item for value in array(values) for item in (_flatten(value) if isinstance(value, list) else [value])]


def _median(*values: Any) -> float:
    found = sorted(numbers(*values))
    middle = len(found) // 2
    if not found:
        return 0
    return found[middle] if len(found) % 2 else (found[middle - 1] + found[middle]) / 2


def _split(value: str, separator: str, limit: int = -1) -> list[str]:
    value = text(value)
    if limit == 0:
        return []
    if separator == "":
        return list(value) if limit < 0 else [*value[: limit - 1], value[limit - 1 :]]
    return value.split(separator, limit - 1 if limit > 0 else -1)


def _split_after(value: str, separator: str, limit: int = -1) -> list[str]:
    pieces = _split(value, separator, limit)
    return [piece + separator for piece in pieces[:-1]] + pieces[-1:]


def _replace(value: str, old: str, new: str, count: int = -1) -> str:
    return text(value).replace(old, new, count)


def _repeat(value: str, count: int) -> str:
    if count < 0 or len(value) * count > 1_000_000:
        raise ValueError("at most 1,000,000 characters, and no negative count")
    return text(value) * count


def _from_pairs(pairs: Any) -> dict[Any, Any]:
    return {pair[0]: pair[1] for pair in array(pairs)}


def _pretty(value: Any) -> str:
    escaped = json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)
    return escaped.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _type(value: Any) -> str:
    return named(value)


_ANY = 1_000_000
FUNCTIONS: dict[str, tuple[Callable[..., Any], int, int]] = {
    "len": (lambda value: len(value) if isinstance(value, (str, list, dict)) else fail(f"invalid argument for len ({named(value)})"), 1, 1),
    "type": (_type, 1, 1),
    "abs": (lambda value: abs(numbers(value)[0]), 1, 1),
    "ceil": (lambda value: float(math.ceil(numbers(value)[0])), 1, 1),
    "floor": (lambda value: float(math.floor(numbers(value)[0])), 1, 1),
    "round": (lambda value: float(round_half_away(numbers(value)[0])), 1, 1),
    "int": (to_int, 1, 1),
    "float": (to_float, 1, 1),
    "string": (gotext.plain, 1, 1),
    "trim": (lambda value, cut=None: text(value).strip(cut), 1, 2),
    "trimPrefix": (lambda value, prefix=" ": text(value).removeprefix(prefix), 1, 2),
    "trimSuffix": (lambda value, suffix=" ": text(value).removesuffix(suffix), 1, 2),
    "upper": (lambda value: text(value).upper(), 1, 1),
    "lower": (lambda value: text(value).lower(), 1, 1),
    "split": (_split, 2, 3),
    "splitAfter": (_split_after, 2, 3),
    "replace": (_replace, 3, 4),
    "repeat": (_repeat, 2, 2),
    "join": (lambda values, separator="": separator.join(map(text, array(values))), 1, 2),
    "indexOf": (lambda value, part: text(value).find(part), 2, 2),
    "lastIndexOf": (lambda value, part: text(value).rfind(part), 2, 2),
    "hasPrefix": (lambda value, prefix: text(value).startswith(prefix), 2, 2),
    "hasSuffix": (lambda value, suffix: text(value).endswith(suffix), 2, 2),
    "max": (lambda *values: max(numbers(*values)), 1, _ANY),
    "min": (lambda *values: min(numbers(*values)), 1, _ANY),
    "mean": (lambda *values: sum(numbers(*values)) / (len(numbers(*values)) or 1), 1, _ANY),
    "median": (_median, 1, _ANY),
    "toJSON": (_pretty, 1, 1),
    "fromJSON": (lambda value: json.loads(text(value)), 1, 1),
    "toBase64": (lambda value: base64.b64encode(text(value).encode()).decode(), 1, 1),
    "fromBase64": (lambda value: base64.b64decode(text(value), validate=True).decode(), 1, 1),
    "first": (lambda values: index(values, 0), 1, 1),
    "last": (lambda values: index(values, -1), 1, 1),
    "get": (index, 2, 2),
    "take": (lambda values, count: array(values)[: max(count, 0)], 2, 2),
    "keys": (lambda value: sorted(mapping(value)), 1, 1),
    "values": (lambda value: [mapping(value)[key] for key in sorted(value)], 1, 1),
    "toPairs": (lambda value: [[key, mapping(value)[key]] for key in sorted(value)], 1, 1),
    "fromPairs": (_from_pairs, 1, 1),
    "reverse": (lambda values: array(values)[::-1], 1, 1),
    "uniq": (_uniq, 1, 1),
    "concat": (lambda *values: [item for value in values for item in array(value)], 1, _ANY),
    "flatten": (_flatten, 1, 1),
    "sort": (lambda values, order="asc": sort(array(values), order), 1, 2),
    "bitand": (lambda left, right: left & right, 2, 2),
    "bitor": (lambda left, right: left | right, 2, 2),
    "bitxor": (lambda left, right: left ^ right, 2, 2),
    "bitnand": (lambda left, right: left & ~right, 2, 2),
    "bitshl": (lambda left, right: left << min(right, 1024), 2, 2),
    "bitshr": (lambda left, right: left >> right, 2, 2),
    "bitnot": (lambda value: ~value, 1, 1),
}
