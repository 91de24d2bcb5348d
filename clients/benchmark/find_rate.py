"""The highest rate that holds some objectives: doubled until it does not, then halved between, then confirmed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from clients.benchmark.errors import BadInput, Interrupted, NothingSucceeded
from clients.benchmark.objectives import verdicts
from clients.benchmark.report.words import figure
from clients.benchmark.running import run
from clients.benchmark.settings import Settings
from clients.benchmark.statistics.intervals import samples_needed
from clients.benchmark.statistics.requirements import Requirement, Verdict, parse
from clients.benchmark.summary import Result
from clients.benchmark.sweep import Cell

# No search has more runs than this; bisection ends when the rate is known this well.
MOST_TRIALS, CLOSE = 24, 1.05
_LEAST_S, _MOST_S, _WARM_UP_S = 2.0, 120.0, 0.5
# The confirming run is so much longer than a trial, and begins again so much lower where it fails.
_CONFIRM, _LOWER, _CONFIRMATIONS = 2.0, 0.93, 4
# A first rate that misses is halved so often; trials at low rates take long.
_HALVINGS = 4
# A client that is later than this share of the limit is part of what was measured.
_LATE = 0.1
_NS_PER_MS = 1e6
_HELP = "try --processes, --transport wire, or a machine with less other work"
_NONE = "none that was tried, down to a sixteenth of the first"


@dataclass(frozen=True)
class Trial:
    """A run at a rate, and what became of the objectives. `by_client`: the client could not send it in time."""

    rate: float
    result: Result | None
    verdicts: tuple[Verdict, ...]
    by_client: bool
    confirming: bool
    why: str = ""

    @property
    def holds(self) -> bool:
        """Whether all objectives were met, at the rate that was asked for."""
        return bool(self.verdicts) and all(verdict.met for verdict in self.verdicts) and not self.by_client

    @property
    def is_undecided(self) -> bool:
        """Whether nothing but the client's lateness speaks against the rate."""
        return self.by_client and bool(self.verdicts) and all(verdict.met for verdict in self.verdicts)


@dataclass(frozen=True)
class Found:
    """The highest confirmed rate, None where none holds; `limit` says what kept it from being higher."""

    rate: float | None
    limit: str
    trials: tuple[Trial, ...]
    interrupted: bool = False


class _Search:
    def __init__(self, base: Settings, objectives: Sequence[str], tell: Callable[[Settings, str], Callable[[int], None]]) -> None:
        self.objectives = objectives
        self.parsed = [parse(text) for text in objectives]
        self.base = base
        self.tell = tell
        self.trials: list[Trial] = []

    def attempt(self, rate: float, confirming: bool = False) -> Trial:
        """One run at a rate."""
        rate = float(f"{rate:.3g}")
        settings = _settings(self.base, self.parsed, rate, _CONFIRM if confirming else 1.0)
        said = f"{'confirming ' if confirming else ''}{figure(rate)} requests/s, {figure((settings.seconds or 0.0) + settings.warm_up_s)} s"
        try:
            result = run(settings, self.tell(settings, said))
        except NothingSucceeded as error:
            trial = Trial(rate, None, (), False, confirming, str(error))
        else:
            if result.interrupted:
                raise KeyboardInterrupt
            trial = Trial(rate, result, tuple(verdicts(result, self.objectives)), _client_is_limit(result, self.parsed), confirming)
        self.trials.append(trial)
        return trial

    @property
    def exhausted(self) -> bool:
        return len(self.trials) >= MOST_TRIALS - _CONFIRMATIONS


def find_rate(base: Settings, objectives: Sequence[str], tell: Callable[[Settings, str], Callable[[int], None]]) -> Found:
    """Search from the rate of `base`, or from half of what one call in flight reaches. Ctrl-C ends the search with what is known.

    Raises BadInput where an objective is malformed, NothingSucceeded where no call was answered at all.
    """
    search = _Search(base, objectives, tell)
    best: float | None = None
    try:
        best, failed = _bracket(search)
        while best and failed and failed / best > CLOSE and not search.exhausted:
            middle = math.sqrt(best * failed)
            best, failed = (middle, failed) if search.attempt(middle).holds else (best, middle)
        return _confirmed(search, best)
    except (KeyboardInterrupt, Interrupted):
        held = [trial.rate for trial in search.trials if trial.holds]
        return Found(max(held, default=None), "the search was interrupted, and the rate is not confirmed", tuple(search.trials), True)


def _bracket(search: _Search) -> tuple[float | None, float | None]:
    """A rate that holds and one that does not, at most twice as high; None where there is none within reach."""
    rate = _start(search)
    trial = search.attempt(rate)
    while trial.holds and not search.exhausted:
        rate *= 2
        trial = search.attempt(rate)
        if not trial.holds:
            return rate / 2, rate
    if trial.holds:
        return rate, None
    for _ in range(_HALVINGS):
        rate /= 2
        if search.attempt(rate).holds:
            return rate, rate * 2
    return None, rate


def _start(search: _Search) -> float:
    if isinstance(search.base.rate, tuple):
        raise BadInput("--find-rate: expected one --rate to begin with, or none, got a ramp")
    if search.base.rate is not None:
        return search.base.rate
    settings = replace(search.base, num_iteration=None, duration_s=1.0, warm_up_s=0.2, processes=1, concurrency=1)
    return max(1.0, run(settings, search.tell(settings, "one in flight")).requests_per_s / 2)


def _confirmed(search: _Search, rate: float | None) -> Found:
    """The rate that a longer run holds; lower by some where it does not."""
    for _ in range(_CONFIRMATIONS):
        if rate is None:
            break
        if search.attempt(rate, confirming=True).holds:
            return Found(float(f"{rate:.3g}"), _limit(search, rate), tuple(search.trials))
        rate *= _LOWER
    if any(trial.is_undecided for trial in search.trials):
        why = f"the client, not the server, was the limit: {_HELP}"
    else:
        why = _NONE if rate is None else "no rate that was tried held in the confirming run"
    return Found(None, why, tuple(search.trials))


def _limit(search: _Search, rate: float) -> str:
    above = [trial for trial in search.trials if trial.rate > rate * 1.001 and not trial.holds]
    if not above:
        return f"no higher rate was tried, {MOST_TRIALS} runs are the most"
    nearest = min(above, key=lambda trial: trial.rate)
    if nearest.by_client:
        return f"the client, not the server, was the limit at {figure(nearest.rate)} requests/s: {_HELP}"
    missed = next((str(verdict) for verdict in nearest.verdicts if not verdict.met), nearest.why)
    return f"at {figure(nearest.rate)} requests/s: {missed}"


def _settings(base: Settings, objectives: Sequence[Requirement], rate: float, longer: float) -> Settings:
    """A trial: so long that each percentile has twice the samples it needs. A call that is far beyond the limit need not end."""
    needed = max((samples_needed(objective.level) for objective in objectives if objective.metric == "latency"), default=100)
    limit_s = max((objective.limit / 1e9 for objective in objectives if objective.metric in ("latency", "mean", "max")), default=1.0)
    duration_s = min(max(base.duration_s or _LEAST_S, 2 * needed / rate), _MOST_S) * longer
    deadline_s = min(base.deadline_s, max(1.0, 20 * limit_s))
    warm_up_s = base.warm_up_s or _WARM_UP_S
    return replace(base, rate=rate, concurrency=1, num_iteration=None, duration_s=duration_s, warm_up_s=warm_up_s, deadline_s=deadline_s)


def _client_is_limit(result: Result, objectives: Sequence[Requirement]) -> bool:
    """Whether calls were sent so late that the objective was missed, or met, by the client rather than by the server."""
    limits = [objective.limit for objective in objectives if objective.metric in ("latency", "mean", "max")]
    late_ns = result.figures.lateness.quantile_ns(0.99)
    return bool(limits) and late_ns > _LATE * min(limits)


def text(found: Found, objectives: Sequence[str]) -> str:
    """The rate first; then each run of the search."""
    wanted = " ".join(objectives)
    first = f"no rate holds {wanted}" if found.rate is None else f"{figure(found.rate)} requests/s hold {wanted}"
    lines = [f"find-rate   {first}; {found.limit}"]
    if found.rate is not None:
        best = next(trial for trial in reversed(found.trials) if trial.rate == found.rate)
        if best.result and best.result.warnings:
            lines.insert(0, f"NOT TO BE TRUSTED: {'; '.join(best.result.warnings)}")
    return "\n".join([*lines, *(_line(trial) for trial in found.trials)])


def _line(trial: Trial) -> str:
    late = ""
    if trial.result:
        late = f"; sent late: p99 {trial.result.figures.lateness.quantile_ns(0.99) / _NS_PER_MS:.3g} ms"
    said = "; ".join(map(str, trial.verdicts)) or trial.why
    word = "confirm" if trial.confirming else "trial"
    verdict = "holds" if trial.holds else "the client was too late to say" if trial.is_undecided else "does not hold"
    return f"{word:<12}{figure(trial.rate)} requests/s: {verdict}: {said}{late}"


def cells(found: Found) -> list[Cell]:
    """The runs as those of a sweep, for the record."""
    return [Cell({"rate": trial.rate, "holds": trial.holds}, trial.result, trial.why) for trial in found.trials]
