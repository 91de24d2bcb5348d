"""The command line on a copy of the folder kustomize/."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.__main__ import main

KUSTOMIZE = Path(__file__).parents[3] / "kustomize"


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    """A copy of the overlay nfs among copies of what it refers to."""
    return Path(shutil.copytree(KUSTOMIZE, tmp_path / "kustomize")) / "overlays" / "nfs"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs `python -m pipelines ...`: its exit code, stdout and stderr."""

    def command(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return command


@pytest.fixture
def builder() -> None:
    if not (shutil.which("kustomize") or shutil.which("kubectl")):
        pytest.skip("neither kustomize nor kubectl on PATH")


@pytest.fixture
def no_builder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
