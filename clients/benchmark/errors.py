"""How a benchmark may end without a result. Each message says what, where, what was expected and what came."""

from __future__ import annotations

from typing import Any

DONE, BAD_INPUT, NOTHING_SUCCEEDED, NOT_MET, INTERRUPTED = 0, 2, 10, 11, 130


class BenchmarkError(Exception):
    """An end that was foreseen."""

    exit_code = BAD_INPUT


class BadInput(BenchmarkError):
    """Settings, a data file or a signature that no further try will mend."""

    exit_code = BAD_INPUT


class NotSaved(BadInput):
    """The run was measured, but its answers could not be recorded. `result` is what was measured (summary.Result)."""

    def __init__(self, message: str, result: Any) -> None:
        super().__init__(message)
        self.result = result


class NothingSucceeded(BenchmarkError):
    """No measured call was answered: the server is down, the model is missing, or every request failed."""

    exit_code = NOTHING_SUCCEEDED


class Interrupted(BenchmarkError):
    """Ctrl-C before anything was measured."""

    exit_code = INTERRUPTED


class NotMet(BenchmarkError, AssertionError):
    """What was required of a run was not met, or the run was too short to say; in a test, an assertion that failed."""

    exit_code = NOT_MET
