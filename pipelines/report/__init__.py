"""The page of a run: one HTML file from the run's folder, for any Argo workflow."""

from pipelines.report.page import write

__all__ = ["write"]
