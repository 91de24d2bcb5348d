"""Expressions (expr-lang), before they run: syntax, functions, variables, types; and their value, where all variables are known."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pipelines.check import functions
from pipelines.check.fields import near
from pipelines.check.findings import Path, Problem
from pipelines.check.scope import Scope
from pipelines.language import builtins, evaluate, names, parser, syntax, types, words
from pipelines.language.errors import EvaluationError
from pipelines.language.syntax import Node

_FUNCTIONS = dict.fromkeys(functions.ARGO, len)
_TAG = re.compile(r"\{\{(?!=)([^{}]*)\}\}")


@dataclass(frozen=True)
class Text:
    """An expression in a document: its field, where in the field's text it begins, and what must come out.

    `wanted` is empty for anything, bool, or condition: a boolean, or text that may be one.
    """

    path: Path
    text: str
    offset: int = 0
    wanted: str = ""

    def problem(self, rule: str, message: str, fix: str) -> Problem:
        """What is wrong with it."""
        shown = " ".join(self.text.split())
        return Problem(rule, self.path, f"{shown[:100]}{'...' if len(shown) > 100 else ''}: {message}", fix, self.offset)


def check(given: Text, scope: Scope) -> Iterator[Problem]:
    """What is wrong with an expression; tags inside it count as something that is not known yet."""
    placeholders: dict[str, None] = {}

    def placeholder(match: re.Match[str]) -> str:
        placeholders[f"tag_{match.start()}"] = None
        return f"tag_{match.start()}"

    text = _TAG.sub(placeholder, given.text)
    inner = scope.with_names(placeholders) if placeholders else scope
    try:
        read = _read(text)
    except EvaluationError as error:
        yield given.problem("broken-expression", _without_text(error), _hint(given.text))
        return
    found = [given.problem(*wrong) for wrong in read.wrong] or list(_variables(read, inner, given))
    found = found or list(_types(read.node, inner, given, placeholders))
    yield from found
    if not found and not placeholders:
        yield from _value(text, read.needed, scope, given)


@dataclass(frozen=True)
class _Read:
    """What an expression says by itself: its tree, the variables it needs, and its wrong functions (rule, message, fix)."""

    node: Node
    needed: tuple[str, ...]
    wrong: tuple[tuple[str, str, str], ...]


@functools.lru_cache(maxsize=4096)
def _read(text: str) -> _Read:
    node = parser.parse(text)
    said = [name.removeprefix("$env.") for name in names.variables(text)]
    needed = tuple(name for name in said if name.split(".")[0] not in functions.ARGO)
    return _Read(node, needed, tuple(_functions(node)))


def _without_text(error: EvaluationError) -> str:
    return re.sub(r"^(['\"]).*\1: ", "", str(error), flags=re.DOTALL)


def _hint(text: str) -> str:
    if re.search(r"(?<![=!<>])=(?!=)", text) and "let " not in text:
        return "compare with == (a single = assigns)"
    if re.search(r"\$\{|\bAND\b|\bOR\b|<>", text):
        return "write the operators of the expression language: &&, ||, !, ==, !="
    return "see https://expr-lang.org/docs/language-definition"


def _all(node: Node) -> Iterator[Node]:
    pending = [node]
    while pending:
        node = pending.pop()
        pending += syntax.parts(node)
        yield node


def _functions(node: Node) -> Iterator[tuple[str, str, str]]:
    for part in _all(node):
        match part:
            case syntax.Call(syntax.Name(name), _) if name not in functions.ARGO:
                known = [*words.BUILTINS, *words.PREDICATES, *functions.ARGO - {"sprig"}]
                yield "unknown-function", f"there is no function {name}", near(name, known)
            case syntax.Member(syntax.Name("sprig"), syntax.Literal(str() as name), _) if name not in functions.SPRIG:
                yield "unknown-function", f"there is no function sprig.{name}", near(name, functions.SPRIG)
            case syntax.Builtin(name, arguments) if name in builtins.FUNCTIONS:
                _, least, most = builtins.FUNCTIONS[name]
                if not least <= len(arguments) <= most:
                    count = str(least) if least == most else f"{least} to {most}"
                    yield "expression-type", f"{name} takes {count} arguments, and here are {len(arguments)}", f"give {count}"


def _variables(read: _Read, scope: Scope, given: Text) -> Iterator[Problem]:
    for name in read.needed:
        if name == "$env" or scope.has(name) or scope.begins(name) or any(other.startswith(f"{name}.") for other in read.needed):
            continue
        hyphened = _hyphened(read.node, name, scope)
        if hyphened:
            yield given.problem("undefined-variable", f"{name} - ... is a subtraction", f"write {hyphened}")
            return
        first = name.split(".")[0]
        nobody = (f"there is no variable {name}", near(name, scope.roots))
        missing = scope.missing(name) if first in scope.roots or first in ("steps", "tasks", "item") else nobody
        yield given.problem("undefined-variable", *(missing or nobody))


def _hyphened(node: Node, name: str, scope: Scope) -> str:
    """`steps['my-step']` where a name with a hyphen was written as steps.my-step."""
    for part in _all(node):
        match part:
            case syntax.Binary("-", left, _) if names.path(left) == name:
                owner, _, last = name.rpartition(".")
                known = [*scope.names, *(f"{scope.nodes.prefix}.{each}" for each in scope.nodes.all)]
                full = next((each for each in known if each.startswith(f"{owner}.{last}-")), "")
                return f"{owner}['{full.removeprefix(f'{owner}.')}']" if full and owner else ""
    return ""


def _types(node: Node, scope: Scope, given: Text, placeholders: dict[str, None]) -> Iterator[Problem]:
    def member(path: str) -> str | None:
        is_text = path and path not in placeholders and path.split(".")[0] not in functions.ARGO and scope.known(path)
        return "string" if is_text else None

    env: dict[str, Any] = {**dict.fromkeys((root.split("[")[0] for root in scope.roots), _Unknown()), **_FUNCTIONS}
    try:
        kind = types.kind(node, env, (), member)
    except EvaluationError as error:
        yield given.problem("expression-type", *_mismatch(str(error)))
        return
    except RecursionError:
        yield given.problem("broken-expression", "it is nested too deep", "make it shorter")
        return
    if given.wanted and kind not in (None, "bool", "string" if given.wanted == "condition" else "bool"):
        message = f"expected true or false, and this gives a {kind}"
        yield given.problem("expression-type", message, "compare it with something: ... == '...'")


class _Unknown:
    """Stands for a value of which nothing is known."""

    def __call__(self) -> None:
        """The language's types take what can be called for something unknown."""


def _mismatch(message: str) -> tuple[str, str]:
    if "string" in message and "number" in message:
        what = "text and a number are never equal" if "==" in message or "!=" in message else "text and a number cannot be compared"
        return what, "put the number in quotes, or convert the text with asInt(...)"
    return message, "make both sides of one type: asInt(...), asFloat(...), string(...)"


def _value(text: str, needed: tuple[str, ...], scope: Scope, given: Text) -> Iterator[Problem]:
    """What goes wrong with constants, and with the values that the workflow gives its parameters."""
    whole = [name for name in needed if not any(other.startswith(f"{name}.") for other in needed)]
    values = {name: scope.names.get(name) for name in whole}
    if None in values.values() or names.missing_functions(text):
        return
    try:
        evaluate.value(text, values)
    except EvaluationError as error:
        if "not supported" in str(error):
            return  # the language has more than the runner
        told = ", ".join(f"{name} is {value!r}" for name, value in values.items())
        message = f"{error} (with the workflow's own values: {told})" if told else str(error)
        yield given.problem("expression-value", message, "change the value or the expression")


def tag_problems(path: Path, text: str, scope: Scope, check_name: Callable[[str, int], Iterator[Problem]]) -> Iterator[Problem]:
    """The problems of all tags of a text: expressions here, names by `check_name(name, offset)`."""
    position = 0
    while (start := text.find("{{", position)) >= 0:
        end = text.find("}}", start + 2)
        if end < 0:
            if re.match(r"\{\{=|\{\{ *(workflow|inputs|outputs|steps|tasks|item|pod|retries|lastRetry)\b", text[start:]):
                yield Problem("unclosed-tag", path, f"{text[start : start + 40]!r} has no end", "close it with }}", start)
            return
        tag = text[start + 2 : end]
        position = end + 2
        if tag.startswith("="):
            yield from check(Text(path, tag[1:], start), scope)
        else:
            yield from check_name(tag.rpartition("{{")[2].strip(), start)
