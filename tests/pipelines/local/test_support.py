"""The table of fields against the schema of Argo v4.0.7: every field has a row, and no row is of a field that there is not."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines import local

ROOT = Path(__file__).parents[3]
ARGO = "io.argoproj.workflow.v1alpha1"
# Kubernetes writes the one and kustomize's schema leaves it out; Argo's own kinds of containers lack the other, which Kubernetes has.
NOT_EVERYWHERE = {"status", "restartPolicyRules"}
# The schema nests the steps of a group one deeper than any other list.
ELSEWHERE = {f"{ARGO}.ParallelSteps": f"{ARGO}.WorkflowStep"}


def _sections() -> dict[str, dict[str, local.Field]]:
    sections: dict[str, dict[str, local.Field]] = {}
    for row in local.FIELDS:
        sections.setdefault(row.section, {})[row.name] = row
    return sections


def _definition(schema: dict[str, Any]) -> str:
    """The name of the definition that a property, a list's items or a map's values refer to."""
    while "$ref" not in schema:
        inner = schema.get("items") or schema.get("additionalProperties")
        if not isinstance(inner, dict):
            return ""
        schema = inner
    name = str(schema["$ref"]).rpartition("/")[2]
    return ELSEWHERE.get(name, name)


def _pairs(definitions: dict[str, Any], sections: dict[str, dict[str, local.Field]]) -> Iterator[tuple[str, str]]:
    """Each section of the table with the definitions that it stands for, from the objects that a file holds."""
    pending = [(kind, f"{ARGO}.{kind}") for kind in ("Workflow", "CronWorkflow")]
    pending.append(("Workflow", f"{ARGO}.WorkflowTemplate"))
    seen = set()
    while pending:
        section, definition = pending.pop()
        if (section, definition) in seen:
            continue
        seen.add((section, definition))
        yield section, definition
        for name, schema in definitions[definition].get("properties", {}).items():
            row = sections[section].get(name)
            kind = row.kind.strip("[]{}") if row else ""
            if kind in sections:
                pending.append((kind, _definition(schema)))


def test_every_field_of_argo_has_a_row_and_every_row_a_field() -> None:
    definitions = json.loads((ROOT / "kustomize" / "base" / "openapi.json").read_text())["definitions"]
    sections = _sections()
    wrong, reached = [], set()
    for section, definition in _pairs(definitions, sections):
        reached.add(section)
        fields, rows = set(definitions[definition]["properties"]), set(sections[section])
        wrong += [f"{section}: no row for {name}" for name in sorted(fields - rows)]
        wrong += [f"{section}: {definition} has no {name}" for name in sorted(rows - fields - NOT_EVERYWHERE)]
    assert wrong == []
    assert reached == set(sections)


def test_a_row_that_is_not_honoured_gives_its_reason() -> None:
    assert [row for row in local.FIELDS if row.verdict != "honoured" and len(row.reason) < 8] == []


def test_the_command_prints_the_table() -> None:
    done = subprocess.run([sys.executable, "-m", "pipelines", "support"], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == len(local.FIELDS)
    assert any(line.split() == ["Template.plugin", "refused", "plugins", "need", "a", "cluster"] for line in lines)


def test_every_honoured_field_is_in_a_workflow_of_these_tests() -> None:
    """Folders stand for all kinds of volumes alike; one of them is enough."""
    words = {word for path in Path(__file__).parent.rglob("*.py") for word in re.findall(r"[A-Za-z][A-Za-z0-9]*", path.read_text())}
    honoured = [row for row in local.FIELDS if row.verdict == "honoured" and row.kind != "volume"]
    assert [f"{row.section}.{row.name}" for row in honoured if row.name not in words] == []
