"""A `when` (govaluate), before it runs: each tag stands for a word, a number and a boolean in turn."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

from pipelines.check.findings import Path, Problem
from pipelines.check.scope import Scope
from pipelines.language import when
from pipelines.language.errors import EvaluationError

_TAG = re.compile(r"\{\{.*?\}\}", re.DOTALL)
# A tag inside the name of another: {{steps.part-{{item}}.status}}.
_INNER = re.compile(r"(\{\{[^{}=][^{}]*)\{\{[^{}]*\}\}")
_STANDS_FOR = ("1", "word", "true")
_MOST_TAGS = 4


def check(path: Path, text: str, scope: Scope) -> Iterator[Problem]:
    """What is wrong with a condition, whatever its tags will be, or with the values that the workflow gives."""
    text = _INNER.sub(r"\1x", text)
    tags = list(dict.fromkeys(_TAG.findall(text)))
    error = _error(text, tags)
    if error is not None:
        yield Problem("broken-condition", path, f"{text}: {_reason(error)}", _fix(text))
        return
    values = {tag: scope.names.get(tag[2:-2].strip()) for tag in tags}
    given = [value if value is not None else tag for tag, value in values.items()]
    if tags and None not in values.values() and _fails(text, tags, given):
        told = ", ".join(f"{tag} is {value!r}" for tag, value in values.items())
        yield Problem("broken-condition", path, f"{text!r} cannot be read with the workflow's own values: {told}", "put the tags in quotes")


def _error(text: str, tags: Sequence[str]) -> EvaluationError | None:
    """The error that comes whatever the tags stand for, else None."""
    first: EvaluationError | None = None
    choices = itertools.product(_STANDS_FOR, repeat=len(tags)) if len(tags) <= _MOST_TAGS else [(word,) * len(tags) for word in _STANDS_FOR]
    for chosen in choices:
        error = _fails(text, tags, chosen)
        if error is None:
            return None
        first = first or error
    return first if len(tags) <= _MOST_TAGS else None


def _fails(text: str, tags: Sequence[str], values: Sequence[str]) -> EvaluationError | None:
    replaced = dict(zip(tags, values, strict=True))
    try:
        when.truth(_TAG.sub(lambda match: replaced.get(match[0], match[0]), text))
    except EvaluationError as error:
        return error
    return None


def _reason(error: EvaluationError) -> str:
    """Why, without the condition, in which words stand for the tags."""
    return re.sub(r"^[A-Za-z ]+'when' expression '.*': ", "", " ".join(str(error).split()))[:300]


def _fix(text: str) -> str:
    if re.search(r"(?<![=!<>])=(?![=~])", text):
        return "compare with =="
    if re.search(r"\b(and|or|not|AND|OR|NOT)\b", text):
        return "write &&, || and !"
    return "a condition such as '{{...}}' == 'word' && {{...}} > 3; texts with other signs than letters and digits need quotes"
