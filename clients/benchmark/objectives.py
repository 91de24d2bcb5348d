"""What is required of a run, and whether it was met: for the command line, and for tests of a served model."""

from __future__ import annotations

from collections.abc import Sequence

from clients.benchmark.errors import NotMet
from clients.benchmark.statistics.requirements import Facts, Verdict, judge, parse
from clients.benchmark.summary import Result


def verdicts(result: Result, requirements: Sequence[str]) -> list[Verdict]:
    """Whether a run met each of some requirements, such as 'p99<10ms'. Raises BadInput where one is malformed."""
    figures = result.figures
    facts = Facts(figures.latency, figures.failed, result.throughput_rows_per_s, result.requests_per_s, result.accuracy)
    return [judge(parse(text), facts) for text in requirements]


def require(result: Result, *requirements: str) -> None:
    """Assert all of some requirements: raises NotMet, an AssertionError, where one was not met or cannot be said."""
    missed = [verdict for verdict in verdicts(result, requirements) if not verdict.met]
    if missed:
        raise NotMet("; ".join(map(str, missed)))
