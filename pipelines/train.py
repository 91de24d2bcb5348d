"""Training alone: one step, one pod."""

from hera.workflows import WorkflowTemplate

from pipelines.build import chain, pipeline, step, until_target
from steps import download, export, prepare, train


def training() -> WorkflowTemplate:
    """Train behind an accuracy gate and export, all in one pod."""
    return pipeline(
        "train",
        step(chain("training", download, prepare, train, export), retry=until_target),
    )
