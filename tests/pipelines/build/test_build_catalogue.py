"""Finding the definitions, without importing what they import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import build
from pipelines.build import catalogue
from steps import contract

DEFINITION = '''
"""A file of definitions."""
from hera.workflows import WorkflowTemplate


def {function}() -> WorkflowTemplate:
    """{summary}

    And more.
    """
'''


def test_each_pipeline_is_listed_with_its_first_line() -> None:
    assert build.registry().keys() == {"rollback", "train", "train-and-serve"}
    assert build.registry()["train-and-serve"] == "Train behind an accuracy gate, release, serve, measure."


def test_listing_imports_neither_hera_nor_the_steps() -> None:
    code = "import sys; from pipelines import build; build.registry(); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "pipelines.build" in modules
    assert {"hera", "pydantic", "yaml", "pipelines.train_and_serve", "steps.download"}.isdisjoint(modules)


def test_a_new_file_is_a_new_pipeline(tmp_path: Path) -> None:
    (tmp_path / "score_daily.py").write_text(DEFINITION.format(function="score", summary="Score each day."))
    (tmp_path / "helpers.py").write_text("def load(name: str) -> 'WorkflowTemplate': ...\ndef other() -> int: ...\n")
    (tmp_path / "private.py").write_text(DEFINITION.format(function="_draft", summary="Not yet."))
    found = catalogue.definitions(tmp_path)
    assert list(found) == ["score-daily"]
    assert (found["score-daily"].summary, found["score-daily"].function) == ("Score each day.", "score")


@pytest.mark.parametrize(("name", "near"), [("train-and-sevre", "train-and-serve"), ("training", "train")])
def test_an_unknown_name_gets_the_nearest(name: str, near: str) -> None:
    with pytest.raises(contract.BadInput, match=rf"{name}: no such pipeline; did you mean {near}\?"):
        build.compile_named(name)
