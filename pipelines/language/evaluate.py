"""Evaluate an expression (expr-lang) in an environment: `value(text, variables)`.

Types are checked as the language's compiler does: a name that is not there, or two sides that can never be compared, is an
error even in a branch that is not taken. What the compiler cannot know (fields of maps) is decided by the values.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from pipelines.language import builtins, gotext, jsonpath, names, parser, sprig, syntax, types, words
from pipelines.language.errors import EvaluationError
from pipelines.language.operators import BINARY, equal, fail, fetch, less, named, negated, sliced
from pipelines.language.syntax import Node


def environment(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Flat names such as workflow.parameters.A as nested maps, with the functions that Argo adds.

    A name that is also the beginning of longer names gives way to them.
    """
    nested: dict[str, Any] = {}
    for name in sorted(variables):
        *path, last = name.split(".")
        inner = nested
        for part in path:
            if not isinstance(inner.get(part), dict):
                inner[part] = {}
            inner = inner[part]
        inner[last] = variables[name]
    return {**nested, **_FUNCTIONS}


def value(text: str, variables: Mapping[str, Any]) -> Any:
    """The value of an expression. Raises EvaluationError."""
    return value_in(text, environment(variables))


def value_in(text: str, env: Mapping[str, Any]) -> Any:
    """The value of an expression in an environment made by `environment`. Raises EvaluationError."""
    return _carried_out(text, _compiled(text, env), env)


def _compiled(text: str, env: Mapping[str, Any]) -> Node:
    node = parser.parse(text, frozenset(env))
    types.kind(node, env, ())
    return node


def _carried_out(text: str, node: Node, env: Mapping[str, Any]) -> Any:
    try:
        return _Evaluation(env).of(node)
    except RecursionError:
        raise EvaluationError(f"{text[:80]!r}: nested too deep") from None


def truth(text: str, variables: Mapping[str, Any]) -> bool:
    """The value of an expression that must be true or false. Raises EvaluationError.

    As Argo does, the message names the expression where it could be compiled: a retry may look for words of it in `lastRetry.message`.
    """
    env = environment(variables)
    node = _compiled(text, env)
    try:
        result = _carried_out(text, node, env)
    except EvaluationError as error:
        raise EvaluationError(f"unable to evaluate expression '{text}': {error}") from None
    if not isinstance(result, bool):
        raise EvaluationError(f"unable to cast expression result '{gotext.plain(result)}' to bool: {text}")
    return result


class _Cut(Exception):
    """A `?.` met nil."""


class _Evaluation:
    def __init__(self, env: Mapping[str, Any]) -> None:
        self._env: dict[str, Any] = dict(env)
        self._pointers: list[dict[str, Any]] = []

    def of(self, node: Node) -> Any:  # noqa: C901 - one case for each part of the syntax
        match node:
            case syntax.Literal(literal):
                return literal
            case syntax.Name(name):
                return dict(self._env) if name == "$env" else self._env[name]
            case syntax.Member(inner, key, optional):
                return self._member(self.of(inner), key, optional)
            case syntax.Chain(inner):
                return self._chain(inner)
            case syntax.Slice(inner, start, end):
                return sliced(self.of(inner), start and self.of(start), end and self.of(end))
            case syntax.Call(callee, arguments):
                return self._call(callee, [self.of(argument) for argument in arguments])
            case syntax.Builtin(name, arguments) if name in words.PREDICATES:
                return self._over_list(name, arguments)
            case syntax.Builtin(name, arguments):
                return builtins.call(name, [self.of(argument) for argument in arguments])
            case syntax.Unary(operator, inner):
                return not self._bool(inner, operator) if operator == "!" else self._signed(operator, self.of(inner))
            case syntax.Binary(operator, left, right):
                return self._binary(operator, left, right)
            case syntax.Conditional(condition, then, otherwise):
                return self.of(then if self._bool(condition, "?:") else otherwise)
            case syntax.Array(items):
                return [self.of(item) for item in items]
            case syntax.Map(pairs):
                return {gotext.plain(self.of(key)): self.of(given) for key, given in pairs}
            case syntax.Let(name, given, body):
                return self._let(name, self.of(given), body)
            case syntax.Sequence(nodes):
                return [self.of(part) for part in nodes][-1]
            case syntax.Pointer(name):
                return self._pointers[-1][name] if name else self._pointers[-1]["#"]
        raise AssertionError(node)

    def _member(self, inner: Any, key: Node, optional: bool) -> Any:
        if inner is None and optional:
            raise _Cut
        return fetch(inner, self.of(key))

    def _chain(self, inner: Node) -> Any:
        try:
            return self.of(inner)
        except _Cut:
            return None

    def _call(self, callee: Node, arguments: list[Any]) -> Any:
        function = self.of(callee)
        if not callable(function):
            fail(f"{names.path(callee) or 'a value'} is no function")
        return builtins.checked(names.path(callee) or "function", function, 0, 1_000_000, arguments)

    def _signed(self, operator: str, inner: Any) -> Any:
        return negated(inner) if operator == "-" else -negated(inner)

    def _bool(self, node: Node, operator: str) -> bool:
        result = self.of(node)
        return result if isinstance(result, bool) else fail(f"invalid operation: {operator} on {named(result)}")

    def _binary(self, operator: str, left: Node, right: Node) -> Any:
        if operator == "&&":
            return self._bool(left, operator) and self._bool(right, operator)
        if operator == "||":
            return self._bool(left, operator) or self._bool(right, operator)
        if operator == "??":
            first = self._chain(left)
            return self.of(right) if first is None else first
        return BINARY[operator](self.of(left), self.of(right))

    def _let(self, name: str, given: Any, body: Node) -> Any:
        before = dict(self._env)
        self._env[name] = given
        try:
            return self.of(body)
        finally:
            self._env = before

    def _over_list(self, name: str, arguments: tuple[Node, ...]) -> Any:
        values = builtins.array(self.of(arguments[0]))
        body = arguments[1].body if len(arguments) > 1 and isinstance(arguments[1], syntax.Predicate) else None
        extra = [self.of(argument) for argument in arguments[2:]]
        if name == "reduce":
            return self._reduce(values, body, extra)

        def applied(place: int) -> Any:
            return values[place] if body is None else self._at(body, {"#": values[place], "index": place})

        return _OVER_LISTS[name](values, applied, *extra)

    def _reduce(self, values: list[Any], body: Node | None, extra: list[Any]) -> Any:
        if body is None or not (values or extra):
            fail("reduce of empty array with no initial value")
        result, rest = (extra[0], values) if extra else (values[0], values[1:])
        for place, given in enumerate(rest, start=len(values) - len(rest)):
            result = self._at(body, {"#": given, "index": place, "acc": result})
        return result

    def _at(self, body: Node, pointers: dict[str, Any]) -> Any:
        self._pointers.append(pointers)
        try:
            return self.of(body)
        finally:
            self._pointers.pop()


def _holds(applied: Callable[[int], Any], place: int) -> bool:
    result = applied(place)
    return result if isinstance(result, bool) else fail(f"a predicate must be true or false, got {named(result)}")


def _places(values: list[Any], applied: Callable[[int], Any]) -> list[int]:
    return [place for place in range(len(values)) if _holds(applied, place)]


def _grouped(values: list[Any], applied: Callable[[int], Any]) -> dict[str, list[Any]]:
    groups: dict[str, list[Any]] = {}
    for place, given in enumerate(values):
        groups.setdefault(gotext.plain(applied(place)), []).append(given)
    return groups


def _sorted_by(values: list[Any], applied: Callable[[int], Any], order: str = "asc") -> list[Any]:
    keys = [applied(place) for place in range(len(values))]
    if order not in ("asc", "desc"):
        fail(f"unknown order {order}, expected asc or desc")
    ranked = builtins.sort([key for place, key in enumerate(keys) if not any(equal(key, before) for before in keys[:place])], order)
    return [values[place] for rank in ranked for place in range(len(values)) if not less(keys[place], rank) and not less(rank, keys[place])]


_OVER_LISTS: dict[str, Callable[..., Any]] = {
    "all": lambda values, applied: all(_holds(applied, place) for place in range(len(values))),
    "none": lambda values, applied: not any(_holds(applied, place) for place in range(len(values))),
    "any": lambda values, applied: any(_holds(applied, place) for place in range(len(values))),
    "one": lambda values, applied: len(_places(values, applied)) == 1,
    "filter": lambda values, applied: [values[place] for place in _places(values, applied)],
    "map": lambda values, applied: [applied(place) for place in range(len(values))],
    "count": lambda values, applied: len(_places(values, applied)),
    "sum": lambda values, applied: sum(builtins.numbers(*[applied(place) for place in range(len(values))])),
    "find": lambda values, applied: next((values[place] for place in range(len(values)) if _holds(applied, place)), None),
    "findIndex": lambda values, applied: next((place for place in range(len(values)) if _holds(applied, place)), None),
    "findLast": lambda values, applied: next((values[place] for place in reversed(_places(values, applied))), None),
    "findLastIndex": lambda values, applied: next(iter(reversed(_places(values, applied))), None),
    "groupBy": _grouped,
    "sortBy": _sorted_by,
}


def _jsonpath(document: str, query: str) -> Any:
    return jsonpath.query(json.loads(builtins.text(document)), query)


_FUNCTIONS: dict[str, Any] = {
    "asInt": builtins.to_int,
    "asFloat": builtins.to_float,
    "jsonpath": _jsonpath,
    "toJson": gotext.json_text,
    "sprig": sprig.FUNCTIONS,
}
