"""A site's own values: where they land in what kustomize installs, how they are set, and what is not yet set.

An overlay is a folder with a kustomization.yaml and a site.env; the values of its site.env, on top of the table's
defaults, reach the fields of the manifests by the replacements of the components that the overlay lists.
"""

from __future__ import annotations

from pipelines.site.filling import fill
from pipelines.site.generate import files
from pipelines.site.table import advice, fits, rows, state
from pipelines.site.values import set_value

__all__ = ["advice", "files", "fill", "fits", "rows", "set_value", "state"]
