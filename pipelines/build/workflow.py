"""A whole pipeline as a WorkflowTemplate: its steps in sequence, and what all their pods share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from hera.workflows import WorkflowTemplate, models

from pipelines.build import containers, security, sources, storage
from pipelines.build.definition import Step
from pipelines.parameters import PARAMETERS
from steps import contract

ENTRYPOINT = "main"
ONE_RUN_PER_MODEL = "{{workflow.parameters.USER_NAME}}.{{workflow.parameters.MODEL_NAME}}"
DAY_S = 24 * 60 * 60


def template(name: str, steps: Sequence[Step], at_once: bool = False) -> WorkflowTemplate:
    """The WorkflowTemplate of steps that run one after another. Raises contract.BadInput for whatever could not run."""
    _check_names(name, steps)
    resolved = sources.resolve(name, steps)
    calls = [models.ParallelSteps([containers.call(step, found)]) for step, found in zip(steps, resolved, strict=True)]
    return WorkflowTemplate(
        name=name,
        labels=containers.labels(name, "pipeline"),
        entrypoint=ENTRYPOINT,
        arguments=models.Arguments(parameters=_arguments(["USER_NAME", "MODEL_NAME", *sources.run_parameters(steps, resolved)])),
        templates=[
            models.Template(name=ENTRYPOINT, steps=calls),
            *(containers.template(name, step, found) for step, found in zip(steps, resolved, strict=True)),
        ],
        volumes=storage.VOLUMES,
        service_account_name=security.ACCOUNT,
        # Argo's own containers get a token of this account; what we run gets none, but for a step with an account of its own.
        executor=models.ExecutorConfig(service_account_name=security.ACCOUNT),
        automount_service_account_token=False,
        security_context=security.POD,
        pod_spec_patch=security.PATCH,
        # Two runs of one model would write the same folders and release over each other: the second waits.
        synchronization=None if at_once else models.Synchronization(mutexes=[models.Mutex(name=ONE_RUN_PER_MODEL)]),
        # Logs of a run that succeeded can be read for a day, all else of any run for a week.
        pod_gc=models.PodGC(strategy="OnWorkflowSuccess", delete_delay_duration="24h"),
        ttl_strategy=models.TTLStrategy(seconds_after_completion=7 * DAY_S),
    )


def _arguments(names: Iterable[str]) -> list[models.Parameter]:
    rows = [PARAMETERS[name] for name in sorted(set(names))]
    return [models.Parameter(name=row.name, value=row.default, description=row.description) for row in rows]


def _check_names(pipeline: str, steps: Sequence[Step]) -> None:
    if not steps:
        raise contract.BadInput(f"pipeline {pipeline}: expected one step or more, got none")
    for name, count in Counter([ENTRYPOINT, *(step.name for step in steps)]).items():
        if count > 1:
            taken = "is the entrypoint's" if name == ENTRYPOINT else f"is that of {count}"
            raise contract.BadInput(f"pipeline {pipeline}: expected a name of its own for each step, but {name!r} {taken}; rename a step")
