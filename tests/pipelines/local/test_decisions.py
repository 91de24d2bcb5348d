"""Decisions that are pure functions: retries, depends, loops, durations."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.language import gotext
from pipelines.language.errors import EvaluationError
from pipelines.local import depends, loops, retry
from pipelines.local.nodes import moment
from pipelines.local.retry import Again, Finish, Wait

NOW = 1_000_000.0


def _attempt(phase: str, code: str | None = "3", started: float = NOW - 20, took: float = 10, message: str = "m") -> dict[str, Any]:
    outputs = {} if code is None else {"outputs": {"exitCode": code}}
    return {"phase": phase, "message": message, "startedAt": moment(started), "finishedAt": moment(started + took), **outputs}


CAPPED = {"duration": "1m", "factor": "2", "cap": "90s"}
BEYOND = "Backoff would exceed max duration limit"
EXIT_3 = {"limit": 5, "expression": "lastRetry.exitCode == '3' || lastRetry.status == 'Error' || asInt(lastRetry.exitCode) >= 128"}


@pytest.mark.parametrize(
    ("strategy", "attempts", "expected"),
    [
        ({}, [_attempt("Succeeded")], Finish("Succeeded", "")),
        ({}, [_attempt("Failed")] * 50, Again(None)),
        ({"limit": 2}, [_attempt("Failed")] * 2, Again(None)),
        ({"limit": "2"}, [_attempt("Failed")] * 3, Finish("Failed", "No more retries left")),
        ({"limit": 0}, [_attempt("Failed")], Finish("Failed", "No more retries left")),
        ({"limit": 2}, [_attempt("Error")], Finish("Error", "m")),
        ({"limit": 2, "retryPolicy": "OnError"}, [_attempt("Error")], Again(None)),
        ({"limit": 2, "retryPolicy": "OnError"}, [_attempt("Failed")], Finish("Failed", "m")),
        ({"limit": 2, "retryPolicy": "Always"}, [_attempt("Error")], Again(None)),
        ({"limit": 2, "retryPolicy": "OnTransientError"}, [_attempt("Failed")], Finish("Failed", "m")),
        (EXIT_3, [_attempt("Failed", "3")], Again(None)),
        (EXIT_3, [_attempt("Failed", "137")], Again(None)),
        (EXIT_3, [_attempt("Error", None)], Again(None)),
        (EXIT_3, [_attempt("Failed", "2")], Finish("Failed", "retryStrategy.expression evaluated to false")),
        (EXIT_3, [_attempt("Failed", None)], Finish("Failed", "retryStrategy.expression evaluated to false")),
        ({"limit": 1, "expression": "lastRetry.exitCode == '-1'"}, [_attempt("Error", None)], Again(None)),
        ({"expression": "asInt(retries) < 2"}, [_attempt("Failed")] * 2, Again(None)),
        ({"expression": "asInt(retries) < 2"}, [_attempt("Failed")] * 3, Finish("Failed", "retryStrategy.expression evaluated to false")),
        ({"expression": "asFloat(lastRetry.duration) < 11"}, [_attempt("Failed")], Again(None)),
        ({"expression": "lastRetry.message contains 'evict'"}, [_attempt("Failed", message="evicted")], Again(None)),
        ({"limit": 5, "backoff": {"duration": "30s"}}, [_attempt("Failed")], Wait(NOW + 20, "Backoff for 30 seconds")),
        ({"limit": 5, "backoff": {"duration": "10"}}, [_attempt("Failed")], Again(None)),
        ({"limit": 5, "backoff": {"duration": 30, "factor": 2}}, [_attempt("Failed")] * 3, Wait(NOW + 110, "Backoff for 2 minutes")),
        ({"limit": 5, "backoff": CAPPED}, [_attempt("Failed")] * 4, Wait(NOW + 80, "Backoff for 1 minute 30 seconds")),
        ({"limit": 0, "backoff": {"duration": "1m"}}, [_attempt("Failed")], Finish("Failed", "No more retries left")),
        ({"backoff": {"duration": "1s", "maxDuration": "15s"}}, [_attempt("Failed")], Finish("Failed", "Max duration limit exceeded")),
        ({"backoff": {"duration": "30s", "maxDuration": "35s"}}, [_attempt("Failed")], Finish("Failed", BEYOND)),
        ({"limit": 5, "backoff": {"duration": "5s", "maxDuration": "1m"}}, [_attempt("Failed")], Again(NOW + 40)),
    ],
)  # fmt: skip
def test_retry(strategy: dict[str, Any], attempts: list[dict[str, Any]], expected: Finish | Wait | Again) -> None:
    assert retry.decide(strategy, attempts, NOW, None) == expected


def test_retry_ends_at_the_workflow_s_deadline() -> None:
    decision = retry.decide({"limit": 5}, [_attempt("Failed")], NOW, NOW - 1)
    assert isinstance(decision, Finish)
    assert decision.message.startswith("retry exceeded workflow deadline")


@pytest.mark.parametrize(
    "strategy",
    [
        {"backoff": {"factor": 2}},
        {"backoff": {"duration": "soon"}},
        {"limit": "many"},
        {"expression": "lastRetry.exitCode +"},
        {"expression": "1"},
    ],
)
def test_retry_that_cannot_be_evaluated(strategy: dict[str, Any]) -> None:
    with pytest.raises(EvaluationError):
        retry.decide(strategy, [_attempt("Failed")], NOW, None)


def test_a_body_sees_exit_code_0_where_an_expression_sees_minus_1() -> None:
    assert retry.variables([_attempt("Error", None)], "-1")["lastRetry.exitCode"] == "-1"
    assert retry.body_variables([_attempt("Error", None)])["lastRetry.exitCode"] == "0"
    assert retry.body_variables([]) == {
        "retries": "0",
        "lastRetry.exitCode": "0",
        "lastRetry.status": "",
        "lastRetry.duration": "0",
        "lastRetry.message": "",
    }


TASKS = {"A": {"name": "A"}, "B-1": {"name": "B-1", "continueOn": {"failed": True}}, "C": {"name": "C"}}


@pytest.mark.parametrize(
    ("task", "phases", "expected"),
    [
        ({"dependencies": ["A", "C"]}, "Succeeded Failed Succeeded", True),
        ({"dependencies": ["A", "C"]}, "Succeeded Failed Failed", False),
        ({"dependencies": ["A"]}, "Skipped Failed Failed", True),
        ({"dependencies": ["A"]}, "Omitted Failed Failed", False),
        ({"dependencies": ["B-1"]}, "Failed Failed Failed", True),
        ({"dependencies": ["B-1"]}, "Failed Error Failed", False),
        ({"depends": "A"}, "Succeeded Failed Failed", True),
        ({"depends": "A && C"}, "Succeeded Failed Error", False),
        ({"depends": "A || C"}, "Failed Failed Succeeded", True),
        ({"depends": "!A"}, "Failed Failed Failed", True),
        ({"depends": "A.Failed"}, "Failed Failed Failed", True),
        ({"depends": "A.Errored || A.Omitted"}, "Omitted Failed Failed", True),
        ({"depends": "(A.Succeeded || A.Failed) && B-1.Failed"}, "Failed Failed Failed", True),
        ({"depends": "A.Skipped && !C.Succeeded"}, "Skipped Failed Succeeded", False),
    ],
)
def test_depends(task: dict[str, Any], phases: str, expected: bool) -> None:
    ended = {name: {"id": name, "type": "Pod", "phase": phase} for name, phase in zip(TASKS, phases.split(), strict=True)}
    named = {name: ended[name] for name in depends.names(task)}
    assert depends.holds(depends.logic(task, TASKS), named, lambda node: []) is expected


@pytest.mark.parametrize(
    ("text", "phases", "expected"),
    [
        ("A.AnySucceeded", ["Failed", "Succeeded"], True),
        ("A.AnySucceeded", ["Failed", "Failed"], False),
        ("A.AllFailed", ["Failed", "Failed"], True),
        ("A.AllFailed", ["Failed", "Error"], False),
    ],
)
def test_depends_on_a_loop(text: str, phases: list[str], expected: bool) -> None:
    group = {"id": "A", "type": "TaskGroup", "phase": "Failed"}
    assert depends.holds(text, {"A": group}, lambda node: [{"phase": phase} for phase in phases]) is expected


def test_targets_ancestors_and_rings() -> None:
    tasks = {
        name: {"name": name, "dependencies": before}
        for name, before in {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"], "e": ["a"]}.items()
    }
    assert depends.targets({"tasks": list(tasks.values())}) == ["d", "e"]
    assert depends.targets({"tasks": list(tasks.values()), "target": "b c"}) == ["b", "c"]
    assert sorted(depends.ancestors("d", tasks)) == ["a", "b", "c"]
    assert depends.cycle(tasks) is None
    ring = depends.cycle({**tasks, "a": {"name": "a", "dependencies": ["d"]}})
    assert ring is not None
    assert ring[0] == ring[-1]


@pytest.mark.parametrize(
    ("loop", "expected"),
    [
        ({"withItems": ["a", "b c"]}, [("s(0:a)", "a"), ("s(1:b c)", "b c")]),
        ({"withItems": [1, True, 1.5]}, [("s(0:1)", "1"), ("s(1:true)", "true"), ("s(2:1.5)", "1.5")]),
        ({"withItems": [{"n": "x", "m": 2}]}, [("s(0:m:2,n:x)", '{"m":2,"n":"x"}')]),
        ({"withItems": [["a", 1]]}, [("s(0:[a 1])", '["a",1]')]),
        ({"withItems": ["f(x)"]}, [("s(0:fx)", "f(x)")]),
        ({"withParam": '["a", 2]'}, [("s(0:a)", "a"), ("s(1:2)", "2")]),
        ({"withParam": "[]"}, []),
        ({"withSequence": {"count": 2}}, [("s(0:0)", "0"), ("s(1:1)", "1")]),
        ({"withSequence": {"count": "0"}}, []),
        ({"withSequence": {"start": "3", "end": "1"}}, [("s(0:3)", "3"), ("s(1:2)", "2"), ("s(2:1)", "1")]),
        ({"withSequence": {"start": 8, "count": 2, "format": "part%03d"}}, [("s(0:part008)", "part008"), ("s(1:part009)", "part009")]),
        ({"withSequence": {"end": 10, "start": 10, "format": "%x"}}, [("s(0:a)", "a")]),
    ],
)
def test_loops(loop: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    step = {"name": "s", "template": "t", "arguments": {"parameters": [{"name": "p", "value": "{{item}}"}]}, **loop}
    found = loops.expand(step, {})
    assert [(one["name"], one["arguments"]["parameters"][0]["value"]) for one in found] == expected


def test_a_loop_over_maps_names_their_fields() -> None:
    step = {"name": "s", "withItems": [{"os": "x", "n": 1}], "when": "{{item.n}} == 1", "arguments": "{{item.os}}-{{=asInt(item.n) + 1}}"}
    (one,) = loops.expand(step, {})
    assert (one["when"], one["arguments"]) == ("1 == 1", "x-2")


@pytest.mark.parametrize("loop", [{"withParam": "x"}, {"withParam": '{"a": 1}'}, {"withSequence": {}}, {"withSequence": {"count": "x"}}])
def test_loops_that_cannot_be(loop: dict[str, Any]) -> None:
    with pytest.raises(EvaluationError):
        loops.expand({"name": "s", **loop}, {})
    assert loops.expand({"name": "s", "when": "1 == 2", **loop}, {}) == []


@pytest.mark.parametrize(
    ("text", "expected"), [("10", 10), ("1m30s", 90), ("1.5h", 5400), ("100ms", 0.1), ("2h45m10s", 9910), ("-3s", -3), ("0", 0)]
)
def test_durations(text: str, expected: float) -> None:
    assert gotext.duration_or_seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "soon", "1", "5 s", "1d", "s"])
def test_no_durations(text: str) -> None:
    with pytest.raises(EvaluationError):
        gotext.duration_s(text)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, "1"), (1.0, "1"), (1e21, "1000000000000000000000"), (True, "true"), ("x", "x"), (0.1, "0.1"), (1e-7, "0.0000001")],
)
def test_values_of_parameters_as_text(value: object, expected: str) -> None:
    assert gotext.any_string(value) == expected
