"""The pipelines by name. A definition is a file of the folder pipelines/ with a public function that makes a WorkflowTemplate."""

from __future__ import annotations

import ast
import difflib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from steps import contract

if TYPE_CHECKING:
    from hera.workflows import WorkflowTemplate

FOLDER = Path(__file__).parents[1]


@dataclass(frozen=True)
class Definition:
    """A pipeline's name, what it does in one line, and where it is defined."""

    name: str
    summary: str
    module: str
    function: str


def definitions(folder: Path = FOLDER) -> Mapping[str, Definition]:
    """The definitions of a folder, by name. They are read, not imported: Hera takes longer to import than all else that `list` does."""
    found = (definition for path in sorted(folder.glob("*.py")) for definition in _of_file(path))
    return {definition.name: definition for definition in found}


def load(name: str) -> WorkflowTemplate:
    """The pipeline of a name. Raises contract.BadInput for an unknown name, with the nearest, and for what does not compile."""
    known = definitions()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise contract.BadInput(f"{name}: no such pipeline{hint} `python -m pipelines list` lists them all")
    definition = known[name]
    template: WorkflowTemplate = getattr(importlib.import_module(definition.module), definition.function)()
    if template.name != name:
        raise contract.BadInput(f"{definition.module}: expected the pipeline's name to be {name!r}, as its file's, got {template.name!r}")
    return template


def _of_file(path: Path) -> list[Definition]:
    tree = ast.parse(path.read_bytes(), str(path))
    return [
        Definition(
            name=path.stem.replace("_", "-"),
            summary=(ast.get_docstring(node) or "").partition("\n")[0],
            module=f"{path.parent.name}.{path.stem}",
            function=node.name,
        )
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and _signature(node) == "() -> WorkflowTemplate"
    ]


def _signature(function: ast.FunctionDef) -> str:
    returns = ast.unparse(function.returns) if function.returns else "None"
    return f"({ast.unparse(function.args)}) -> {returns}"
