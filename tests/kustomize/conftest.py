"""Overlays built in a copy of the folder kustomize/, by the kustomize or kubectl at hand."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

KUSTOMIZE = Path(__file__).parents[2] / "kustomize"
BUILDERS = {"kustomize": ("kustomize", "build"), "kubectl": ("kubectl", "kustomize")}
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
REQUIRED = {
    "laptop": {},
    "nfs": {"NFS_SERVER": "10.35.215.25", "USER_ID": "1000"},
    "eks": {"EFS_ID": "fs-0123"},
    "aks": {"AZURE_FILE_SHARE": "models"},
}

Leaves = dict[str, Any]


@pytest.fixture(scope="session", params=BUILDERS)
def builder(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """The command that builds an overlay: each that people use."""
    if not shutil.which(request.param):
        pytest.skip(f"no {request.param} on PATH")
    return BUILDERS[request.param]


@pytest.fixture(scope="session")
def any_builder() -> tuple[str, ...]:
    """One command that builds an overlay."""
    found = [command for name, command in BUILDERS.items() if shutil.which(name)]
    if not found:
        pytest.skip("neither kustomize nor kubectl on PATH")
    return found[0]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of kustomize/, to change."""
    return Path(shutil.copytree(KUSTOMIZE, tmp_path / "kustomize"))


@pytest.fixture
def overlay(tree: Path) -> Callable[..., Path]:
    """An overlay of the copy, with components added and values set: `overlay("nfs", "gpu", USER_ID="7")`."""

    def make(name: str, *components: str, **values: str) -> Path:
        folder = tree / "overlays" / name
        kustomization = yaml.load((folder / "kustomization.yaml").read_text(), LOADER)
        kustomization["components"] += [f"../../components/{component}" for component in components]
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization, sort_keys=False))
        given = {**REQUIRED.get(name, {}), **values}
        kept = [line for line in (folder / "site.env").read_text().splitlines() if line.partition("=")[0] not in given]
        (folder / "site.env").write_text("\n".join([*kept, *(f"{key}={value}" for key, value in given.items())]) + "\n")
        return folder

    return make


@pytest.fixture
def text_of(any_builder: tuple[str, ...]) -> Callable[[Path], str]:
    """What an overlay builds, as text."""
    return lambda folder: subprocess.run([*any_builder, str(folder)], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def built(text_of: Callable[[Path], str]) -> Callable[[Path], list[dict[str, Any]]]:
    """What an overlay builds, as data."""
    return lambda folder: [document for document in yaml.load_all(text_of(folder), LOADER) if document]


@pytest.fixture
def leaves_of(built: Callable[[Path], list[dict[str, Any]]]) -> Callable[[Path], Leaves]:
    """Every value that an overlay builds, by a path such as `WorkflowTemplate/train/spec.arguments.parameters[STEPS].value`.

    Volumes and claims are told apart by kind: their own names are values of the site.
    """

    def leaves(folder: Path) -> Leaves:
        return {path: value for document in built(folder) for path, value in walk(document, title(document))}

    return leaves


def title(document: dict[str, Any]) -> str:
    kind = document["kind"]
    return f"{kind}/" if kind.startswith("PersistentVolume") else f"{kind}/{document['metadata']['name']}/"


def walk(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from walk(part, f"{path}.{key}")
    elif isinstance(value, list):
        for number, part in enumerate(value):
            named = isinstance(part, dict) and "name" in part and len(part) > 1
            yield from walk(part, f"{path}[{part['name'] if named else number}]")
    else:
        yield path, value
