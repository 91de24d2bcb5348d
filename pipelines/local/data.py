"""Data templates: the keys of artifacts, filtered and changed by expressions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipelines.language import evaluate, gotext
from pipelines.language.errors import EvaluationError
from pipelines.local import stored, text_checks
from pipelines.local.errors import Problem
from pipelines.local.references import Objects


async def carried_out(template: Mapping[str, Any], repository: Path, objects: Objects) -> dict[str, Any]:
    """The outputs of a data template: what its last expression gives, as JSON. Raises EvaluationError."""
    try:
        found: Any = await stored.keys(template["data"]["source"]["artifactPaths"]["s3"], repository, objects)
    except EvaluationError as error:
        raise EvaluationError(f"unable to process data template: unable to process data source: {error}") from None
    found = found or None  # the nil of an empty list of Go
    for place, step in enumerate(template["data"].get("transformation") or []):
        try:
            found = evaluate.value(step["expression"], {"data": found}) if step.get("expression") else found
        except EvaluationError as error:
            why = f"unable to process data transformation: error processing data step {place}: {error}"
            raise EvaluationError(f"unable to process data template: {why}") from None
    return {"result": gotext.json_text(found)}


def problems(template: Mapping[str, Any], path: str) -> Iterator[Problem]:
    """What is wrong with a data template; `path` is the template's."""
    source = (template["data"].get("source") or {}).get("artifactPaths") or {}
    if not source.get("s3"):
        yield Problem(f"{path}.data.source.artifactPaths", "only artifacts of s3 can be listed")
    for place, step in enumerate(template["data"].get("transformation") or []):
        yield from text_checks.expression(step.get("expression") or "data", f"{path}.data.transformation[{place}].expression")
