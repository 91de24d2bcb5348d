"""The one error of the languages."""

from __future__ import annotations


class EvaluationError(Exception):
    """A template, an expression or a reference that cannot be evaluated: the node ends in Error, as on a cluster."""
