"""The errors of the runner: one small tree, each with the exit code of a command that ends by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """What is wrong with a workflow, found before anything runs. `path` is a field, such as spec.templates[2].container.lifecycle."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class RunnerError(Exception):
    """An end that was foreseen; its message says what, where, expected, got, and what to do."""

    exit_code = 2


class UnreadableWorkflow(RunnerError):
    """The text is no YAML, or no Workflow."""


class RefusedWorkflow(RunnerError):
    """The workflow has problems; all of them are in `problems`."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in problems))


class BusyWorkspace(RunnerError):
    """Another run uses the workspace."""


class DamagedRun(RunnerError):
    """A run's folder cannot be read, so the run cannot go on."""


class StorageFailed(RunnerError):
    """The workspace cannot be written: a full disk, a folder without rights."""
