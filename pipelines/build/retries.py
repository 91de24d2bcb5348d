"""When Argo runs a step again. The exit codes are the step contract's, the budgets are parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from steps import contract


@dataclass(frozen=True)
class Wait:
    """How long Argo waits before another start: seconds, and what they grow by up to a longest wait."""

    first_s: int
    factor: int = 1
    longest_s: int | None = None


@dataclass(frozen=True)
class Retry:
    """`budgets` are the parameters whose sum limits the further starts; `exit_codes` ask for one as kills and faults do."""

    budgets: tuple[str, ...]
    exit_codes: tuple[int, ...]
    wait: Wait


# A step whose storage or network fails waits by itself before it gives up, so what is left are longer outages: 12 minutes in all.
AFTER_FAULTS = Retry(budgets=("RESTART_LIMIT",), exit_codes=(), wait=Wait(first_s=5, factor=2, longest_s=120))

# Argo has one wait per step, whatever the cause, and a missed target needs none.
UNTIL_TARGET = Retry(budgets=("RETRY_LIMIT", "RESTART_LIMIT"), exit_codes=(contract.BELOW_TARGET,), wait=Wait(first_s=2))


# What the API server says of a pod that it takes at no time: its fields contradict a limit of the namespace, or its policy.
_NO_SUCH_POD = "is invalid: spec|violates PodSecurity"


def limit(budgets: Sequence[str]) -> str:
    """The sum of the budgets as Argo evaluates it. https://argo-workflows.readthedocs.io/en/latest/variables/#expression"""
    if len(budgets) == 1:
        return f"{{{{workflow.parameters.{budgets[0]}}}}}"
    return "{{=" + " + ".join(f"asInt(workflow.parameters['{name}'])" for name in budgets) + "}}"


def expression(exit_codes: Sequence[int]) -> str:
    """True for an end that another start may mend. Argo says exit code '-1' where there was none: evicted, deleted, node lost."""
    wanted = [f"lastRetry.exitCode == '{code}'" for code in (*exit_codes, -1)]
    mended = " || ".join([*wanted, "lastRetry.status == 'Error'", "asInt(lastRetry.exitCode) >= 128"])
    return f"({mended}) && !(lastRetry.message matches '{_NO_SUCH_POD}')"
