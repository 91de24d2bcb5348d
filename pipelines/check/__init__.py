"""What is wrong with Argo workflows, before anybody runs them: `check([...])` gives findings, each with file, line, field and a fix.

A workflow is data: this package knows Argo (v4.0.7), and nothing of this project. It needs no cluster and no network.
"""

from pipelines.check.checking import check
from pipelines.check.findings import Finding, UnreadableInput
from pipelines.check.formats import FORMATS
from pipelines.check.rules import RULES
from pipelines.check.sources import Source, sources

__all__ = ["FORMATS", "RULES", "Finding", "Source", "UnreadableInput", "check", "sources"]
