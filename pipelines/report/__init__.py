"""The page of a run: one HTML file from the run's folder, for any Argo workflow. Standard library only."""

from pipelines.report.page import write

__all__ = ["write"]
