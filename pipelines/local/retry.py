"""Whether a node is tried again: a pure function of its strategy, its attempts and the time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.language import evaluate, gotext
from pipelines.language.errors import EvaluationError
from pipelines.local import nodes
from pipelines.local.nodes import Node


@dataclass(frozen=True)
class Finish:
    """The Retry node ends, with the phase of its last attempt."""

    phase: str
    message: str


@dataclass(frozen=True)
class Wait:
    """The next attempt starts at a moment (seconds since the epoch)."""

    until: float
    message: str


@dataclass(frozen=True)
class Again:
    """The next attempt starts now; its pod must end before `deadline` (seconds since the epoch), if there is one."""

    deadline: float | None


_POLICIES = {
    "Always": {"Failed", "Error"},
    "OnFailure": {"Failed"},
    "OnError": {"Error"},
    # On one machine no error is a cluster's transient one.
    "OnTransientError": set(),
}
POLICIES = tuple(_POLICIES)
_UNITS = ((86400 * 365, "year"), (86400 * 30, "month"), (86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def policy(strategy: Mapping[str, Any]) -> str:
    """The policy of a strategy: Always where there is an expression, else OnFailure."""
    return str(strategy.get("retryPolicy") or ("Always" if strategy.get("expression") else "OnFailure"))


def decide(strategy: Mapping[str, Any], attempts: Sequence[Node], now: float, deadline: float | None) -> Finish | Wait | Again:
    """What follows the attempts so far, the last of which has ended; `deadline` is the workflow's. Raises EvaluationError."""
    last = attempts[-1]
    if not nodes.failed(last):
        return Finish("Succeeded", "")
    phase = last["phase"]
    if deadline is not None and now > deadline:
        return Finish(phase, f"retry exceeded workflow deadline {nodes.moment(deadline)}")
    end: float | None = None
    pause: Wait | None = None
    if strategy.get("backoff"):
        end = _last_moment(strategy["backoff"], attempts)
        decision = _backed_off(strategy, attempts, now, end)
        if isinstance(decision, Finish):
            return decision
        pause = decision
    if phase not in _POLICIES[policy(strategy)]:
        return Finish(phase, last.get("message", ""))
    limit = _limit(strategy)
    if limit is not None and len(attempts) > limit:
        return Finish(phase, "No more retries left")
    if strategy.get("expression") and not evaluate.truth(strategy["expression"], variables(attempts, "-1")):
        return Finish(phase, "retryStrategy.expression evaluated to false")
    # Argo waits before it asks what is asked above. The answers are the same after the wait, so nobody has to sit it out.
    return pause or Again(end)


def variables(attempts: Sequence[Node], without_exit_code: str) -> dict[str, str]:
    """`lastRetry.*` for an expression, in which an attempt without exit code has "-1"; in a body it has "0"."""
    last = attempts[-1]
    return {
        "retries": str(len(attempts) - 1),
        "lastRetry.exitCode": (last.get("outputs") or {}).get("exitCode", without_exit_code),
        "lastRetry.status": last["phase"],
        "lastRetry.duration": gotext.number(round(nodes.duration_s(last))),
        "lastRetry.message": last.get("message", ""),
    }


def body_variables(attempts: Sequence[Node]) -> dict[str, str]:
    """`retries` and `lastRetry.*` inside the template of the attempt that follows these."""
    if not attempts:
        first = {"lastRetry.exitCode": "0", "lastRetry.duration": "0", "lastRetry.status": "", "lastRetry.message": ""}
        return {"retries": "0", **first}
    return {**variables(attempts, "0"), "retries": str(len(attempts))}


def _limit(strategy: Mapping[str, Any]) -> int | None:
    limit = strategy.get("limit")
    return None if limit in (None, "") else gotext.whole_number(gotext.any_string(limit), "retryStrategy.limit")


def _last_moment(backoff: Mapping[str, Any], attempts: Sequence[Node]) -> float | None:
    longest = backoff.get("maxDuration")
    return nodes.seconds(attempts[0]["startedAt"]) + gotext.duration_or_seconds(str(longest)) if longest else None


def _backed_off(strategy: Mapping[str, Any], attempts: Sequence[Node], now: float, end: float | None) -> Finish | Wait | None:
    backoff, last = strategy["backoff"], attempts[-1]
    if end is not None and now > end:
        return Finish(last["phase"], "Max duration limit exceeded")
    if not backoff.get("duration"):
        raise EvaluationError("no base duration specified for retryStrategy")
    pause = _pause_s(backoff, len(attempts))
    until = nodes.seconds(last["finishedAt"]) + pause
    if end is not None and until > end:
        return Finish(last["phase"], "Backoff would exceed max duration limit")
    limit = _limit(strategy)
    if now < until and limit is not None and len(attempts) <= limit:
        return Wait(until, f"Backoff for {_humanized(pause)}")
    return None


def _pause_s(backoff: Mapping[str, Any], attempts: int) -> float:
    pause = gotext.duration_or_seconds(str(backoff["duration"]))
    factor = backoff.get("factor")
    if factor not in (None, ""):
        times = gotext.whole_number(gotext.any_string(factor), "retryStrategy.backoff.factor")
        if times > 0:
            pause = math.inf if (attempts - 1) * math.log(times) > 60 else pause * times ** (attempts - 1)
    cap = backoff.get("cap")
    return min(pause, gotext.duration_or_seconds(str(cap))) if cap else pause


def _humanized(pause: float) -> str:
    """The two largest units of a time, in words."""
    rest = min(round(pause), 86400 * 36500)
    parts = []
    for size, name in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {name}{'s' if count > 1 else ''}")
    return " ".join(parts[:2]) or "0 seconds"
