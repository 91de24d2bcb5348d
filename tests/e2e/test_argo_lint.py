"""What we compile, before Argo's own linter. It looks into fields and references, not into expressions."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pipelines import build

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("kind", ["Workflow", "WorkflowTemplate"])
@pytest.mark.parametrize("name", build.registry())
def test_argo_finds_nothing_to_complain_of(tmp_path: Path, name: str, kind: str) -> None:
    file = tmp_path / f"{name}.yaml"
    file.write_text(build.compile_named(name, "Workflow" if kind == "Workflow" else "WorkflowTemplate"))
    # Argo's command does not stop at SIGTERM at once.
    command = ["timeout", "-k", "1", "60", "argo", "lint", "--offline", "--no-color", str(file)]
    linted = subprocess.run(command, capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout + linted.stderr
    assert "no linting errors found" in linted.stdout
