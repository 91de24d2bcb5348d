"""Tokens as a tree (expr-lang): precedence climbing over one table of operators."""

from __future__ import annotations

import functools

from pipelines.language import lexer
from pipelines.language.errors import EvaluationError
from pipelines.language.lexer import Kind, Token
from pipelines.language.syntax import (
    Array,
    Binary,
    Builtin,
    Call,
    Chain,
    Conditional,
    Let,
    Literal,
    Map,
    Member,
    Name,
    Node,
    Pointer,
    Predicate,
    Sequence,
    Slice,
    Unary,
)
from pipelines.language.words import BINARY, BUILTINS, COMPARISONS, NEGATABLE, PREDICATES, RIGHT, SYNONYMS, UNARY

_DEPTH, _LENGTH = 80, 20_000
_CONSTANTS = {"true": True, "false": False, "nil": None}


@functools.lru_cache(maxsize=4096)
def parse(text: str, overridden: frozenset[str] = frozenset()) -> Node:
    """The tree of an expression; `overridden` are names of the environment that hide the language's own functions.

    Raises EvaluationError with the place of the mistake.
    """
    if len(text) > _LENGTH:
        raise EvaluationError(f"the expression has {len(text)} characters; at most {_LENGTH} are evaluated")
    parser = _Parser(text, overridden)
    node = parser.sequence()
    if parser.current.kind != "end":
        parser.fail()
    return node


class _Parser:
    def __init__(self, text: str, overridden: frozenset[str]) -> None:
        self._text, self._overridden = text, overridden
        self._tokens = lexer.tokens(text)
        self._position = self._predicates = self._depth = 0

    @property
    def current(self) -> Token:
        return self._tokens[self._position]

    def fail(self) -> None:
        found = repr(self.current.text) if self.current.kind != "end" else "the end"
        raise EvaluationError(f"{self._text!r}: character {self.current.position + 1}: unexpected {found}")

    def _is(self, kind: Kind, *texts: str) -> bool:
        return self.current.kind == kind and (not texts or self.current.text in texts)

    def _take(self, kind: Kind, *texts: str) -> Token:
        if not self._is(kind, *texts):
            self.fail()
        token = self.current
        self._position += 1
        return token

    def _took(self, kind: Kind, *texts: str) -> bool:
        if self._is(kind, *texts):
            self._position += 1
            return True
        return False

    def sequence(self) -> Node:
        nodes = [self.expression()]
        while self._took("operator", ";"):
            if self.current.kind == "end":
                break
            nodes.append(self.expression())
        return nodes[0] if len(nodes) == 1 else Sequence(tuple(nodes))

    def expression(self, precedence: int = 0) -> Node:
        self._depth += 1
        if self._depth > _DEPTH:
            raise EvaluationError(f"the expression is nested more than {_DEPTH} deep")
        try:
            if precedence == 0 and self._took("operator", "let"):
                return self._let()
            if precedence == 0 and self._took("operator", "if"):
                return self._if()
            node = self._operators(self._primary(), precedence)
            return self._conditional(node) if precedence == 0 else node
        finally:
            self._depth -= 1

    def _operators(self, left: Node, precedence: int) -> Node:
        previous = ""
        while self.current.kind == "operator":
            negated = self.current.text == "not"
            token = self._tokens[self._position + 1] if negated else self.current
            rank = BINARY.get(token.text) if token.kind == "operator" else None
            if negated and token.text not in NEGATABLE:
                self.fail()
            if rank is None or rank < precedence:
                break
            self._position += 2 if negated else 1
            if previous == "??" and token.text != "??":
                raise EvaluationError(f"{self._text!r}: {token.text} and ?? cannot be mixed; put one of them into parentheses")
            left = self._binary(left, token.text, rank)
            left = Unary("!", left) if negated else left
            previous = token.text
        return left

    def _binary(self, left: Node, operator: str, rank: int) -> Node:
        if operator == "|":
            return self._call(self._take("name").text, (left,))
        if operator in COMPARISONS:
            return self._comparison(left, operator, rank)
        right = self.expression(rank if operator in RIGHT else rank + 1)
        return Binary(SYNONYMS.get(operator, operator), left, right)

    def _comparison(self, left: Node, operator: str, rank: int) -> Node:
        right = self.expression(rank + 1)
        node: Node = Binary(operator, left, right)
        while self._is("operator", *COMPARISONS):
            operator = self._take("operator").text
            left, right = right, self.expression(rank + 1)
            node = Binary("&&", node, Binary(operator, left, right))
        return node

    def _let(self) -> Node:
        name = self._take("name").text
        self._take("operator", "=")
        value = self.expression()
        self._take("operator", ";")
        return Let(name, value, self.sequence())

    def _if(self) -> Node:
        condition = self.expression()
        then = self._block()
        self._take("operator", "else")
        return Conditional(condition, then, self._if() if self._took("operator", "if") else self._block())

    def _block(self) -> Node:
        self._take("bracket", "{")
        node = self.sequence()
        self._take("bracket", "}")
        return node

    def _conditional(self, node: Node) -> Node:
        while self._took("operator", "?"):
            if self._took("operator", ":"):
                node = Conditional(node, node, self.expression())
                continue
            then = self.expression()
            self._take("operator", ":")
            node = Conditional(node, then, self.expression())
        return node

    def _primary(self) -> Node:
        if self._is("operator", *UNARY):
            operator = self._take("operator").text
            inner = self.expression(UNARY[operator])
            return self._postfix(Unary(SYNONYMS.get(operator, operator), inner))
        if self._took("bracket", "("):
            node = self.sequence()
            self._take("bracket", ")")
            return self._postfix(node)
        if self._predicates and self._is("operator", "#", "."):
            name = ""
            if self._took("operator", "#") and self._is("name"):
                name = self._take("name").text
            return self._postfix(Pointer(name))
        if self._took("operator", "::"):
            return self._postfix(self._call(self._take("name").text, (), own=True))
        return self._secondary()

    def _secondary(self) -> Node:
        token = self.current
        if self._took("name"):
            if token.text in _CONSTANTS:
                return Literal(_CONSTANTS[token.text])
            return self._postfix(self._call(token.text, ()) if self._is("bracket", "(") else Name(token.text))
        if self._took("number"):
            return Literal(_number(token.text))
        if self._took("string"):
            return self._postfix(Literal(token.text))
        if self._took("bracket", "["):
            return self._postfix(Array(self._list("]")))
        if self._took("bracket", "{"):
            return self._postfix(self._map())
        self.fail()
        raise AssertionError

    def _list(self, closing: str) -> tuple[Node, ...]:
        items: list[Node] = []
        while not self._took("bracket", closing):
            if items:
                self._take("operator", ",")
                if self._took("bracket", closing):
                    break
            items.append(self.expression())
        return tuple(items)

    def _map(self) -> Node:
        pairs: list[tuple[Node, Node]] = []
        while not self._took("bracket", "}"):
            if pairs:
                self._take("operator", ",")
                if self._took("bracket", "}"):
                    break
            key: Node
            if self._is("bracket", "("):
                key = self.expression()
            elif self._is("number") or self._is("string") or self._is("name"):
                key = Literal(self.current.text)
                self._position += 1
            else:
                self.fail()
            self._take("operator", ":")
            pairs.append((key, self.expression()))
        return Map(tuple(pairs))

    def _call(self, name: str, given: tuple[Node, ...], own: bool = False) -> Node:
        hidden = name in self._overridden and not own
        self._take("bracket", "(")
        if name in PREDICATES and not hidden:
            return Builtin(name, given + self._predicate_arguments(name, len(given)))
        arguments = given + self._list(")")
        if name in BUILTINS and not hidden:
            return Builtin(name, arguments)
        return Call(Name(name), arguments)

    def _predicate_arguments(self, name: str, given: int) -> tuple[Node, ...]:
        arguments: list[Node] = []
        while not self._took("bracket", ")"):
            if arguments:
                self._take("operator", ",")
                if self._took("bracket", ")"):
                    break
            arguments.append(self._predicate() if given + len(arguments) == 1 else self.expression())
        if given + len(arguments) < PREDICATES[name] or given + len(arguments) > 3:
            raise EvaluationError(f"{self._text!r}: {name}: expected at least {PREDICATES[name]} arguments, got {given + len(arguments)}")
        return tuple(arguments)

    def _predicate(self) -> Node:
        self._predicates += 1
        node = self._block() if self._is("bracket", "{") else self.expression()
        self._predicates -= 1
        return Predicate(node)

    def _postfix(self, node: Node) -> Node:
        while True:
            if self._is("operator", ".", "?."):
                optional = self._take("operator").text == "?."
                indexed = optional and self._took("bracket", "[")
                node = self._index(node, optional) if indexed else self._attribute(node, optional)
            elif self._took("bracket", "["):
                node = self._index(node, False)
            else:
                return node

    def _attribute(self, node: Node, optional: bool) -> Node:
        token = self.current
        if not (token.kind == "name" or (token.kind == "operator" and token.text.isalpha())):
            self.fail()
        self._position += 1
        chained = isinstance(node, Chain)
        inner = node.node if isinstance(node, Chain) else node
        member: Node = Member(inner, Literal(token.text), optional)
        if self._took("bracket", "("):
            member = Call(member, self._list(")"))
        return Chain(member) if chained or optional else member

    def _index(self, node: Node, optional: bool) -> Node:
        start = None if self._is("operator", ":") else self.expression()
        if self._took("operator", ":"):
            end = None if self._is("bracket", "]") else self.expression()
            self._take("bracket", "]")
            return Slice(node, start, end)
        self._take("bracket", "]")
        if start is None:
            self.fail()
            raise AssertionError
        member = Member(node, start, optional)
        return Chain(member) if optional else member


def _number(text: str) -> int | float:
    digits = text.replace("_", "").lower()
    try:
        if digits.startswith(("0x", "0o", "0b")):
            number: int | float = int(digits, 0)
        else:
            number = float(digits) if any(mark in digits for mark in ".e") else int(digits, 10)
    except ValueError:
        raise EvaluationError(f"{text!r} is no number") from None
    if (isinstance(number, int) and number >= 2**63) or number == float("inf"):
        raise EvaluationError(f"{text!r} is too large a number")
    return number
