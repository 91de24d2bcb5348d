"""What does not compile, and that the message says which step, which setting and what to do."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from pipelines.build import chain, pipeline, step
from steps import contract

REFUSED: list[tuple[str, list[dict[str, Any]], list[str]]] = [
    (
        "misspelt parameter",
        [{"name": "train", "settings": "TARGET_ACURACY"}],
        ["step train", "TARGET_ACURACY", "did you mean TARGET_ACCURACY?"],
    ),
    (
        "misspelt output",
        [{"name": "download", "outputs": "data"}, {"name": "prepare", "settings": "DATAA"}],
        ["step prepare", "did you mean DATA?"],
    ),
    ("misspelt variable of Argo", [{"name": "train", "settings": "WORKFLOW_UI"}], ["did you mean WORKFLOW_UID?"]),
    (
        "output of a later step",
        [{"name": "train", "settings": "DATA"}, {"name": "download", "outputs": "data"}],
        ["step train", "output of step download"],
    ),
    ("its own output", [{"name": "train", "settings": "DATA", "outputs": "data"}], ["output of step train"]),
    ("no default", [{"name": "mount", "settings": "NFS_SERVER"}], ["step mount", "NFS_SERVER", "no default"]),
    (
        "a default of another kind",
        [{"name": "train", "settings": "MODEL_NAME", "kind": contract.COUNT}],
        ["MODEL_NAME", "a whole number", "'wide-"],
    ),
    ("two steps of one name", [{"name": "train"}, {"name": "train"}], ["'train' is that of 2"]),
    ("the entrypoint's name", [{"name": "main"}], ["'main' is the entrypoint's"]),
    ("one output twice", [{"name": "a", "outputs": "data"}, {"name": "b", "outputs": "data"}], ["step b", "output data", "step a"]),
    ("an output named as a parameter", [{"name": "a", "outputs": "steps"}], ["step a", "output steps", "parameter"]),
    ("a name that Kubernetes refuses", [{"name": "Train"}], ["step 'Train'", "small letters"]),
    ("no steps", [], ["one step or more"]),
]


@pytest.mark.parametrize(("modules", "parts"), [pytest.param(*case[1:], id=case[0]) for case in REFUSED])
def test_what_cannot_run_does_not_compile(module: Any, modules: list[dict[str, Any]], parts: list[str]) -> None:
    with pytest.raises(contract.BadInput) as refusal:
        pipeline("sample", *(step(module(**described)) for described in modules))
    assert [part for part in parts if part not in str(refusal.value)] == [], str(refusal.value)


@pytest.mark.parametrize("missing", ["Settings", "Outputs", "main"])
def test_a_module_that_is_no_step_is_refused(module: Any, missing: str) -> None:
    broken = module("broken")
    delattr(broken, missing)
    with pytest.raises(contract.BadInput, match=rf"step broken: steps\.broken has no {missing}"):
        step(broken)


def test_a_chain_needs_members() -> None:
    with pytest.raises(contract.BadInput, match="chain training: expected one step module or more"):
        chain("training")


def test_a_chain_wants_from_outside_what_only_a_later_member_gives(module: Any) -> None:
    members: list[ModuleType] = [module("train", "DATA"), module("download", outputs="data")]
    with pytest.raises(contract.BadInput, match="step training, setting DATA"):
        pipeline("sample", step(chain("training", *members)))
