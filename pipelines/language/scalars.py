"""Plain YAML words as Kubernetes reads them: `n`, `y`, `on` and `off` are booleans, a date is text."""

from __future__ import annotations

import math
import re

TRUE = frozenset({"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"})
FALSE = frozenset({"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"})
_NULL = {"", "~", "null", "Null", "NULL"}
_OF_NUMBERS = frozenset("+-.0123456789eE")
_INTEGER = re.compile(r"[-+]?(0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[1-9][0-9_]*|0)")
_NUMBER = re.compile(r"[-+]?(\d[\d_]*)?(\.[\d_]*)?([eE][-+]?\d+)?")


def plain(text: str) -> str | int | float | bool | None:
    """The value of a scalar without quotes. Raises OverflowError for a number that is too large."""
    if text in TRUE or text in FALSE:
        return text in TRUE
    if text in _NULL:
        return None
    if text[0] not in _OF_NUMBERS:
        return text
    try:
        return _number(text)
    except ValueError:  # it looks like a number and is none: 0x_, e5
        return text


def _number(text: str) -> str | int | float:
    if _INTEGER.fullmatch(text) and len(text) < 40:
        digits = text.replace("_", "")
        return int(re.sub(r"^([-+]?)0(?=[0-7])", r"\g<1>0o", digits), 0)
    if _NUMBER.fullmatch(text) and re.search(r"\d", text) and len(text) < 400:
        number = float(text.replace("_", ""))
        if not math.isfinite(number):
            raise OverflowError(f"{text} is too large a number")
        return number
    return text


def key(text: str) -> str:
    """A key without quotes, as text."""
    return "true" if text in TRUE else "false" if text in FALSE else text
