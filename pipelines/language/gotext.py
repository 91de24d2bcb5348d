"""How Go prints and reads what ends up in a workflow: JSON, `%v`, quoted strings, durations."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from pipelines.language.errors import EvaluationError


class Written(float):
    """A number of JSON that is passed on as it was written: 1.0, 2e3."""

    def __new__(cls, text: str) -> Written:
        """The number of a text."""
        made = super().__new__(cls, text)
        made.text = text
        return made

    text: str


def number(value: float) -> str:
    """A float as `%v` prints it: the shortest text, an exponent from 1e6 on and below 1e-4."""
    return _float(value, 1e-4, 1e6)


def json_text(value: Any) -> str:
    """A value as encoding/json writes it: compact, keys sorted, with <, > and & escaped."""
    text = _json(value)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def parameters_text(parameters: Sequence[Mapping[str, Any]]) -> str:
    """Parameters as `{{inputs.parameters}}` and `{{workflow.parameters}}` show them: JSON, fields in Argo's order."""
    rows = [
        ",".join(f'"{name}":{json_text(_shown(parameter[name]))}' for name in _PARAMETER if name in parameter) for parameter in parameters
    ]
    return "[" + ",".join(f"{{{row}}}" for row in rows) + "]"


def unescaped(text: str) -> str:
    """JSON text with the escapes of <, > and & taken back, as Argo does for items."""
    return text.replace("\\u003c", "<").replace("\\u003e", ">").replace("\\u0026", "&")


def quote(text: str) -> str:
    """A string as strconv.Quote writes it."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\x7f")


def plain(value: Any) -> str:
    """A value as `%v` prints it."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, list):
        return "[" + " ".join(map(plain, value)) + "]"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{plain(value[key])}" for key in sorted(value)) + "]"
    return str(value)


def any_string(value: Any) -> str:
    """A parameter's value: YAML numbers and booleans become strings, a number in full digits."""
    if value is None or isinstance(value, (list, dict)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and abs(value) < 2**53:
        return str(value)
    if isinstance(value, (int, float)):
        return _full_digits(float(value))
    return str(value)


_PARAMETER = ("name", "default", "value", "valueFrom", "globalName", "enum", "description")
_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")


def duration_s(text: str) -> float:
    """Seconds of Go's duration text such as 1m30s. Raises EvaluationError."""
    body = text[1:] if text[:1] in "+-" else text
    parts = list(_DURATION.finditer(body))
    if body == "0":
        return 0.0
    if not parts or "".join(part[0] for part in parts) != body:
        raise EvaluationError(f'time: invalid duration "{text}"; expected such as 30s, 5m or 1h30m')
    total = sum(float(part[1]) * _UNITS_S[part[2]] for part in parts)
    return -total if text[:1] == "-" else total


def duration_or_seconds(text: str) -> float:
    """Seconds of a duration, a bare whole number being seconds. Raises EvaluationError."""
    return float(text) if re.fullmatch(r"[+-]?\d+", text) else duration_s(text)


def whole_number(text: str, what: str) -> int:
    """The whole number of a field that may be an integer or text. Raises EvaluationError."""
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise EvaluationError(f"{what}: expected a whole number, got {text!r}")
    return int(text)


def _shown(value: Any) -> Any:
    return value if isinstance(value, dict) else [any_string(item) for item in value] if isinstance(value, list) else any_string(value)


def _full_digits(value: float) -> str:
    if not math.isfinite(value):
        return {math.inf: "+Inf", -math.inf: "-Inf"}.get(value, "NaN")
    text = f"{Decimal(repr(value)):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _float(value: float, least: float, most: float) -> str:
    if not math.isfinite(value):
        return {math.inf: "+Inf", -math.inf: "-Inf"}.get(value, "NaN")
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    if least <= abs(value) < most:
        return _full_digits(value)
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    power = int(exponent) + len(digits) - 1
    mantissa = "".join(map(str, digits))
    mantissa = mantissa[0] + ("." + mantissa[1:] if len(mantissa) > 1 else "")
    return f"{'-' if sign else ''}{mantissa}e{'-' if power < 0 else '+'}{abs(power):02d}"


def _json(value: Any) -> str:
    if isinstance(value, Written):
        return value.text
    if isinstance(value, float):
        if not math.isfinite(value):
            raise EvaluationError(f"json: unsupported value: {number(value)}")
        text = _float(value, 1e-6, 1e21)
        return re.sub(r"e-0(\d)$", r"e-\1", text)
    if isinstance(value, list):
        return "[" + ",".join(map(_json, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(str(key), ensure_ascii=False)}:{_json(value[key])}" for key in sorted(value)) + "}"
    if callable(value):
        raise EvaluationError("json: unsupported type: func")
    return json.dumps(value, ensure_ascii=False)
