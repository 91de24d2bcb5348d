"""The accuracy gate's decisions: what a result is worth, and what the budgets still allow. Pure functions over data."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from steps import contract

Verdict = Literal["passed", "missed", "unchecked"]
Interval = tuple[float, float]

CONFIDENCE = 0.95
_Z = 1.959963984540054  # the normal quantile that leaves (1 - CONFIDENCE) / 2 above it


@dataclass(frozen=True)
class Result:
    """What a training program says of its model: `accuracy` is the share of the `examples` rows of eval that it got right."""

    accuracy: float
    examples: int
    step: int
    checkpoint: str | None = None
    auc: float | None = None
    loss: float | None = None
    history: tuple[Mapping[str, float], ...] = ()
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Judgement:
    """A verdict, the figures it rests on, and the reason in a sentence. Without a believable result the figures are None."""

    verdict: Verdict
    accuracy: float | None
    interval: Interval | None
    reason: str


@dataclass(frozen=True)
class Attempt:
    """An attempt that has been judged. `last` says that the program itself gave up (exit code 4)."""

    verdict: Verdict
    accuracy: float | None
    interval: Interval | None
    checkpoint: str | None
    evidence: str
    reason: str
    last: bool = False


@dataclass(frozen=True)
class State:
    """What has been used up in a run: how often training was started, and the attempts that were judged."""

    run: str
    starts: int = 0
    attempts: tuple[Attempt, ...] = ()

    @property
    def interrupted(self) -> int:
        """Starts that ended without a judgement: kills and faults, which use up no attempt."""
        return self.starts - len(self.attempts)

    @property
    def done(self) -> Attempt | None:
        """The attempt that let the pipeline go on, if there is one."""
        return self.attempts[-1] if self.attempts and self.attempts[-1].verdict != "missed" else None


@dataclass(frozen=True)
class Budget:
    """Attempts allowed after the first, and starts allowed beyond one for each attempt."""

    retries: int
    restarts: int


def wilson(accuracy: float, examples: int) -> Interval:
    """The Wilson score interval of a share of `examples` trials, at CONFIDENCE (E. B. Wilson, 1927)."""
    squared = _Z * _Z / examples
    middle = (accuracy + squared / 2) / (1 + squared)
    half = _Z / (1 + squared) * math.sqrt(accuracy * (1 - accuracy) / examples + squared / (4 * examples))
    return max(0.0, middle - half), min(1.0, middle + half)


def majority_class_rate(class_counts: list[int]) -> float:
    """The accuracy of always answering the class that is most frequent in eval."""
    return max(class_counts) / sum(class_counts)


def read_result(text: str, examples: int) -> Result:
    """A program's RESULT. Raises BadInput for one that cannot be believed: malformed, or not of all `examples` rows of eval."""
    try:
        record = json.loads(text)
        result = _result(record)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        expected = 'expected {"accuracy": 0 to 1, "examples": rows, "step": number, ...}'
        raise contract.BadInput(f"RESULT: {expected}, got {text[:200]!r} ({error!r}); mend the training program") from None
    if result.examples != examples:
        raise contract.BadInput(
            f"RESULT: expected an evaluation of all {examples:,} rows of eval.parquet, got examples {result.examples:,}; "
            "mend the training program"
        )
    return result


def _result(record: Mapping[str, Any]) -> Result:
    optional = {name: None if record.get(name) is None else _number(record, name) for name in ("auc", "loss")}
    result = Result(
        accuracy=_number(record, "accuracy"),
        examples=_whole(record, "examples"),
        step=_whole(record, "step"),
        checkpoint=record.get("checkpoint"),
        history=tuple({name: _number(point, name) for name in point} for point in record.get("history") or ()),
        versions=dict(record.get("versions") or {}),
        **optional,
    )
    if not 0 <= result.accuracy <= 1:
        raise ValueError(f"accuracy {result.accuracy}")
    if not isinstance(result.checkpoint, str | None):
        raise ValueError(f"checkpoint {result.checkpoint!r}")
    return result


def _number(record: Mapping[str, Any], name: str) -> float:
    value = record[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} {value!r}")
    return float(value)


def _whole(record: Mapping[str, Any], name: str) -> int:
    value = record[name]
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{name} {value!r}")
    return value


def judge(result: Result, target: float | None, majority: float) -> Judgement:
    """The verdict on a result. With a target, the interval's lower end must also beat always answering the majority class."""
    interval = wilson(result.accuracy, result.examples)
    said = f"accuracy {describe(result.accuracy, interval)}"
    beats = interval[0] > majority
    trivial = f"not surely better than always answering the majority class, {majority:.4f}"
    if target is None:
        verdict, reason = "unchecked", f"{said}, no target set" + ("" if beats else f"; it is {trivial}")
    elif result.accuracy < target:
        verdict, reason = "missed", f"{said} is below the target {target:g}"
    elif not beats:
        verdict, reason = "missed", f"{said} is {trivial}, though it reaches the target {target:g}"
    else:
        verdict, reason = "passed", f"{said} reaches the target {target:g}"
    return Judgement(verdict, result.accuracy, interval, reason)  # type: ignore[arg-type]


def describe(accuracy: float, interval: Interval) -> str:
    """An accuracy with its interval, for people: `0.7457 [0.7396, 0.7517]`."""
    return f"{accuracy:.4f} [{interval[0]:.4f}, {interval[1]:.4f}]"


def begin(state: State, budget: Budget) -> State:
    """The state after one more start. Raises BudgetSpent where no attempt is left, StepError where no restart is."""
    if state.attempts and attempts_left(state, budget) <= 0:
        raise contract.BudgetSpent(f"{state.attempts[-1].reason}: {_spent(state, budget)}")
    if state.interrupted > budget.restarts:
        raise contract.StepError(
            f"training was started {state.starts} times in this run and {state.interrupted} of the starts ended without a result; "
            f"RESTART_LIMIT allows {budget.restarts}: find out what ends them, then raise RESTART_LIMIT or begin a new run"
        )
    return dataclasses.replace(state, starts=state.starts + 1)


def attempts_left(state: State, budget: Budget) -> int:
    """How many attempts a run may still make."""
    if state.attempts and state.attempts[-1].last:
        return 0
    return max(0, budget.retries + 1 - len(state.attempts))


def missed(state: State, budget: Budget) -> contract.StepError:
    """The end of a start whose attempt, the last in `state`, missed the gate: exit code 3 while attempts are left, then 4."""
    reason = state.attempts[-1].reason
    if attempts_left(state, budget) == 0:
        return contract.BudgetSpent(f"{reason}: {_spent(state, budget)}")
    return contract.BelowTarget(
        f"{reason}: attempt {len(state.attempts)} of {budget.retries + 1}; the next one continues from the checkpoint"
    )


def _spent(state: State, budget: Budget) -> str:
    count = f"attempt {len(state.attempts)} of {budget.retries + 1}"
    why = "the training program gave up" if state.attempts[-1].last else "no attempt is left"
    return (
        f"{count}, {why}; lower TARGET_ACCURACY, or begin a new run, which continues from the checkpoints with RETRY_LIMIT further attempts"
    )


def finish(state: State, attempt: Attempt) -> State:
    """The state after an attempt was judged."""
    return dataclasses.replace(state, attempts=(*state.attempts, attempt))


def write_state(state: State) -> str:
    """A state as the text of its file."""
    return json.dumps({"format": 1, **dataclasses.asdict(state)}, indent=1) + "\n"


def read_state(text: str, where: str) -> State:
    """The state in a file. Raises BadInput for a file that `write_state` did not write."""
    try:
        record = json.loads(text)
        if record.pop("format") != 1:
            raise ValueError("another format")
        attempts = tuple(Attempt(**{**item, "interval": _interval(item["interval"])}) for item in record.pop("attempts"))
        return State(attempts=attempts, **record)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise contract.BadInput(
            f"{where}: expected the count of starts and attempts of this run, got {text[:80]!r} ({error!r}); remove the file to count anew"
        ) from None


def _interval(value: list[float] | None) -> Interval | None:
    return None if value is None else (value[0], value[1])
