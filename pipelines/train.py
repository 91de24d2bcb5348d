"""Training alone: one step, one pod, on Argo or without it."""

from hera.workflows import WorkflowTemplate

from pipelines.build import Pod, chain, pipeline, pod, step, until_target
from steps import download, export, prepare, train, validate


def training() -> WorkflowTemplate:
    """Train behind an accuracy gate and export, all in one pod."""
    return pipeline(
        "train",
        step(chain("training", download, prepare, train, export), retry=until_target),
    )


def training_pod() -> Pod:
    """The same and a validated model, without Argo."""
    return pod(chain("training", download, prepare, train, export, validate))
