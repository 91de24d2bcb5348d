"""Step modules made on the spot, and pipelines of them as data."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import ModuleType
from typing import Annotated, Any

import pytest
import yaml

from pipelines.build import writer
from pipelines.build.definition import Step, pipeline
from steps import contract


def _module(name: str, settings: str = "", outputs: str = "", kind: contract.Kind = contract.TEXT) -> ModuleType:
    made = ModuleType(f"steps.{name}")
    fields = [(setting.lower(), Annotated[str, kind]) for setting in settings.split()]
    made.__dict__.update(
        Settings=dataclasses.make_dataclass("Settings", fields, frozen=True),
        Outputs=dataclasses.make_dataclass("Outputs", [(output, str) for output in outputs.split()]),
        main=lambda settings: settings,
    )
    return made


def _compiled(*steps: Step, name: str = "sample", kind: writer.Kind = "Workflow") -> dict[str, Any]:
    return dict(yaml.safe_load(writer.compile(pipeline(name, *steps), kind)))


@pytest.fixture
def module() -> Callable[..., ModuleType]:
    """Makes a step module: module("train", "STEPS PREPARED", "accuracy")."""
    return _module


@pytest.fixture
def compiled() -> Callable[..., dict[str, Any]]:
    """Compiles steps to YAML and reads it: compiled(step, step, name="sample", kind="Workflow")."""
    return _compiled
