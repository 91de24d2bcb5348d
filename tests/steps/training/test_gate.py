"""The gate's decisions, as tables of examples."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps import contract, gate

ATTEMPT = gate.Attempt("missed", 0.7, (0.69, 0.71), "step-500", "evidence.json", "accuracy 0.7 is below the target 0.75")


@pytest.mark.parametrize(
    ("right", "examples", "low", "high"),
    [
        (80, 100, 0.7111708, 0.8666331),
        (0, 10, 0.0, 0.2775328),
        (10, 10, 0.7224672, 1.0),
        (1, 1, 0.2065493, 1.0),
        (8112, 10000, 0.8034, 0.8188),
    ],
)
def test_wilson_interval(right, examples, low, high):
    assert gate.wilson(right / examples, examples) == pytest.approx((low, high), abs=2e-4)


@given(st.integers(1, 10**9), st.floats(0, 1))
def test_interval_holds_the_accuracy(examples, accuracy):
    low, high = gate.wilson(accuracy, examples)
    assert 0 <= low <= accuracy + 1e-9
    assert accuracy - 1e-9 <= high <= 1


@pytest.mark.parametrize(
    ("accuracy", "target", "majority", "verdict", "says"),
    [
        (0.80, 0.75, 0.70, "passed", "reaches the target 0.75"),
        (0.75, 0.75, 0.50, "passed", "reaches the target 0.75"),
        (0.7499, 0.75, 0.50, "missed", "is below the target 0.75"),
        (0.76, 0.75, 0.76, "missed", "always answering the majority class, 0.7600"),
        (0.77, 0.75, 0.768, "missed", "though it reaches the target"),
        (0.60, 0.55, 0.9, "missed", "always answering the majority class"),
        (1.0, 1.0, 0.9, "passed", "reaches the target 1"),
        (0.50, None, 0.9, "unchecked", "always answering the majority class"),
        (0.95, None, 0.9, "unchecked", "no target set"),
    ],
)
def test_verdict(accuracy, target, majority, verdict, says):
    judgement = gate.judge(gate.Result(accuracy, 20_000, 500), target, majority)
    assert judgement.verdict == verdict
    assert says in judgement.reason
    assert f"{accuracy:.4f} [" in judgement.reason


@pytest.mark.parametrize("target", [0.01, 0.5, 0.76])
def test_majority_class_never_passes(target):
    counts = [12435, 3846]
    majority = gate.majority_class_rate(counts)
    assert gate.judge(gate.Result(majority, sum(counts), 1), target, majority).verdict == "missed"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[]",
        "null",
        "{}",
        '{"accuracy": "0.8", "examples": 10, "step": 1}',
        '{"accuracy": 80, "examples": 10, "step": 1}',
        '{"accuracy": -0.1, "examples": 10, "step": 1}',
        '{"accuracy": NaN, "examples": 10, "step": 1}',
        '{"accuracy": true, "examples": 10, "step": 1}',
        '{"accuracy": 0.8, "step": 1}',
        '{"accuracy": 0.8, "examples": 10}',
        '{"accuracy": 0.8, "examples": 9, "step": 1}',
        '{"accuracy": 0.8, "examples": 10.0, "step": 1}',
        '{"accuracy": 0.8, "examples": 10, "step": -1}',
        '{"accuracy": 0.8, "examples": 10, "step": 1, "loss": Infinity}',
        '{"accuracy": 0.8, "examples": 10, "step": 1, "checkpoint": 7}',
        '{"accuracy": 0.8, "examples": 10, "step": 1, "history": [{"step": 1, "loss": NaN}]}',
        '{"accuracy": 0.8, "examples": 10, "step": 1, "history": 5}',
        '{"accuracy": 0.8, "examples": 10, "step": 1, "versions": [1]}',
    ],
)
def test_result_that_is_not_believed(text):
    with pytest.raises(contract.BadInput, match="RESULT: expected"):
        gate.read_result(text, 10)


def test_result_with_the_least_it_must_say():
    assert gate.read_result('{"accuracy": 1, "examples": 10, "step": 0}', 10) == gate.Result(1.0, 10, 0)


@pytest.mark.parametrize(
    ("starts", "attempts", "retries", "restarts", "ends"),
    [
        (0, 0, 0, 0, None),
        (1, 0, 0, 0, contract.StepError),
        (1, 0, 0, 1, None),
        (2, 0, 0, 1, contract.StepError),
        (1, 1, 0, 5, contract.BudgetSpent),
        (1, 1, 1, 0, None),
        (2, 2, 1, 5, contract.BudgetSpent),
        (5, 2, 2, 3, None),
        (6, 2, 2, 3, contract.StepError),
    ],
)
def test_budgets_of_attempts_and_starts_are_apart(starts, attempts, retries, restarts, ends):
    state = gate.State("run", starts, (ATTEMPT,) * attempts)
    if ends is None:
        assert gate.begin(state, gate.Budget(retries, restarts)).starts == starts + 1
    else:
        with pytest.raises(ends) as raised:
            gate.begin(state, gate.Budget(retries, restarts))
        assert raised.type is ends


def test_a_miss_asks_for_another_attempt_until_the_budget_is_spent():
    state, ends = gate.State("run"), []
    for _ in range(3):
        state = gate.finish(gate.begin(state, gate.Budget(2, 0)), ATTEMPT)
        ends.append(gate.missed(state, gate.Budget(2, 0)))
    assert [end.exit_code for end in ends] == [3, 3, 4]
    assert ["attempt 1 of 3" in str(ends[0]), "attempt 2 of 3" in str(ends[1]), "attempt 3 of 3" in str(ends[2])] == [True] * 3


def test_state_survives_its_file():
    state = gate.State("run", 3, (ATTEMPT, gate.Attempt("passed", None, None, None, "e", "r", last=True)))
    assert gate.read_state(gate.write_state(state), "file") == state


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 2}', '{"format": 1, "run": "r", "starts": 1, "attempts": [{}]}'])
def test_state_that_cannot_be_read_names_its_file(text):
    with pytest.raises(contract.BadInput, match=r"attempts-r\.json: expected"):
        gate.read_state(text, "attempts-r.json")


def test_state_is_json():
    assert json.loads(gate.write_state(gate.State("run", 1, (ATTEMPT,))))["attempts"][0]["interval"] == [0.69, 0.71]
