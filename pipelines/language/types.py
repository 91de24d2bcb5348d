"""What the language's compiler knows and refuses before an expression runs: unknown names, sides that can never be compared.

Who knows more than the compiler, such as that every parameter is text, says so with `members`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pipelines.language import names, syntax
from pipelines.language.operators import fail, is_number, named
from pipelines.language.syntax import Node

_SIDES = {
    **dict.fromkeys(("<", "<=", ">", ">="), ({"number"}, {"string"})),
    "+": ({"number"}, {"string"}),
    **dict.fromkeys(("-", "*", "/", "%", "**", ".."), ({"number"},)),
    **dict.fromkeys(("matches", "contains", "startsWith", "endsWith"), ({"string"},)),
    **dict.fromkeys(("&&", "||"), ({"bool"},)),
}
_RESULTS = {
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "in", "matches", "contains", "startsWith", "endsWith", "&&", "||"), "bool"),
    **dict.fromkeys(("-", "*", "/", "%", "**"), "number"),
}
_RETURNS = {**dict.fromkeys(("int", "asInt", "asFloat", "float", "len", "indexOf", "lastIndexOf", "count"), "number")}
_RETURNS |= {**dict.fromkeys(("string", "upper", "lower", "trim", "replace", "join", "toJSON", "type"), "string")}
_RETURNS |= {**dict.fromkeys(("all", "any", "none", "one", "hasPrefix", "hasSuffix"), "bool")}


Members = Callable[[str], str | None]


def _nothing(_path: str) -> None:
    """Nothing is known of members: so it is in the compiler."""


def kind(node: Node, env: Mapping[str, Any], bound: tuple[str, ...] = (), members: Members = _nothing) -> str | None:  # noqa: C901
    """What is known of a node's type, None for nothing. Raises EvaluationError for what the language's compiler refuses.

    `members` tells the type of a dotted path, such as inputs.parameters.x. (One case for each part of the syntax.)
    """
    match node:
        case syntax.Literal(literal):
            return _kind_of(literal)
        case syntax.Name(name):
            if name in bound or name == "$env":
                return None
            if name not in env:
                fail(f"unknown name {name}")
            return members(name) or _kind_of(env[name])
        case syntax.Let(name, given, body):
            kind(given, env, bound, members)
            return kind(body, env, (*bound, name), members)
        case syntax.Call(syntax.Name(name), arguments):
            if name not in env and name not in bound:
                fail(f"unknown name {name}")
            _kinds(arguments, env, bound, members)
            return _RETURNS.get(name)
        case syntax.Unary(operator, inner):
            return _unary_kind(operator, kind(inner, env, bound, members))
        case syntax.Binary(operator, left, right):
            return _binary_kind(operator, kind(left, env, bound, members), kind(right, env, bound, members))
    _kinds(syntax.parts(node), env, bound, members)
    match node:
        case syntax.Builtin(name, _):
            return _RETURNS.get(name)
        case syntax.Member():
            return members(names.path(node) or "")
        case syntax.Array():
            return "array"
        case syntax.Map():
            return "map"
    return None


def _kinds(nodes: tuple[Node, ...], env: Mapping[str, Any], bound: tuple[str, ...], members: Members) -> None:
    for node in nodes:
        kind(node, env, bound, members)


def _kind_of(given: Any) -> str | None:
    return "number" if is_number(given) else named(given) if not callable(given) else None


def _unary_kind(operator: str, inner: str | None) -> str:
    expected = "bool" if operator == "!" else "number"
    if inner not in (None, expected):
        fail(f"invalid operation: {operator} (mismatched type {inner})")
    return expected


def _binary_kind(operator: str, left: str | None, right: str | None) -> str | None:
    mismatch = f"invalid operation: {operator} (mismatched types {left} and {right})"
    if operator in ("==", "!=") and None not in (left, right) and left != right and "nil" not in (left, right):
        fail(mismatch)
    known = {side for side in (left, right) if side is not None}
    if operator in _SIDES and not any(known <= allowed for allowed in _SIDES[operator]):
        fail(mismatch)
    if operator == "in" and right in ("number", "bool", "string"):
        fail(mismatch)
    if operator == "+":
        return left if left == right else None
    return _RESULTS.get(operator)
