"""Imports go one way, and what must start fast loads nothing heavy: read from the sources."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Package -> what it may import of ours.
MAY_IMPORT = {
    "clients": ("clients",),
    "steps": ("steps", "clients.serving"),
    "pipelines/local": ("pipelines.local",),
    "pipelines/report": ("pipelines.report",),
    "pipelines/build": ("pipelines.build", "pipelines.parameters", "steps"),
    "pipelines/parameters.py": ("steps.contract",),
}
HEAVY = ("tensorflow", "keras")


def sources(package: str) -> list[Path]:
    path = ROOT / package
    return [path] if path.suffix else sorted(path.rglob("*.py"))


def imported(path: Path, top_level_only: bool) -> list[str]:
    tree = ast.parse(path.read_text())
    package = ".".join(path.relative_to(ROOT).with_suffix("").parts[:-1])
    names: list[str] = []
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) + 1 - node.level]) + "." if node.level else ""
            names += [f"{base}{node.module or ''}.{alias.name}".replace("..", ".") for alias in node.names]
    return names


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_go_one_way(package: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(package)
        for name in imported(path, top_level_only=False)
        if name.split(".")[0] in ("pipelines", "steps", "clients")
        and not any(name == allowed or name.startswith(f"{allowed}.") for allowed in MAY_IMPORT[package])
    ]
    assert sources(package)
    assert wrong == []


def test_tensorflow_is_imported_inside_functions_only() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for package in ("pipelines", "steps", "clients")
        for path in sources(package)
        for name in imported(path, top_level_only=True)
        if name.split(".")[0] in HEAVY
    ]
    assert wrong == []


@pytest.mark.parametrize("module", ["pipelines.__main__", "pipelines.local", "clients.benchmark", "steps.contract", "steps.train"])
def test_what_must_start_fast_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print([name for name in ('tensorflow', 'keras', 'hera', 'boto3', 'pyarrow') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
