"""A step as an Argo template: one container, its environment, its outputs, its retry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hera.workflows import models

from pipelines.build import retries, security, storage
from pipelines.build.definition import Step
from pipelines.build.names import CHECKOUT, PART_OF
from pipelines.build.retries import Retry
from pipelines.build.sources import Source
from pipelines.parameters import PARAMETERS

OUTPUTS_FOLDER = f"{storage.SCRATCH}/outputs"

_IMAGE = f"{PARAMETERS['REGISTRY'].default}/tiphys{PARAMETERS['IMAGE_SUFFIX'].default}"
_RESOURCES = models.ResourceRequirements(requests={"cpu": models.Quantity("500m"), "memory": models.Quantity("1Gi")})
# A uid without an entry in passwd breaks getpass.getuser(), and an image's home folder may not be writable.
PLACES = [
    models.EnvVar(name=name, value=value)
    for name, value in {
        "OUTPUTS_FOLDER": OUTPUTS_FOLDER,
        "HOME": f"{storage.SCRATCH}/home",
        "TMPDIR": f"{storage.SCRATCH}/tmp",  # noqa: S108 (a folder of the container's own)
        "KERAS_HOME": f"{storage.SCRATCH}/keras",
        "USER": "{{workflow.parameters.USER_NAME}}",
        "LOGNAME": "{{workflow.parameters.USER_NAME}}",
        "GROUP_NAME": PARAMETERS["GROUP_NAME"].default,
    }.items()
]


def template(pipeline: str, step: Step, sources: Mapping[str, Source]) -> models.Template:
    """The container template of one step."""
    inputs = [models.Parameter(name=source.name) for source in sources.values() if source.origin == "output"]
    outputs = [models.Parameter(name=name, value_from=models.ValueFrom(path=f"{OUTPUTS_FOLDER}/{name}")) for name in step.outputs]
    return models.Template(
        name=step.name,
        metadata=models.Metadata(labels=labels(pipeline, step.name)),
        inputs=models.Inputs(parameters=inputs) if inputs else None,
        outputs=models.Outputs(parameters=outputs) if outputs else None,
        container=container(step.command, [*(models.EnvVar(name=name, value=source.text) for name, source in sources.items()), *PLACES]),
        retry_strategy=_retry_strategy(step.retry),
        service_account_name=step.account,
        automount_service_account_token=True if step.account else None,
    )


def call(step: Step, sources: Mapping[str, Source]) -> models.WorkflowStep:
    """The step as a line of the pipeline: its template, fed with outputs of the steps before it."""
    fed = [
        models.Parameter(name=source.name, value=f"{{{{steps.{source.step}.outputs.parameters.{source.name}}}}}")
        for source in sources.values()
        if source.origin == "output"
    ]
    return models.WorkflowStep(name=step.name, template=step.name, arguments=models.Arguments(parameters=fed) if fed else None)


def labels(pipeline: str, component: str) -> dict[str, str]:
    """https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/"""
    return {"app.kubernetes.io/name": pipeline, "app.kubernetes.io/component": component, **PART_OF}


def container(command: Sequence[str], environment: list[models.EnvVar]) -> models.Container:
    """The one container of a step: the project's image, a command, and what it finds in its environment."""
    return models.Container(
        image=_IMAGE,
        image_pull_policy=PARAMETERS["PULL_POLICY"].default,
        command=list(command),
        working_dir=CHECKOUT,
        env=environment,
        resources=_RESOURCES,
        security_context=security.CONTAINER,
        volume_mounts=storage.MOUNTS,
    )


def _retry_strategy(retry: Retry) -> models.RetryStrategy:
    wait = retry.wait
    return models.RetryStrategy(
        limit=models.IntOrString(retries.limit(retry.budgets)),
        retry_policy="Always",
        expression=retries.expression(retry.exit_codes),
        backoff=models.Backoff(
            duration=f"{wait.first_s}s",
            factor=models.IntOrString(wait.factor) if wait.factor != 1 else None,
            cap=f"{wait.longest_s}s" if wait.longest_s else None,
        ),
    )
