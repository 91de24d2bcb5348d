"""Expressions and conditions answer as the libraries of Argo's controller do: the table is recorded from them (record/main.go)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.language import evaluate, gotext, names, when
from pipelines.language.errors import EvaluationError

RECORD = json.loads(Path(__file__).with_name("expressions.json").read_text())
ROWS = RECORD["rows"]


def _answer(kind: str, text: str) -> tuple[str, str]:
    try:
        if kind == "when":
            return "value", json.dumps(when.truth(text))
        return "value", gotext.json_text(evaluate.value(text, RECORD["environment"]))
    except EvaluationError as error:
        return "error", str(error)


@pytest.mark.parametrize(("kind", "text", "value", "error"), ROWS, ids=[f"{row[0]}: {row[1]}" for row in ROWS])
def test_answers_as_the_libraries_do(kind: str, text: str, value: str | None, error: str | None) -> None:
    # A `when` must be true or false, which Argo checks after the library has answered.
    expected = "error" if error is not None or (kind == "when" and value not in ("true", "false")) else "value"
    what, answer = _answer(kind, text)
    assert what == expected, answer
    if expected == "value":
        assert answer == value


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=40), st.text("abn01.()[]{}'\"+-*/%<>=!&|?:;,# \\in", max_size=30)))
def test_any_text_gives_a_value_or_a_clear_error(text: str) -> None:
    for kind in ("expr", "when"):
        what, answer = _answer(kind, text)
        assert what in ("value", "error")
        assert answer


@pytest.mark.parametrize("opening", ["(", "[", "-", "!", "{'a':", "1+(", "f("])
def test_deep_nesting_is_refused_not_overflown(opening: str) -> None:
    for kind in ("expr", "when"):
        assert _answer(kind, opening * 5000)[0] == "error"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("item.requiredKey", ["item.requiredKey", "item"]),
        ("item.optionalKey ?? 'fallback'", ["item"]),
        ("item?.optionalKey", ["item"]),
        ("item.a?.b", ["item"]),
        ("tasks.a.outputs.result ?? 'default'", ["tasks"]),
        ("let x = steps.a; x.b", ["steps.a", "steps"]),
        ("map(steps.list, # + retries)", ["steps.list", "steps", "retries"]),
    ],
)
def test_the_variables_that_an_expression_needs(text: str, expected: list[str]) -> None:
    assert sorted(names.variables(text)) == sorted(expected)


def test_functions_that_are_not_there_are_named() -> None:
    assert names.missing_functions("sprig.upper('a') + sprig.nosuch('b') + string(now())") in (
        ["now", "sprig.nosuch"],
        ["sprig.nosuch", "now"],
    )
