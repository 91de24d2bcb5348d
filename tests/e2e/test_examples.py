"""The record of Argo's examples still is what the controller makes of them: a sample, recorded anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fidelity import examples, outcomes, record

pytestmark = pytest.mark.e2e

# One of each kind: steps and conditions, a DAG, a loop, a retry, an exit handler, a container set.
SAMPLE = (
    "conditionals.yaml",
    "dag-enhanced-depends.yaml",
    "loops-maps.yaml",
    "retry-script.yaml",
    "exit-handlers.yaml",
    "parameter-aggregation-dag.yaml",
)


def test_the_controller_gives_what_is_recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    root = examples.folder()
    if root is None:
        pytest.skip("ARGO_EXAMPLES does not name the folder of Argo's example workflows")
    known = record.load()
    monkeypatch.setattr(record, "RECORD", tmp_path / "outcomes.json")
    chosen = [one for one in examples.every(root) if one.name in SAMPLE]
    record.prepare(chosen[0].objects)
    record.Recorder({}, chosen).run()
    fresh = record.load()
    assert {name: list(outcomes.differences(known[name], fresh[name])) for name in SAMPLE} == {name: [] for name in SAMPLE}
