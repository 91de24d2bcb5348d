"""The words that a pipeline's definition is written in: pipeline, step, chain, until_target, DEPLOYER.

A step is a module with `Settings`, `Outputs` and `main` (see `steps.contract`). Nothing else is said about it in a
definition: its Argo template follows from both classes, and a setting that nothing can supply does not compile.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pipelines.build.retries import AFTER_FAULTS, UNTIL_TARGET, Retry
from steps import contract

if TYPE_CHECKING:
    from hera.workflows import WorkflowTemplate

DEPLOYER = "tiphys-deployer"
until_target = UNTIL_TARGET
Pod = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """One container of a pipeline.

    `settings` are its environment variables and `outputs` its files, by name; `modules` are the step modules that run in
    it; `account` is the Kubernetes account whose rights it needs, None for a step that talks to no API.
    """

    name: str
    command: tuple[str, ...]
    modules: tuple[str, ...]
    settings: Mapping[str, contract.Kind]
    outputs: tuple[str, ...]
    retry: Retry = AFTER_FAULTS
    account: str | None = None


@dataclass(frozen=True)
class Chain:
    """Step modules that run one after another in one container, outputs of one feeding the settings of those behind it."""

    name: str
    modules: tuple[ModuleType, ...]


def chain(name: str, *modules: ModuleType) -> Chain:
    """One step made of several: `step(chain("training", download, prepare, train))`. Its outputs are those of all of them."""
    if not modules:
        raise contract.BadInput(f"chain {name}: expected one step module or more, got none")
    return Chain(name, modules)


def step(what: ModuleType | Chain, *, retry: Retry = AFTER_FAULTS, account: str | None = None) -> Step:
    """A step of a pipeline, from its module. Raises contract.BadInput where the module does not keep the step contract."""
    if isinstance(what, Chain):
        command = ("python", "-m", "steps.chain", *(_last_part(module) for module in what.modules))
        name, modules = what.name, what.modules
    else:
        command = ("python", "-m", what.__name__)
        name, modules = _last_part(what).replace("_", "-"), (what,)
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name):
        raise contract.BadInput(f"step {name!r}: expected a name of small letters, digits and '-', at most 63 of them; rename it")
    settings: dict[str, contract.Kind] = {}
    outputs: dict[str, None] = {}
    for module in modules:
        _check_module(name, module)
        given = {output.upper() for output in outputs}
        settings |= {field: kind for field, kind in contract.kinds(module.Settings).items() if field not in given | settings.keys()}
        outputs |= dict.fromkeys(contract.output_names(module.Outputs))
    return Step(name, command, tuple(module.__name__ for module in modules), settings, tuple(outputs), retry, account)


def pod(what: Chain) -> Pod:
    """A chain as a plain Pod that starts its steps again by itself. Raises contract.BadInput for whatever could not run."""
    from pipelines.build import pods

    return pods.manifest(step(what))


def pipeline(name: str, *steps: Step, at_once: bool = False) -> WorkflowTemplate:
    """The steps, one after another, as a WorkflowTemplate. Raises contract.BadInput for whatever could not run.

    A run waits for another one of the same model, unless it is to start `at_once`.
    """
    from pipelines.build import workflow

    return workflow.template(name, steps, at_once)


def _last_part(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2]


def _check_module(step_name: str, module: ModuleType) -> None:
    for part in ("Settings", "Outputs", "main"):
        if not hasattr(module, part):
            raise contract.BadInput(
                f"step {step_name}: {module.__name__} has no {part}; expected the dataclasses Settings and Outputs and a function main"
            )
