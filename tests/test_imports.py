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
    # The languages inside a workflow are pure functions, and the same for who checks and who runs.
    "pipelines/language": ("pipelines.language",),
    "pipelines/local": ("pipelines.local", "pipelines.language"),
    "pipelines/check": ("pipelines.check", "pipelines.language"),
    "pipelines/report": ("pipelines.report",),
    "pipelines/build": ("pipelines.build", "pipelines.parameters", "steps"),
    "pipelines/parameters.py": ("steps.contract",),
    "pipelines/site": ("pipelines.site", "pipelines.parameters", "steps.contract", "steps.storage"),
}


def sources(package: str) -> list[Path]:
    path = ROOT / package
    return [path] if path.suffix else sorted(path.rglob("*.py"))


def imported(path: Path) -> list[str]:
    tree = ast.parse(path.read_text())
    package = ".".join(path.relative_to(ROOT).with_suffix("").parts[:-1])
    names: list[str] = []
    for node in ast.walk(tree):
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
        for name in imported(path)
        if name.split(".")[0] in ("pipelines", "steps", "clients")
        and not any(name == allowed or name.startswith(f"{allowed}.") for allowed in MAY_IMPORT[package])
    ]
    assert sources(package)
    assert wrong == []


DOORS = [
    *(f"steps.{path.stem}" for path in sorted((ROOT / "steps").glob("*.py"))),
    *(
        "steps.models.wide_deep",
        "steps.serve.__main__",
        "steps.release.cluster",
        "pipelines.__main__",
        "pipelines.check",
        "pipelines.local",
        "clients.benchmark",
        "clients.serving",
    ),
]


def test_no_door_loads_what_starts_slowly() -> None:
    """TensorFlow, Hera and the like are imported where they are used: bad input is refused in an instant, and a step imports in one."""
    code = (
        f"import importlib, sys; [importlib.import_module(name) for name in {DOORS}];"
        "print([name for name in ('tensorflow', 'keras', 'hera', 'boto3', 'pyarrow', 'kubernetes') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
