"""An expression's text as tokens (expr-lang)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from pipelines.language.errors import EvaluationError

Kind = Literal["name", "number", "string", "operator", "bracket", "end"]
_WORDS = {"in", "or", "and", "matches", "contains", "startsWith", "endsWith", "let", "if", "else", "not"}
_TOKEN = re.compile(
    r"""
      (?P<space>\s+|//[^\n]*|/\*.*?\*/)
    | (?P<number>0[xX][0-9a-fA-F_]+ | 0[oO][0-7_]+ | 0[bB][01_]+
        | (?:[0-9][0-9_]*(?:\.(?!\.)[0-9_]*)? | \.[0-9][0-9_]*)(?:[eE][+-]?[0-9_]+)?)
    | (?P<name>[^\W\d]\w*|\$\w*)
    | (?P<string>'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")
    | (?P<raw>`(?:[^`]|``)*`)
    | (?P<bracket>[()\[\]{}])
    | (?P<operator>\?\.|\?\?|\.\.|\|\||&&|\*\*|::|==|!=|<=|>=|[-+*/%^<>!?:.,;|\#=])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(u\{[0-9a-fA-F]{1,6}\}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{2}|[0-7]{3}|.)", re.DOTALL)
_SIMPLE_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", "'": "'", '"': '"'}


@dataclass(frozen=True)
class Token:
    kind: Kind
    text: str
    position: int


def tokens(text: str) -> list[Token]:
    """All tokens of an expression, the last one of kind `end`. Raises EvaluationError."""
    found: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if not match:
            raise EvaluationError(f"{text!r}: character {position + 1}: {text[position : position + 10]!r} is no part of an expression")
        found.extend(_token(match, position, text))
        position = match.end()
    return [*found, Token("end", "", len(text))]


def _token(match: re.Match[str], position: int, text: str) -> list[Token]:
    group, content = match.lastgroup, match[0]
    if group == "space":
        return []
    if group == "string":
        return [Token("string", _unescape(content[1:-1]), position)]
    if group == "raw":
        return [Token("string", content[1:-1].replace("``", "`"), position)]
    if group == "name":
        return [Token("operator" if content in _WORDS else "name", content, position)]
    if group == "number":
        if re.match(r"\w", text[match.end() : match.end() + 1]):
            raise EvaluationError(f"{text!r}: character {position + 1}: bad number")
        return [Token("number", content, position)]
    if group == "bracket":
        return [Token("bracket", content, position)]
    return [Token("operator", content, position)]


def _unescape(text: str) -> str:
    def character(match: re.Match[str]) -> str:
        code = match[1]
        if code[0] in "uUx" and len(code) > 1:
            return chr(int(code[1:].strip("{}"), 16))
        if len(code) == 3:
            return chr(int(code, 8))
        if code not in _SIMPLE_ESCAPES:
            raise EvaluationError(f"invalid character escape \\{code} in a string of an expression")
        return _SIMPLE_ESCAPES[code]

    return _ESCAPE.sub(character, text)
