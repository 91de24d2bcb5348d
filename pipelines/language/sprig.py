"""The functions `sprig.NAME` that Argo gives to expressions, one row each (the usual ones; others are refused by name)."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import posixpath
import random
import re
import string
import uuid
from collections.abc import Callable
from typing import Any

from pipelines.language import gotext
from pipelines.language.operators import equal


def _text(value: Any) -> str:
    return value if isinstance(value, str) else gotext.plain(value)


def _whole(value: Any) -> int:
    """sprig's forgiving conversion: what is no number is 0."""
    try:
        return int(value, 0) if isinstance(value, str) and re.match(r"[+-]?0[xXoObB]", value) else int(float(value))
    except (TypeError, ValueError, OverflowError):
        return 0


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0


def _empty(value: Any) -> bool:
    return value is None or value is False or (isinstance(value, (str, list, dict, int, float)) and not value)


def _default(fallback: Any, value: Any = None) -> Any:
    return fallback if _empty(value) else value


def _coalesce(*values: Any) -> Any:
    return next((value for value in values if not _empty(value)), None)


def _rounded(value: Any, digits: int, up_from: float = 0.5) -> float:
    scaled = _number(value) * 10**digits
    fraction = scaled - math.floor(scaled)
    return float((math.ceil(scaled) if fraction >= up_from else math.floor(scaled)) / 10**digits)


def _divide(left: Any, right: Any) -> int:
    quotient = abs(_whole(left)) // abs(_whole(right))
    return quotient if (_whole(left) < 0) == (_whole(right) < 0) else -quotient


def _modulo(left: Any, right: Any) -> int:
    return _whole(left) - _divide(left, right) * _whole(right)


def _substring(start: int, end: int, value: str) -> str:
    if start < 0:
        return value[:end]
    return value[start:] if end < 0 or end > len(value) else value[start:end]


def _truncate(length: int, value: str) -> str:
    return value[length:] if length < 0 and len(value) + length > 0 else value[: length if length >= 0 else None]


def _indent(count: int, value: str) -> str:
    return " " * count + value.replace("\n", "\n" + " " * count)


def _numbered(separator: str, value: str, limit: int = -1) -> dict[str, str]:
    return {f"_{place}": part for place, part in enumerate(value.split(separator, limit - 1 if limit > 0 else -1))}


def _dictionary(*pairs: Any) -> dict[str, Any]:
    return {_text(pairs[place]): pairs[place + 1] if place + 1 < len(pairs) else "" for place in range(0, len(pairs), 2)}


def _merged(*maps: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for given in reversed(maps):
        result.update(given)
    return result


def _unique(values: list[Any]) -> list[Any]:
    kept: list[Any] = []
    for value in values:
        if not any(equal(value, other) for other in kept):
            kept.append(value)
    return kept


def _replaced(pattern: str, value: str, by: str) -> str:
    return re.sub(pattern, re.sub(r"\$\{?(\w+)\}?", r"\\g<\1>", by.replace("\\", "\\\\")), value)


def _hash(name: str) -> Callable[[str], str]:
    return lambda value: hashlib.new(name, value.encode(), usedforsecurity=False).hexdigest()


def _random(letters: str) -> Callable[[int], str]:
    return lambda count: "".join(random.choices(letters, k=min(int(count), 10_000)))  # noqa: S311 - as in sprig, no secret is made of it


def _until(stop: int) -> list[int]:
    return list(range(min(int(stop), 100_000)))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "trim": lambda value: value.strip(),
    "trimAll": lambda cut, value: value.strip(cut),
    "trimPrefix": lambda prefix, value: value.removeprefix(prefix),
    "trimSuffix": lambda suffix, value: value.removesuffix(suffix),
    "upper": lambda value: value.upper(),
    "lower": lambda value: value.lower(),
    "title": lambda value: re.sub(r"(^|\s)(\w)", lambda match: match[1] + match[2].upper(), value),
    "repeat": lambda count, value: value * min(int(count), 100_000),
    "substr": _substring,
    "nospace": lambda value: re.sub(r"\s", "", value),
    "trunc": _truncate,
    "contains": lambda part, value: part in value,
    "hasPrefix": lambda prefix, value: value.startswith(prefix),
    "hasSuffix": lambda suffix, value: value.endswith(suffix),
    "quote": lambda *values: " ".join(gotext.quote(_text(value)) for value in values if value is not None),
    "squote": lambda *values: " ".join(f"'{_text(value)}'" for value in values if value is not None),
    "cat": lambda *values: " ".join(_text(value) for value in values if value is not None),
    "indent": _indent,
    "nindent": lambda count, value: "\n" + _indent(count, value),
    "replace": lambda old, new, value: value.replace(old, new),
    "plural": lambda one, many, count: one if count == 1 else many,
    "toString": _text,
    "toStrings": lambda values: [_text(value) for value in values],
    "join": lambda separator, values: separator.join(_text(value) for value in (values if isinstance(values, list) else [values])),
    "splitList": lambda separator, value: value.split(separator) if separator else list(value),
    "split": lambda separator, value: _numbered(separator, value),
    "splitn": lambda separator, limit, value: _numbered(separator, value, limit),
    "sortAlpha": lambda values: sorted(map(_text, values)),
    "default": _default,
    "empty": _empty,
    "coalesce": _coalesce,
    "ternary": lambda yes, no, choice: yes if choice else no,
    "list": lambda *values: list(values),
    "first": lambda values: values[0] if values else None,
    "last": lambda values: values[-1] if values else None,
    "rest": lambda values: values[1:],
    "initial": lambda values: values[:-1],
    "append": lambda values, value: [*values, value],
    "prepend": lambda values, value: [value, *values],
    "concat": lambda *lists: [value for values in lists for value in values],
    "reverse": lambda values: values[::-1],
    "uniq": _unique,
    "without": lambda values, *dropped: [value for value in values if not any(equal(value, other) for other in dropped)],
    "has": lambda needle, values: any(equal(needle, value) for value in values or []),
    "compact": lambda values: [value for value in values if not _empty(value)],
    "until": _until,
    "untilStep": lambda start, stop, step: list(range(start, min(stop, start + 100_000 * abs(step)), step)),
    "dict": _dictionary,
    "get": lambda given, key: given.get(key, ""),
    "hasKey": lambda given, key: key in given,
    "keys": lambda *maps: sorted(key for given in maps for key in given),
    "values": lambda given: [given[key] for key in sorted(given)],
    "pluck": lambda key, *maps: [given[key] for given in maps if key in given],
    "pick": lambda given, *keys: {key: given[key] for key in keys if key in given},
    "omit": lambda given, *keys: {key: value for key, value in given.items() if key not in keys},
    "merge": _merged,
    "int": _whole,
    "int64": _whole,
    "atoi": _whole,
    "float64": _number,
    "add": lambda *values: sum(map(_whole, values)),
    "add1": lambda value: _whole(value) + 1,
    "sub": lambda left, right: _whole(left) - _whole(right),
    "mul": lambda *values: math.prod(map(_whole, values)),
    "div": _divide,
    "mod": _modulo,
    "max": lambda *values: max(map(_whole, values)),
    "min": lambda *values: min(map(_whole, values)),
    "floor": lambda value: float(math.floor(_number(value))),
    "ceil": lambda value: float(math.ceil(_number(value))),
    "round": _rounded,
    "b64enc": lambda value: base64.b64encode(value.encode()).decode(),
    "b64dec": lambda value: base64.b64decode(value).decode(),
    "sha1sum": _hash("sha1"),
    "sha256sum": _hash("sha256"),
    "sha512sum": _hash("sha512"),
    "regexMatch": lambda pattern, value: re.search(pattern, value) is not None,
    "regexFind": lambda pattern, value: match[0] if (match := re.search(pattern, value)) else "",
    "regexFindAll": lambda pattern, value, count: [match[0] for match in re.finditer(pattern, value)][: count if count >= 0 else None],
    "regexReplaceAll": _replaced,
    "regexReplaceAllLiteral": lambda pattern, value, by: re.sub(pattern, lambda _: by, value),
    "regexSplit": lambda pattern, value, count: re.split(pattern, value, maxsplit=count - 1 if count > 0 else 0),
    "toJson": gotext.json_text,
    "toRawJson": lambda value: gotext.unescaped(gotext.json_text(value)),
    "fromJson": json.loads,
    "base": posixpath.basename,
    "dir": posixpath.dirname,
    "ext": lambda value: posixpath.splitext(value)[1],
    "clean": posixpath.normpath,
    "uuidv4": lambda: str(uuid.uuid4()),
    "randAlphaNum": _random(string.ascii_letters + string.digits),
    "randAlpha": _random(string.ascii_letters),
    "randNumeric": _random(string.digits),
}
