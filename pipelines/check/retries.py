"""Retries and times: backoffs that do not wait or always fail, times that Argo cannot read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pipelines.check.findings import Path, Problem
from pipelines.check.model import Flow, Target
from pipelines.language import gotext
from pipelines.language.errors import EvaluationError


def problems(flow: Flow) -> Iterator[Problem]:
    """What is wrong with the retries and times of a workflow."""
    yield from _strategy(flow.spec.get("retryStrategy"), (*flow.path, "retryStrategy"), None)
    yield from _strategy(flow.defaults.get("retryStrategy"), (*flow.path, "templateDefaults", "retryStrategy"), None)
    for target in flow.every:
        yield from _strategy(target.template.get("retryStrategy"), (*target.path, "retryStrategy"), _deadline_s(target))
        yield from _time(target.template.get("timeout", ""), (*target.path, "timeout"), gotext.duration_s)
        yield from _time(target.template.get("memoize", {}).get("maxAge", ""), (*target.path, "memoize", "maxAge"), gotext.duration_s)
        suspended = target.template.get("suspend", {}).get("duration", "")
        yield from _time(suspended, (*target.path, "suspend", "duration"), gotext.duration_or_seconds)


def _strategy(strategy: Mapping[str, Any] | None, path: Path, deadline_s: float | None) -> Iterator[Problem]:
    backoff = (strategy or {}).get("backoff")
    if strategy is None or backoff is None:
        return
    where = (*path, "backoff")
    if not backoff.get("duration"):
        yield Problem(
            "backoff-without-duration", where, "a backoff without duration ends every retry in Error", "write duration, such as 10s"
        )
    if "limit" not in strategy:
        message = "without a limit Argo v4.0.7 tries again at once, whatever the backoff says"
        yield Problem("backoff-without-limit", where, message, "write retryStrategy.limit")
    for field in ("duration", "cap", "maxDuration"):
        yield from _time(backoff.get(field, ""), (*where, field), gotext.duration_or_seconds)
    longest = _seconds(backoff.get("maxDuration", ""))
    if longest is not None and deadline_s is not None and 0 < longest <= deadline_s:
        message = f"it counts from the first attempt's start, and an attempt may take {_shown(deadline_s)}: no time is left for another"
        yield Problem("max-duration-too-short", (*where, "maxDuration"), message, f"write more than {_shown(deadline_s)}")


def _time(text: str, path: Path, read: Callable[[str], float]) -> Iterator[Problem]:
    if not text or "{{" in text:
        return
    try:
        read(text)
    except EvaluationError:
        bare = read is gotext.duration_s and text.isdigit()
        fix = f"write the unit: {text}s" if bare else "write such as 30s, 5m or 1h30m (the largest unit is h)"
        yield Problem("bad-duration", path, f"{text!r} is no time that Argo can read", fix)


def _seconds(text: str) -> float | None:
    try:
        return gotext.duration_or_seconds(text)
    except EvaluationError:
        return None


def _deadline_s(target: Target) -> float | None:
    """The shorter of a template's own deadlines."""
    given = target.template.get("activeDeadlineSeconds")
    timeout = _seconds(target.template.get("timeout", ""))
    found = [float(given)] if isinstance(given, int) else []
    found += [_seconds(given) or 0.0] if isinstance(given, str) and given.isdigit() else []
    return min([*found, *([timeout] if timeout is not None else [])], default=None)


def _shown(seconds: float) -> str:
    return f"{seconds:g} s"
