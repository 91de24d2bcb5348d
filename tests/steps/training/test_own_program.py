"""The example in the README, a training program of one's own, keeps the contract: trained, gated and exported by the same steps."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "own_program"


@pytest.fixture
def own(workspace):
    workspace.settings = {"MODEL_DIR": str(FOLDER), "MODEL_SCRIPT": "logistic.py", "STEPS": "300", "TARGET_ACCURACY": "0.65"}
    return workspace


def test_the_example_trains_behind_the_gate_and_goes_on_from_its_checkpoint(own):
    code, log = own.train(TARGET_ACCURACY="0.999")
    assert code == 3, log
    code, log = own.train()
    assert code == 0, log
    assert [own.evidence(attempt)["step"] for attempt in (1, 2)] == [300, 600]
    assert own.evidence(2)["verdict"] == "passed"
    assert own.evidence(2)["accuracy"] > own.evidence(2)["majority_class_rate"] + 0.05


def test_the_example_exports_a_model(own):
    assert own.train()[0] == 0
    code, log = own.export()
    assert code == 0, log
    assert (own.volume / own.output("candidate") / "saved_model.pb").is_file()
