"""A `when` as tokens (govaluate)."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipelines.language import gotext
from pipelines.language.errors import EvaluationError


@dataclass(frozen=True)
class Token:
    kind: str
    value: Any


_PREFIXES = {"-", "!", "~"}
_SYMBOLS = {
    **dict.fromkeys(("+", "-", "*", "/", "%", "**", "&", "|", "^", "<<", ">>"), "modifier"),
    **dict.fromkeys(("&&", "||"), "logical"),
    **dict.fromkeys(("==", "!=", ">", "<", ">=", "<=", "=~", "!~", "in"), "comparator"),
    **dict.fromkeys(("?", ":", "??"), "ternary"),
}
# An accessor is a word such as v1.0: it would be a field of a parameter, and `when` has no parameters.
VALUES = {"number", "bool", "string", "accessor"}
_AFTER_VALUE = {"modifier", "comparator", "logical", "close", "ternary", "separator"}
_AFTER_OPERATOR = VALUES | {"prefix", "open", "close"}
_NEXT = {
    "start": VALUES | {"prefix", "open"},
    "open": VALUES | {"prefix", "open", "close"},
    "close": _AFTER_VALUE | VALUES | {"open"},
    **dict.fromkeys(VALUES, _AFTER_VALUE),
    **dict.fromkeys(("modifier", "comparator", "logical"), _AFTER_OPERATOR),
    "prefix": VALUES | {"open", "close"},
    "ternary": VALUES | {"prefix", "open", "separator"},
    "separator": VALUES | {"prefix", "open"},
}


def tokens(text: str) -> list[Token]:
    """All tokens of a condition, in an order that the language allows. Raises EvaluationError."""
    found: list[Token] = []
    position = 0
    while position < len(text):
        character = text[position]
        if character.isspace():
            position += 1
            continue
        may_prefix = "prefix" in _NEXT[found[-1].kind if found else "start"]
        token, position = _token(text, position, may_prefix)
        found.append(token)
    _check_order(found, text)
    return found


def _token(text: str, position: int, may_prefix: bool) -> tuple[Token, int]:
    character = text[position]
    if character.isdigit() or character == ".":
        return _number(text, position)
    if character in "'\"[":
        return _quoted(text, position)
    if character in "(),":
        return Token({"(": "open", ")": "close", ",": "separator"}[character], character), position + 1
    if character.isalpha():
        return _word(text, position)
    symbol, end = _read(text, position, lambda mark: not (mark.isalnum() or mark in "()[]'\""))
    if may_prefix and symbol in _PREFIXES:
        return Token("prefix", symbol), end
    if symbol not in _SYMBOLS:
        hint = ' (hint: try wrapping the affected expression in quotes ("))'
        raise EvaluationError(f"Invalid 'when' expression '{text}': Invalid token: '{symbol}'{hint}")
    return Token(_SYMBOLS[symbol], symbol), end


def _read(text: str, position: int, belongs: Callable[[str], bool], blanks: bool = False) -> tuple[str, int]:
    """Characters that belong together, `\\` taking the next one as it is; a blank ends them unless `blanks`."""
    taken: list[str] = []
    while position < len(text):
        character = text[position]
        if character == "\\" and position + 1 < len(text):
            taken.append(text[position + 1])
            position += 2
            continue
        if not blanks and character.isspace():
            return "".join(taken), position + 1
        if not belongs(character):
            break
        taken.append(character)
        position += 1
    return "".join(taken), position


def _number(text: str, position: int) -> tuple[Token, int]:
    if hexadecimal := re.compile(r"0x([0-9a-fA-F]+)").match(text, position):
        return Token("number", float(int(hexadecimal[1], 16))), hexadecimal.end()
    digits, end = _read(text, position, lambda mark: mark.isdigit() or mark == ".")
    try:
        return Token("number", float(digits)), end
    except ValueError:
        raise EvaluationError(f"Invalid 'when' expression '{text}': Unable to parse numeric value '{digits}'") from None


def _quoted(text: str, position: int) -> tuple[Token, int]:
    closing = "]" if text[position] == "[" else "'\""
    content, end = _read(text, position + 1, lambda mark: mark not in closing, blanks=True)
    if end >= len(text):
        what = "Unclosed parameter bracket" if closing == "]" else "Unclosed string literal"
        raise EvaluationError(f"Invalid 'when' expression '{text}': {what}")
    moment = None if closing == "]" else _moment(content)
    return Token("string" if moment is None else "number", content if moment is None else moment), end + 1


def _moment(text: str) -> float | None:
    """Seconds since the epoch of text that is a date: govaluate compares dates as such."""
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?", text):
        return None
    try:
        return float(math.floor(datetime.datetime.fromisoformat(text).timestamp()))
    except (ValueError, OverflowError):
        return None


def _word(text: str, position: int) -> tuple[Token, int]:
    word, end = _read(text, position, lambda mark: mark.isalnum() or mark in "_.")
    if word in ("true", "false"):
        return Token("bool", word == "true"), end
    if word in ("in", "IN"):
        return Token("comparator", "in"), end
    if "." in word:
        fields = word.split(".")[1:]
        hidden = next((field for field in fields if field[:1].upper() != field[:1]), None)
        if word.endswith(".") or hidden is not None:
            why = f"Hanging accessor on token '{word}'" if word.endswith(".") else f"Unable to access unexported field in token '{word}'"
            raise EvaluationError(f"Invalid 'when' expression '{text}': {why}; put it in quotes")
        return Token("accessor", word), end
    return Token("string", word), end


def _check_order(tokens: list[Token], text: str) -> None:
    if not tokens:
        raise EvaluationError("Invalid 'when' expression: Unexpected end of expression")
    before, depth = "start", 0
    for token in tokens:
        depth += {"open": 1, "close": -1}.get(token.kind, 0)
        if token.kind not in _NEXT[before] or depth < 0:
            raise EvaluationError(f"Invalid 'when' expression '{text}': unexpected '{gotext.plain(token.value)}'; put texts in quotes")
        before = token.kind
    if depth:
        raise EvaluationError(f"Invalid 'when' expression '{text}': Unbalanced parenthesis")
    if before not in VALUES | {"close"}:
        raise EvaluationError(f"Invalid 'when' expression '{text}': Unexpected end of expression")
