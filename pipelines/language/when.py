"""The language of `when` (govaluate), in which a bare word is a string."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable
from typing import Any

from pipelines.language import gotext, when_lexer
from pipelines.language.errors import EvaluationError
from pipelines.language.when_lexer import VALUES, Token


@functools.lru_cache(maxsize=4096)
def truth(text: str) -> bool:
    """Whether a `when`, its tags already replaced, lets its step run; an empty one does. Raises EvaluationError."""
    if text == "":
        return True
    result = _value(text)
    if not isinstance(result, bool):
        raise EvaluationError(f"Expected boolean evaluation for '{text}'. Got {gotext.plain(result)}")
    return result


def _value(text: str) -> Any:
    tokens = when_lexer.tokens(text)
    reader = _Reader(tokens, text)
    try:
        result = reader.read()
    except RecursionError:
        raise EvaluationError(f"Invalid 'when' expression: nested too deep: {text[:80]!r}") from None
    if reader.position < len(tokens):
        raise EvaluationError(f"Invalid 'when' expression '{text}': unexpected '{tokens[reader.position].value}'")
    return result


class _Reader:
    """Reads and computes in one pass; both sides of && and || are always read, computed only where they count."""

    def __init__(self, tokens: list[Token], text: str) -> None:
        self._tokens, self._text, self.position = tokens, text, 0

    def _symbol(self, symbols: tuple[str, ...]) -> str | None:
        if self.position < len(self._tokens):
            token = self._tokens[self.position]
            if token.kind not in VALUES and token.value in symbols:
                self.position += 1
                return str(token.value)
        return None

    def read(self) -> Any:
        return self._separated()()

    def _separated(self) -> Callable[[], Any]:
        items = [self._ternary()]
        while self._symbol((",",)):
            items.append(self._ternary())
        return items[0] if len(items) == 1 else lambda: [item() for item in items]

    def _ternary(self) -> Callable[[], Any]:
        left = self._level(0)
        while symbol := self._symbol(("?", ":", "??")):
            left = self._chosen(symbol, left, self._level(0))
        return left

    def _chosen(self, symbol: str, left: Callable[[], Any], right: Callable[[], Any]) -> Callable[[], Any]:
        if symbol == "?":
            return lambda: right() if self._bool(left(), "?") else None
        return lambda: right() if (first := left()) is None else first

    def _level(self, depth: int) -> Callable[[], Any]:
        if depth == len(_OPERATORS):
            return self._operand()
        left = self._level(depth + 1)
        while symbol := self._symbol(tuple(_OPERATORS[depth])):
            left = self._combined(symbol, _OPERATORS[depth][symbol], left, self._level(depth + 1))
        return left

    def _combined(self, symbol: str, compute: Callable[[Any, Any], Any], left: Any, right: Any) -> Callable[[], Any]:
        if symbol == "&&":
            return lambda: self._bool(left(), symbol) and self._bool(right(), symbol)
        if symbol == "||":
            return lambda: self._bool(left(), symbol) or self._bool(right(), symbol)

        def combined() -> Any:
            first, second = left(), right()
            try:
                return compute(first, second)
            except (TypeError, ValueError, OverflowError, ZeroDivisionError, re.error) as error:
                shown = f"{gotext.plain(first)} {symbol} {gotext.plain(second)}"
                raise EvaluationError(f"Failed to evaluate 'when' expression '{self._text}': {shown}: {error}") from None

        return combined

    def _operand(self) -> Callable[[], Any]:
        if self.position >= len(self._tokens):
            return lambda: None
        token = self._tokens[self.position]
        if token.kind == "prefix":
            self.position += 1
            return self._prefixed(token.value, self._operand())
        if token.kind == "open":
            self.position += 1
            inner = self._separated() if self._tokens[self.position].kind != "close" else lambda: None
            self.position += 1
            return inner
        if token.kind in VALUES:
            self.position += 1
            return functools.partial(self._accessed, token.value) if token.kind == "accessor" else lambda: token.value
        raise EvaluationError(f"Invalid 'when' expression '{self._text}': unexpected '{token.value}'")

    def _accessed(self, word: str) -> Any:
        named = word.partition(".")[0]
        raise EvaluationError(f"Failed to evaluate 'when' expresion '{self._text}': No parameter '{named}' found.")

    def _prefixed(self, prefix: str, operand: Callable[[], Any]) -> Callable[[], Any]:
        def prefixed() -> Any:
            value = operand()
            if prefix == "!":
                return not self._bool(value, prefix)
            return -_float(value) if prefix == "-" else float(~int(_float(value)))

        return prefixed

    def _bool(self, value: Any, symbol: str) -> bool:
        if isinstance(value, bool):
            return value
        shown = gotext.plain(value)
        raise EvaluationError(
            f"Failed to evaluate 'when' expression '{self._text}': '{shown}' cannot be used with {symbol}, it is not a bool"
        )


def _float(value: Any) -> float:
    if isinstance(value, float):
        return value
    raise EvaluationError(f"Value '{gotext.plain(value)}' cannot be used here, it is not a number")


def _same(left: Any, right: Any) -> bool:
    return type(left) is type(right) and bool(left == right)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def ordered(left: Any, right: Any) -> bool:
        if type(left) is not type(right) or not isinstance(left, (float, str)):
            raise TypeError("only two numbers or two strings have an order")
        return compare(left, right)

    return ordered


def _in(left: Any, right: Any) -> bool:
    if not isinstance(right, list):
        raise TypeError("expected a list such as (a, b) on the right")
    return any(_same(left, value) for value in right)


def _matches(left: Any, right: Any) -> bool:
    if not isinstance(left, str) or not isinstance(right, str):
        raise TypeError("expected two strings")
    return re.search(right, left) is not None


def _plus(left: Any, right: Any) -> Any:
    return gotext.plain(left) + gotext.plain(right) if isinstance(left, str) or isinstance(right, str) else _float(left) + _float(right)


def _numeric(compute: Callable[[float, float], float]) -> Callable[[Any, Any], float]:
    return lambda left, right: compute(_float(left), _float(right))


def _bits(compute: Callable[[int, int], int]) -> Callable[[Any, Any], float]:
    return lambda left, right: float(compute(int(_float(left)), int(_float(right))))


def _divide(left: float, right: float) -> float:
    return left / right if right else (math.nan if left == 0 else math.copysign(math.inf, left))


# From the loosest to the tightest.
_OPERATORS: list[dict[str, Callable[[Any, Any], Any]]] = [
    {"||": _same},
    {"&&": _same},
    {
        "==": _same,
        "!=": lambda left, right: not _same(left, right),
        ">": _ordered(lambda left, right: left > right),
        "<": _ordered(lambda left, right: left < right),
        ">=": _ordered(lambda left, right: left >= right),
        "<=": _ordered(lambda left, right: left <= right),
        "=~": _matches,
        "!~": lambda left, right: not _matches(left, right),
        "in": _in,
    },
    {
        "&": _bits(lambda left, right: left & right),
        "|": _bits(lambda left, right: left | right),
        "^": _bits(lambda left, right: left ^ right),
    },
    {"<<": _bits(lambda left, right: left << right), ">>": _bits(lambda left, right: left >> right)},
    {"+": _plus, "-": _numeric(lambda left, right: left - right)},
    {"*": _numeric(lambda left, right: left * right), "/": _numeric(_divide), "%": _numeric(math.fmod)},
    {"**": _numeric(math.pow)},
]
