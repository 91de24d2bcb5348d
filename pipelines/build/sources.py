"""Where the value of each setting of a step comes from. A setting that nothing supplies is an error here, not in a pod."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pipelines.build.definition import Step
from pipelines.parameters import PARAMETERS
from steps import contract

# https://argo-workflows.readthedocs.io/en/latest/variables/#global
ARGO_VARIABLES: Mapping[str, str] = {"WORKFLOW_UID": "workflow.uid"}


@dataclass(frozen=True)
class Source:
    """One setting's value: `text` is what stands in the container's environment, `name` is the parameter, output or variable.

    `step` is the step whose output it is, None for the other origins.
    """

    origin: Literal["run", "site", "output", "argo"]
    name: str
    text: str
    step: str | None = None


def resolve(pipeline: str, steps: Sequence[Step]) -> list[Mapping[str, Source]]:
    """The sources of each step's settings, by setting. Raises contract.BadInput, naming the step, the setting and the nearest name."""
    givers: dict[str, str] = {}
    resolved: list[Mapping[str, Source]] = []
    later = {output.upper(): step.name for step in steps for output in step.outputs}
    for step in steps:
        where = f"pipeline {pipeline}, step {step.name}"
        resolved.append({name: _source(where, name, kind, givers, later) for name, kind in step.settings.items()})
        _add_outputs(where, step, givers)
    return resolved


def run_parameters(steps: Iterable[Step], resolved: Iterable[Mapping[str, Source]]) -> list[str]:
    """The parameters that become arguments of the workflow: those of a run that some step or its retry uses, sorted."""
    used = {source.name for sources in resolved for source in sources.values() if source.origin == "run"}
    return sorted(used.union(*(step.retry.budgets for step in steps)))


def _add_outputs(where: str, step: Step, givers: dict[str, str]) -> None:
    for output in step.outputs:
        name = output.upper()
        if name in PARAMETERS or name in ARGO_VARIABLES:
            raise contract.BadInput(f"{where}: output {output} has the name of a parameter, so a setting {name} would be ambiguous")
        if name in givers:
            raise contract.BadInput(f"{where}: output {output} is an output of step {givers[name]} too; rename one of them")
        givers[name] = step.name


def _source(where: str, name: str, kind: contract.Kind, givers: Mapping[str, str], later: Mapping[str, str]) -> Source:
    if name in PARAMETERS:
        return _of_parameter(where, name, kind)
    if name in givers:
        return Source("output", name.lower(), f"{{{{inputs.parameters.{name.lower()}}}}}", givers[name])
    if name in ARGO_VARIABLES:
        return Source("argo", name, f"{{{{{ARGO_VARIABLES[name]}}}}}")
    raise contract.BadInput(f"{where}, setting {name}: {_advice(name, givers, later)}")


def _of_parameter(where: str, name: str, kind: contract.Kind) -> Source:
    row = PARAMETERS[name]
    if row.default is None:
        raise contract.BadInput(f"{where}, setting {name}: expected a value, but the table of parameters has no default for it")
    try:
        kind.parse(row.default)
    except ValueError:
        raise contract.BadInput(f"{where}, setting {name}: expected {kind.expected}, got the default {row.default!r}") from None
    if row.set_by == "site":
        return Source("site", name, row.default)
    return Source("run", name, f"{{{{workflow.parameters.{name}}}}}")


def _advice(name: str, givers: Mapping[str, str], later: Mapping[str, str]) -> str:
    if name in later:
        return f"it is an output of step {later[name]}, which does not end before this step starts; change the order of the steps"
    known = [*PARAMETERS, *givers, *ARGO_VARIABLES]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
    expected = "expected a parameter of pipelines/parameters.py, an output of an earlier step"
    outputs = f" ({', '.join(givers)})" if givers else ""
    return f"{expected}{outputs} or {', '.join(ARGO_VARIABLES)}; did you mean {near}?"
