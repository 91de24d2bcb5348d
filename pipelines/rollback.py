"""Going back to a version that was released before."""

from hera.workflows import WorkflowTemplate

from pipelines.build import DEPLOYER, pipeline, step
from steps import rollback as going_back


def rollback() -> WorkflowTemplate:
    """Serve the version that was released before, or the one that is asked for."""
    return pipeline("rollback", step(going_back, account=DEPLOYER), at_once=True)
