"""The parts of an expression (expr-lang), as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Literal:
    value: Any


@dataclass(frozen=True)
class Name:
    name: str


@dataclass(frozen=True)
class Member:
    """`node.key`, `node[key]`; with `optional`, nil where node is nil."""

    node: Node
    key: Node
    optional: bool


@dataclass(frozen=True)
class Chain:
    """What a `?.` may cut short: the whole is nil then."""

    node: Node


@dataclass(frozen=True)
class Slice:
    node: Node
    start: Node | None
    end: Node | None


@dataclass(frozen=True)
class Call:
    callee: Node
    arguments: tuple[Node, ...]


@dataclass(frozen=True)
class Builtin:
    """A call of one of the language's own functions; those over lists have a Predicate among the arguments."""

    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True)
class Predicate:
    body: Node


@dataclass(frozen=True)
class Pointer:
    """`#` (the element at hand), `#index`, `#acc`."""

    name: str


@dataclass(frozen=True)
class Unary:
    operator: str
    node: Node


@dataclass(frozen=True)
class Binary:
    operator: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Conditional:
    condition: Node
    then: Node
    otherwise: Node


@dataclass(frozen=True)
class Array:
    items: tuple[Node, ...]


@dataclass(frozen=True)
class Map:
    pairs: tuple[tuple[Node, Node], ...]


@dataclass(frozen=True)
class Let:
    name: str
    value: Node
    body: Node


@dataclass(frozen=True)
class Sequence:
    nodes: tuple[Node, ...]


Node: TypeAlias = (
    Literal
    | Name
    | Member
    | Chain
    | Slice
    | Call
    | Builtin
    | Predicate
    | Pointer
    | Unary
    | Binary
    | Conditional
    | Array
    | Map
    | Let
    | Sequence
)


def parts(node: Node) -> tuple[Node, ...]:
    """The nodes directly inside a node, as written."""
    match node:
        case Member(inner, key, _):
            return (inner, key)
        case Chain(inner) | Unary(_, inner) | Predicate(inner):
            return (inner,)
        case Slice(inner, start, end):
            return (inner, *(bound for bound in (start, end) if bound is not None))
        case Call(callee, arguments):
            return (callee, *arguments)
        case Builtin(_, arguments):
            return arguments
        case Binary(_, left, right) | Let(_, left, right):
            return (left, right)
        case Conditional(condition, then, otherwise):
            return (condition, then, otherwise)
        case Array(items) | Sequence(items):
            return items
        case Map(pairs):
            return tuple(part for pair in pairs for part in pair)
    return ()
