"""Service level objectives: `p99<10ms`, `errors<0.1%`, `throughput>1000/s`, `accuracy>=0.8`; met, not met, or not to be said."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from clients.benchmark.errors import BadInput
from clients.benchmark.statistics.histogram import Histogram
from clients.benchmark.statistics.intervals import samples_needed

_FORM = re.compile(r"\s*(p[0-9]+(?:\.[0-9]+)?|[a-z]+)\s*(<=|>=|<|>)\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([a-zµ%/]*)\s*")
_OPERATORS: dict[str, Callable[[float, float], bool]] = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_TIMES = {"us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9}
_SHARES = {"%": 0.01, "": 1.0}
# What can be required: the units that its limit may have, and what each is worth.
_UNITS = {
    "errors": _SHARES,
    "accuracy": _SHARES,
    "throughput": {"/s": 1.0},
    "requests": {"/s": 1.0},
    "mean": _TIMES,
    "max": _TIMES,
}


@dataclass(frozen=True)
class Requirement:
    """`metric` is a key of _UNITS, or `latency` at the quantile `level`; `limit` is in nanoseconds, a share, or a number per second."""

    text: str
    metric: str
    level: float
    comparison: str
    limit: float

    def holds(self, value: float) -> bool:
        """Whether a value is as required."""
        return _OPERATORS[self.comparison](value, self.limit)


@dataclass(frozen=True)
class Facts:
    """What a requirement is compared with: the latencies of the measured calls, how many of them failed, were shed or timed out
    (for an objective they never ended), rows and requests per second, and the accuracy, None where it was not measured."""

    latency: Histogram
    failed: int
    rows_per_s: float
    requests_per_s: float
    accuracy: float | None

    @property
    def calls(self) -> int:
        """All measured calls."""
        return self.latency.totals.count + self.failed


@dataclass(frozen=True)
class Verdict:
    """`met` is None where it cannot be said; then, as everywhere, `got` says what was measured or is missing."""

    requirement: str
    met: bool | None
    got: str

    def __str__(self) -> str:
        return f"{self.requirement}: {'cannot be said' if self.met is None else 'met' if self.met else 'not met'}, {self.got}"


def parse(text: str) -> Requirement:
    """A requirement from its text. Raises BadInput where it is none."""
    form = _FORM.fullmatch(text)
    if not form:
        raise _malformed(text, "METRIC, one of < <= > >=, and a number with its unit")
    name, comparison, number, unit = form.groups()
    percentile = float(name[1:]) if name[0] == "p" and name[1:2].isdigit() else None
    if percentile is not None and not 0 < percentile < 100:
        raise _malformed(text, "a percentile between p0 and p100")
    units = _TIMES if percentile is not None else _UNITS.get(name)
    if units is None:
        raise _malformed(text, f"one of p50, p99, p99.9 (any percentile), {', '.join(_UNITS)}, got {name}")
    if unit not in units:
        known = " or ".join(unit or "a plain number" for unit in units if unit != "µs")
        raise _malformed(text, f"{name} in {known}, got {unit or 'no unit'}")
    limit = float(number) * units[unit]
    if units is _SHARES and limit > 1:
        raise _malformed(text, "a share of at most 1, or 100%")
    if percentile is None:
        return Requirement(text.strip(), name, math.nan, comparison, limit)
    return Requirement(text.strip(), "latency", percentile / 100, comparison, limit)


def judge(requirement: Requirement, facts: Facts) -> Verdict:
    """Whether a run met a requirement. Calls without an answer count as infinitely slow."""
    return _JUDGES[requirement.metric](requirement, facts)


def _latency(requirement: Requirement, facts: Facts) -> Verdict:
    needed = samples_needed(requirement.level)
    if facts.calls < needed:
        return Verdict(requirement.text, None, f"{facts.calls:,} calls were measured, {needed:,} are needed to say so")
    return _of(requirement, facts.latency.quantile_ns(requirement.level, facts.failed), _time(facts))


def _mean(requirement: Requirement, facts: Facts) -> Verdict:
    return _of(requirement, math.inf if facts.failed else facts.latency.mean_ns, _time(facts))


def _max(requirement: Requirement, facts: Facts) -> Verdict:
    return _of(requirement, math.inf if facts.failed else float(facts.latency.totals.max_ns), _time(facts))


def _errors(requirement: Requirement, facts: Facts) -> Verdict:
    share = facts.failed / facts.calls
    got = f"{facts.failed:,} of {facts.calls:,} calls failed"
    # That few calls failed says little of how many would: as with a percentile, so many are needed that it shows.
    needed = samples_needed(1 - requirement.limit) if 0 < requirement.limit < 1 else 1
    if requirement.holds(share) and facts.calls < needed:
        return Verdict(requirement.text, None, f"{got}, {needed:,} are needed to say so")
    return Verdict(requirement.text, requirement.holds(share), got)


def _accuracy(requirement: Requirement, facts: Facts) -> Verdict:
    if facts.accuracy is None:
        return Verdict(requirement.text, None, "accuracy was not measured")
    return Verdict(requirement.text, requirement.holds(facts.accuracy), f"{facts.accuracy:.4f}")


def _throughput(requirement: Requirement, facts: Facts) -> Verdict:
    return Verdict(requirement.text, requirement.holds(facts.rows_per_s), f"{facts.rows_per_s:,.6g} rows/s")


def _requests(requirement: Requirement, facts: Facts) -> Verdict:
    return Verdict(requirement.text, requirement.holds(facts.requests_per_s), f"{facts.requests_per_s:,.6g} requests/s")


def _of(requirement: Requirement, value_ns: float, words: Callable[[float], str]) -> Verdict:
    return Verdict(requirement.text, requirement.holds(value_ns), words(value_ns))


def _time(facts: Facts) -> Callable[[float], str]:
    failed = f", {facts.failed:,} failed calls counted as never answered" if facts.failed else ""
    return lambda value_ns: f"{value_ns / 1e6:.4g} ms{failed}" if math.isfinite(value_ns) else f"not answered at all{failed}"


def _malformed(text: str, expected: str) -> BadInput:
    return BadInput(f"requirement {text!r}: expected {expected}; such as 'p99<10ms', 'errors<0.1%', 'throughput>1000/s', 'accuracy>=0.8'")


_JUDGES = {
    "latency": _latency,
    "mean": _mean,
    "max": _max,
    "errors": _errors,
    "accuracy": _accuracy,
    "throughput": _throughput,
    "requests": _requests,
}
