"""A chain of steps as a plain Pod: for a cluster without Argo, or a person who wants one."""

from __future__ import annotations

from typing import Any

from hera.workflows import models

from pipelines.build import containers, security, sources, storage
from pipelines.build.definition import Pod, Step
from pipelines.parameters import PARAMETERS

# What on Argo follows from the workflow follows here from the pod, or from a setting that stands before it in the environment
# (https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/).
_OF_THE_POD = {"WORKFLOW_UID": models.EnvVarSource(field_ref=models.ObjectFieldSelector(field_path="metadata.uid"))}
# All that training leaves lies in OUTPUT_DIR, as people who train on a single node know it.
_OF_A_SETTING = {"CHECKPOINT_DIR": "$(OUTPUT_DIR)"}
_USER: dict[str, str | None] = {"{{workflow.parameters.USER_NAME}}": "$(USER_NAME)"}


def manifest(step: Step) -> Pod:
    """The Pod of a step made of a chain; it starts its steps again by itself, so the cluster need not."""
    [found] = sources.resolve(step.name, [step])
    own = [name for name in found if name not in _OF_THE_POD | _OF_A_SETTING]
    environment = [models.EnvVar(name=name, value=PARAMETERS[name].default) for name in own]
    environment += [models.EnvVar(name=name, value=value) for name, value in _OF_A_SETTING.items() if name in found]
    environment += [models.EnvVar(name=name, value_from=value) for name, value in _OF_THE_POD.items() if name in found]
    environment += [models.EnvVar(name=place.name, value=_USER.get(str(place.value), place.value)) for place in containers.PLACES]
    container = containers.container(("python", "-m", "steps.alone", *(module.rpartition(".")[2] for module in step.modules)), environment)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": step.name, "labels": containers.labels(step.name, "pod")},
        "spec": {
            "automountServiceAccountToken": False,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": security.GRACE_S,
            "securityContext": _data(security.POD),
            "containers": [_data(container) | {"name": "main"}],
            "volumes": [_data(volume) for volume in storage.VOLUMES],
        },
    }


def _data(model: Any) -> dict[str, Any]:
    return dict(model.model_dump(by_alias=True, exclude_none=True, exclude_unset=True))
