"""Expressions and conditions before they run: what the libraries of Argo's controller evaluate is no mistake, and the rest is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.check import conditions, expressions
from pipelines.check.scope import Scope, Told

RECORD = json.loads((Path(__file__).parents[1] / "language" / "expressions.json").read_text())
# They have a value, false for ever: what the author meant is something else.
NEVER_TRUE = {"lastRetry.exitCode == 137", "lastRetry.missing == '3'"}
# They fail for reasons that are not looked at: results that are no JSON, characters of a text, a path that is not there.
UNSEEN = {
    "asFloat('inf')",
    "jsonpath(steps.a.outputs.result, '$.missing')",
    "1/0",
    "-1/0",
    "0/0",
    "item[0]",
    "asInt",
    "sprig",
    "{{steps.a}} == x",
}
SCOPE = Scope.of(
    {name: None for name, value in RECORD["environment"].items() if isinstance(value, str)},
    *(name for name, value in RECORD["environment"].items() if not isinstance(value, str)),
)
ROWS = [(kind, text, error is None and (kind == "expr" or value in ("true", "false"))) for kind, text, value, error in RECORD["rows"]]


@pytest.mark.parametrize(("kind", "text", "evaluates"), ROWS, ids=[f"{kind}: {text}" for kind, text, _ in ROWS])
def test_what_the_libraries_evaluate_is_no_mistake(kind: str, text: str, evaluates: bool) -> None:
    if kind == "expr":
        problems = list(expressions.check(expressions.Text((), text), SCOPE))
    else:
        problems = list(conditions.check((), text, SCOPE)) if text else []
    if text not in UNSEEN and (kind == "expr" or text):
        assert (problems == []) is (evaluates and text not in NEVER_TRUE), problems


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("inputs.parameters.cuont", "inputs.parameters.cuont: the template has no such input; did you mean inputs.parameters.count?"),
        ("inputs.parameters.my-count", "is a subtraction; write inputs.parameters['my-count']"),
        ("steps.roll-it.outputs.result", "is a subtraction; write steps['roll-it']"),
        ("lastRetry.exitCode == 3", "text and a number are never equal"),
        ("inputs.parameters.count > 3", "text and a number cannot be compared"),
        ("asInt(inputs.parameters.count) = 3", "unexpected '='; compare with == (a single = assigns)"),
        ("sprig.uper('a')", "there is no function sprig.uper; did you mean upper?"),
        ("asint('3')", "there is no function asint; did you mean asInt?"),
        ("trim()", "trim takes 1 to 2 arguments, and here are 0"),
        ("asInt(workflow.parameters.mode)", "with the workflow's own values: workflow.parameters.mode is 'fast'"),
        ("missing.name", "there is no variable missing.name"),
    ],
)
def test_what_is_said_of_an_expression(text: str, expected: str) -> None:
    names = {
        "inputs.parameters.count": None,
        "inputs.parameters.my-count": None,
        "workflow.parameters.mode": "fast",
        "lastRetry.exitCode": None,
    }
    told = {"roll-it": _told("outputs.result")}
    scope = Scope.of(names).with_nodes("steps", told, told.__contains__)
    [problem] = expressions.check(expressions.Text((), text), scope)
    assert expected in f"{problem.message}; {problem.fix}"


def _told(*names: str) -> Told:

    return Told(frozenset(names), "roll")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("{{a}} == 1", ""),
        ("'{{a}}' == 'x y'", ""),
        ("{{a}} && {{b}} > 3 && {{c}} == word", ""),
        ("{{a}} in (1, 2)", ""),
        ("{{=asInt('3') > 2}}", ""),
        ("{{steps.part-{{item}}.status}} == Succeeded", ""),
        ("true", ""),
        ("{{a}} == very-fast", "broken-condition"),
        ("{{a}} == x y", "broken-condition"),
        ("{{a}} = 1", "broken-condition"),
        ("{{a}} == 1 or {{b}} == 2", "broken-condition"),
        ("({{a}} == 1", "broken-condition"),
        ("{{a}} + 1", "broken-condition"),
        ("{{mode}} == fast", "broken-condition"),
        ("'{{mode}}' == fast", ""),
    ],
)
def test_conditions(text: str, rule: str) -> None:
    scope = Scope.of({"a": None, "b": None, "c": None, "mode": "very fast"})
    assert [problem.rule for problem in conditions.check((), text, scope)] == ([rule] if rule else [])
