"""What the operators of the expression language do with values: nil, bool, int, float, string, array, map."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from typing import Any, NoReturn

from pipelines.language.errors import EvaluationError

_NAMES = {type(None): "nil", bool: "bool", int: "int", float: "float", str: "string", list: "array", dict: "map"}


def named(value: Any) -> str:
    """The language's word for a value's type."""
    return _NAMES.get(type(value), "func")


def fail(message: str) -> NoReturn:
    """Raise the error of an operation that its values do not allow."""
    raise EvaluationError(message)


def is_number(value: Any) -> bool:
    """Whether a value is an int or a float; a bool is neither."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def equal(left: Any, right: Any) -> bool:
    """`==`: numbers by value, everything else by type and value."""
    if is_number(left) and is_number(right):
        return bool(left == right)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(value, right[key]) for key, value in left.items())
    return type(left) is type(right) and bool(left == right)


def less(left: Any, right: Any) -> bool:
    """`<` on two numbers or two strings."""
    return bool(_ordered("<", operator.lt)(left, right))


def contained(needle: Any, values: Any) -> bool:
    """`in`: an element of an array, a key of a map, nothing in nil."""
    if values is None:
        return False
    if isinstance(values, list):
        return any(equal(needle, value) for value in values)
    if isinstance(values, dict):
        return isinstance(needle, str) and needle in values
    fail(f'operator "in" not defined on {named(values)}')


def negated(value: Any) -> Any:
    """`-value`."""
    return -value if is_number(value) else fail(f"invalid operation: - {named(value)}")


def fetch(value: Any, key: Any) -> Any:
    """`value[key]` and `value.key`: nil for a map's missing key, an error beyond an array's end and inside nil."""
    if isinstance(value, dict):
        return value.get(key) if isinstance(key, str) else fail(f"cannot use {named(key)} as a key of a map")
    if isinstance(value, list) and is_number(key):
        place = int(key)
        if -len(value) <= place < len(value):
            return value[place]
        fail(f"index out of range: {place} (array length is {len(value)})")
    fail(f"cannot fetch {key} from {'<nil>' if value is None else named(value)}")


def sliced(value: Any, start: Any, end: Any) -> Any:
    """`value[start:end]` of an array or a string; negative bounds count from the end."""
    if isinstance(value, str) and not value.isascii():
        # Go slices a string by its bytes.
        return bytes(sliced(list(value.encode()), start, end)).decode(errors="replace")
    if not isinstance(value, (list, str)):
        fail(f"cannot slice {named(value)}")
    length = len(value)
    low, high = (bound if is_number(bound) else default for bound, default in ((start, 0), (end, length)))
    low, high = (max(0, int(bound) + length if bound < 0 else int(bound)) for bound in (low, high))
    return value[min(low, min(high, length)) : min(high, length)]


def _invalid(symbol: str, left: Any, right: Any) -> NoReturn:
    fail(f"invalid operation: {named(left)} {symbol} {named(right)}")


def _ordered(symbol: str, compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def ordered(left: Any, right: Any) -> bool:
        if (is_number(left) and is_number(right)) or (isinstance(left, str) and isinstance(right, str)):
            return compare(left, right)
        _invalid(symbol, left, right)

    return ordered


def _arithmetic(symbol: str, compute: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def arithmetic(left: Any, right: Any) -> Any:
        if is_number(left) and is_number(right):
            try:
                return compute(left, right)
            except (OverflowError, ValueError) as error:
                fail(f"{left} {symbol} {right}: {error}")
        _invalid(symbol, left, right)

    return arithmetic


def _on_text(symbol: str, compute: Callable[[str, str], bool]) -> Callable[[Any, Any], bool]:
    def on_text(left: Any, right: Any) -> bool:
        if isinstance(left, str) and isinstance(right, str):
            return compute(left, right)
        _invalid(symbol, left, right)

    return on_text


def _add(left: Any, right: Any) -> Any:
    if isinstance(left, str) and isinstance(right, str):
        return left + right
    return _arithmetic("+", operator.add)(left, right)


def _divide(left: Any, right: Any) -> float:
    if right == 0:
        return math.nan if left == 0 else math.copysign(math.inf, left)
    return float(left / right)


def _modulo(left: Any, right: Any) -> int:
    if isinstance(left, float) or isinstance(right, float) or right == 0:
        fail(f"invalid operation: {left} % {right}")
    remainder: int = abs(left) % abs(right)
    return remainder if left >= 0 else -remainder


def _range(left: Any, right: Any) -> list[int]:
    if not is_number(left) or not is_number(right):
        _invalid("..", left, right)
    if right - left >= 1_000_000:
        fail(f"{left}..{right}: at most 1,000,000 numbers")
    return list(range(int(left), int(right) + 1))


def _matches(value: str, pattern: str) -> bool:
    try:
        return re.search(pattern, value) is not None
    except re.error as error:
        fail(f"{pattern!r} is no regular expression: {error}")


# Those that look at both sides; &&, || and ?? look at the right side only where they must, in `evaluate`.
BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "==": equal,
    "!=": lambda left, right: not equal(left, right),
    "<": _ordered("<", operator.lt),
    "<=": _ordered("<=", operator.le),
    ">": _ordered(">", operator.gt),
    ">=": _ordered(">=", operator.ge),
    "in": contained,
    "matches": _on_text("matches", _matches),
    "contains": _on_text("contains", lambda value, part: part in value),
    "startsWith": _on_text("startsWith", str.startswith),
    "endsWith": _on_text("endsWith", str.endswith),
    "..": _range,
    "+": _add,
    "-": _arithmetic("-", operator.sub),
    "*": _arithmetic("*", operator.mul),
    "/": _arithmetic("/", _divide),
    "%": _arithmetic("%", _modulo),
    "**": _arithmetic("**", lambda left, right: math.pow(left, right)),
}
