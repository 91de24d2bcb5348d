"""The whole way of a model, from raw data to a measured server."""

from hera.workflows import WorkflowTemplate

from pipelines.build import DEPLOYER, pipeline, step, until_target
from steps import benchmark, deploy, download, export, prepare, train, validate


def train_and_serve() -> WorkflowTemplate:
    """Train behind an accuracy gate, release, serve, measure."""
    return pipeline(
        "train-and-serve",
        step(download),
        step(prepare),
        step(train, retry=until_target),
        step(export),
        step(validate),
        step(deploy, account=DEPLOYER),
        step(benchmark),
    )
