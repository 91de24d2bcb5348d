"""The schema is Argo's own, as the script writes it; fields are told by the nearest name."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

import pytest

from pipelines import check

HERE = Path(__file__).parent
SWAGGER = Path(os.environ.get("ARGO_EXAMPLES") or "/nonexistent").parent / "api" / "openapi-spec" / "swagger.json"


@pytest.mark.skipif(not SWAGGER.is_file(), reason="Argo's swagger.json is not beside ARGO_EXAMPLES")
def test_the_schema_is_what_the_script_makes_of_argo_s_own() -> None:
    spec = importlib.util.spec_from_file_location("make_schema", HERE / "record" / "make_schema.py")
    assert spec
    assert spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    made = script.sections(json.loads(SWAGGER.read_text())["definitions"])
    assert json.loads(script.TARGET.read_text())["sections"] == made, "stale: record/make_schema.py writes it"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("{entryPoint: main}", "spec.entryPoint: Argo has no field 'entryPoint' here; did you mean entrypoint?"),
        ("{entrypoint: main, templates: {name: x}}", "spec.templates: expected a list, got a map; write a list"),
        ("{entrypoint: 5}", 'spec.entrypoint: expected text, got the number 5; put it in quotes: "5"'),
        ("{entrypoint: main, suspend: 'no'}", "spec.suspend: expected true or false, got the text 'no'; write true or false"),
        ("{entrypoint: main, parallelism: 1.5}", "spec.parallelism: expected a whole number, got the number 1.5; write a whole number"),
        (
            "{entrypoint: main, nodeSelector: {y: a}}",
            "spec.nodeSelector.true: Kubernetes' YAML reader takes 'y' for a boolean, not for text",
        ),
        ("{entrypoint: main, podGC: {strategy: OnDone}}", "spec.podGC.strategy: 'OnDone' is not allowed here"),
        ("[]", "spec: expected a map, got a list; write a map"),
    ],
)
def test_what_is_said_of_a_field(spec: str, expected: str) -> None:
    text = f"apiVersion: argoproj.io/v1alpha1\nkind: WorkflowTemplate\nmetadata: {{name: x}}\nspec: {spec}\n"
    told = [f"{one.path}: {one.message}; {one.fix}" for one in check.check([check.Source("x.yaml", text)])]
    assert any(line.startswith(expected) for line in told), told
