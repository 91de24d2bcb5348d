"""Conditions on a Kubernetes object, in the language of label selectors over the paths of its fields: `status.succeeded > 2`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.language import gotext
from pipelines.language.errors import EvaluationError

_KEY = r"[A-Za-z0-9](?:[-\w./]*[A-Za-z0-9])?"
_SET = re.compile(rf"\s*({_KEY})\s+(in|notin)\s*\(([^()]*)\)\s*(?:,|$)")
_PAIR = re.compile(rf"\s*({_KEY})\s*(==|=|!=|>|<)\s*([-\w.]*)\s*(?:,|$)")
_BARE = re.compile(rf"\s*(!?)\s*({_KEY})\s*(?:,|$)")


@dataclass(frozen=True)
class Requirement:
    """One condition: the path of a field, an operator (=, ==, !=, in, notin, >, <, exists, !), and the values."""

    path: str
    operator: str
    values: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{{{self.path} {self.operator} [{' '.join(self.values)}]}}"

    def holds(self, thing: Any) -> bool:
        """Whether it is true of an object."""
        found = _at(thing, self.path)
        if self.operator in ("exists", "!"):
            return (found is not None) == (self.operator == "exists")
        if self.operator in ("!=", "notin"):
            return found not in self.values
        if self.operator in (">", "<"):
            return _compared(found, self.operator, self.values[0])
        return found in self.values


def parsed(text: str) -> list[Requirement]:
    """The conditions of a text, all of which must hold. Raises EvaluationError."""
    found: list[Requirement] = []
    position = 0
    while position < len(text.rstrip()):
        if match := _SET.match(text, position):
            values = tuple(sorted(part.strip() for part in match[3].split(",")))
            found.append(Requirement(match[1], match[2], values))
        elif match := _PAIR.match(text, position):
            if match[2] in "<>" and not re.fullmatch(r"-?\d+", match[3]):
                raise EvaluationError(f"{text!r}: {match[2]} compares whole numbers, got {match[3]!r}")
            found.append(Requirement(match[1], match[2], (match[3],)))
        elif match := _BARE.match(text, position):
            found.append(Requirement(match[2], match[1] or "exists"))
        else:
            raise EvaluationError(f"{text!r}: expected conditions such as status.phase == Succeeded, got {text[position:]!r}")
        position = match.end()
    return found


def _compared(found: str | None, operator: str, limit: str) -> bool:
    if found is None or not re.fullmatch(r"[-+]?\d+", found):
        return False
    return int(found) > int(limit) if operator == ">" else int(found) < int(limit)


def _at(thing: Any, path: str) -> str | None:
    """A field as text; None where there is none."""
    for part in path.split("."):
        if isinstance(thing, Mapping) and part in thing:
            thing = thing[part]
        elif isinstance(thing, list) and part.isdigit() and int(part) < len(thing):
            thing = thing[int(part)]
        else:
            return None
    return "" if thing is None else thing if isinstance(thing, str) else gotext.json_text(thing)
