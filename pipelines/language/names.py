"""What an expression mentions: variables, functions."""

from __future__ import annotations

from pipelines.language import builtins, parser, sprig, syntax, words
from pipelines.language.syntax import Node


def variables(text: str) -> list[str]:
    """The variables that an expression needs, as dotted paths; those guarded by ?? or ?. do not count. Raises EvaluationError."""
    found: dict[str, None] = {}
    _collect(parser.parse(text), found, frozenset())
    return list(found)


def missing_functions(text: str) -> list[str]:
    """The functions that an expression calls and that have no row here. Raises EvaluationError."""
    missing: list[str] = []
    pending: list[Node] = [parser.parse(text)]
    while pending:
        node = pending.pop()
        pending += syntax.parts(node)
        match node:
            case syntax.Builtin(name, _) if name not in builtins.FUNCTIONS and name not in words.PREDICATES:
                missing.append(name)
            case syntax.Member(syntax.Name("sprig"), syntax.Literal(name), _) if name not in sprig.FUNCTIONS:
                missing.append(f"sprig.{name}")
    return missing


def path(node: Node) -> str | None:
    """`a.b.c` of a member written out plainly, else None."""
    match node:
        case syntax.Name(name):
            return name
        case syntax.Member(inner, syntax.Literal(str() as key), False):
            before = path(inner)
            return before and f"{before}.{key}"
    return None


def _collect(node: Node, found: dict[str, None], bound: frozenset[str]) -> None:
    match node:
        case syntax.Name(name) if name not in bound:
            found[name] = None
        case syntax.Member(inner, _, optional):
            written = path(node)
            if written and not optional and written.split(".")[0] not in bound:
                found[written] = None
            _collect_guarded(inner, found, bound) if optional else None
        case syntax.Binary("??", left, right):
            _collect_guarded(left, found, bound)
            _collect(right, found, bound)
            return
        case syntax.Let(name, given, body):
            _collect(given, found, bound)
            _collect(body, found, bound | {name})
            return
    if not (isinstance(node, syntax.Member) and node.optional):
        for part in syntax.parts(node):
            _collect(part, found, bound)


def _collect_guarded(node: Node, found: dict[str, None], bound: frozenset[str]) -> None:
    if isinstance(node, (syntax.Member, syntax.Chain)):
        _collect_guarded(node.node, found, bound)
    else:
        _collect(node, found, bound)
