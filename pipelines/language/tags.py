"""Replace `{{name}}` and `{{=expression}}` in texts, anywhere inside a value.

What cannot be replaced stays (it may be replaced later), unless the caller says that it must be there now.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from pipelines.language import evaluate, gotext, names
from pipelines.language.errors import EvaluationError

Needed = Callable[[str], bool]
# Expressions with these wait until they exist, even where they would evaluate without.
_LATE = {
    "item",
    "retries",
    "lastRetry.exitCode",
    "lastRetry.status",
    "lastRetry.duration",
    "lastRetry.message",
    "workflow.status",
    "workflow.failures",
}


def nothing(_name: str) -> bool:
    """Nothing must be there: what is missing stays as it is."""
    return False


def everything(_name: str) -> bool:
    """Everything must be there."""
    return True


def earlier_nodes(name: str) -> bool:
    """Outputs of steps and tasks must be there; their artifacts are resolved apart."""
    return name.split(".")[0] in ("steps", "tasks") and ".outputs.artifacts." not in name


class Variables:
    """What tags may name, flat: workflow.parameters.A. A value of None is an output that a skipped node does not have."""

    def __init__(self, *layers: Mapping[str, Any]) -> None:
        """Later layers hide earlier ones."""
        self.flat: dict[str, Any] = {}
        for layer in layers:
            self.flat.update(layer)

    @functools.cached_property
    def environment(self) -> dict[str, Any]:
        """The same, nested, for expressions."""
        return evaluate.environment(self.flat)


def replace(value: Any, variables: Variables, needed: Needed = nothing) -> Any:
    """A copy of `value` with its tags replaced. Raises EvaluationError."""
    if isinstance(value, str):
        return replace_text(value, variables, needed) if "{{" in value else value
    if isinstance(value, dict):
        return {key: replace(inner, variables, needed) for key, inner in value.items()}
    if isinstance(value, list):
        return [replace(inner, variables, needed) for inner in value]
    return value


def replace_text(text: str, variables: Variables, needed: Needed = nothing) -> str:
    """The text with its tags replaced. Raises EvaluationError."""
    done: list[str] = []
    position = 0
    while (start := text.find("{{", position)) >= 0:
        end = text.find("}}", start + 2)
        if end < 0:
            raise EvaluationError(f"Cannot find end tag '}}}}' starting from {text[start : start + 60]!r}")
        tag = text[start + 2 : end]
        done += [text[position:start], _expression(tag[1:], variables, needed) if tag.startswith("=") else _name(tag, variables, needed)]
        position = end + 2
    return "".join([*done, text[position:]])


def found(text: str) -> list[str]:
    """The tags of a text, without the braces."""
    tags: list[str] = []
    position = 0
    while (start := text.find("{{", position)) >= 0:
        end = text.find("}}", start + 2)
        if end < 0:
            break
        tags.append(text[start + 2 : end])
        position = end + 2
    return tags


def _name(tag: str, variables: Variables, needed: Needed) -> str:
    name = tag.strip()
    if name in variables.flat:
        return _text(variables.flat[name], tag)
    outer, braces, inner = tag.rpartition("{{")
    if braces and outer and inner in variables.flat:
        return "{{" + outer + _text(variables.flat[inner], tag)
    if needed(name):
        raise EvaluationError(f"failed to resolve {{{{{tag}}}}}")
    return f"{{{{{tag}}}}}"


def _text(value: Any, tag: str) -> str:
    if value is None:
        raise EvaluationError(f"unable to substitute {{{{{tag}}}}}: output is an absent optional (skipped/omitted node with no default)")
    if not isinstance(value, str):
        raise EvaluationError(f"failed to resolve {{{{{tag}}}}} to string")
    return value


def _expression(text: str, variables: Variables, needed: Needed) -> str:
    unresolved = f"{{{{={text}}}}}"
    try:
        missing = [name for name in names.variables(text) if not _has(variables, name)]
    except EvaluationError:
        if needed is nothing:
            return unresolved
        raise
    if absent := next(filter(needed, missing), None):
        raise EvaluationError(f"failed to evaluate expression {text!r}: {absent} is missing")
    may_wait = bool(missing) or needed is nothing
    if may_wait and not _LATE.isdisjoint(missing):
        return unresolved
    try:
        result = evaluate.value_in(text, variables.environment)
    except EvaluationError as error:
        if may_wait:
            return unresolved
        raise EvaluationError(f"failed to evaluate expression {text!r}: {error}") from None
    if result is None:
        if may_wait:
            return unresolved
        raise EvaluationError(f"failed to evaluate expression {text!r}: it is nil")
    return result if isinstance(result, str) else gotext.json_text(result)


def _has(variables: Variables, name: str) -> bool:
    value: Any = variables.environment
    if name in variables.flat:
        return True
    for part in name.split("."):
        if not isinstance(value, dict) or part not in value:
            return False
        value = value[part]
    return True
