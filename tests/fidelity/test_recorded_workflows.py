"""The local runner ends recorded workflows as Argo's controller did: those in which it once differed, and a random sample.

The sample is what `python -m tests.fidelity.sample` records, the cases are recorded by `python -m tests.fidelity.cases`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fidelity import cases, sample

ROWS = [json.loads(line) for line in Path(__file__).with_name("sample.jsonl").read_text().splitlines()]
NAMES = sorted(path.stem for path in cases.FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("name", NAMES)
def test_ends_as_the_controller_did_where_it_once_did_not(name: str, tmp_path: Path) -> None:
    workflow = yaml.safe_load((cases.FOLDER / f"{name}.yaml").read_text())
    expected = json.loads((cases.FOLDER / f"{name}.json").read_text())
    _compare(workflow, expected, tmp_path)


@pytest.mark.parametrize("row", ROWS, ids=[row["workflow"]["metadata"]["name"] for row in ROWS])
def test_ends_a_random_workflow_as_the_controller_did(row: dict[str, Any], tmp_path: Path) -> None:
    _compare(row["workflow"], row["outcome"], tmp_path)


def test_the_sample_holds_every_end() -> None:
    assert len(ROWS) >= 100
    phases = [row["outcome"]["phase"] for row in ROWS]
    assert min(phases.count(phase) for phase in ("Succeeded", "Failed", "Error")) >= 10


def _compare(workflow: dict[str, Any], expected: dict[str, Any], folder: Path) -> None:
    found = sample.compared(expected, sample.locally(workflow, folder))
    assert not found, "\n".join(["controller / local runner", *found])
