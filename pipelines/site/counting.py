"""In which fields a value of an overlay lands: kustomize builds the overlay with a mark in place of each value."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pipelines.parameters import PARAMETERS, Parameter
from pipelines.site.values import KUSTOMIZATIONS, SITE_ENV
from steps import contract

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGERS = (contract.COUNT, contract.POSITIVE, contract.PORT, contract.OPTIONAL_PORT)
_DEADLINE_S = 60


class NoBuilder(contract.StepError):
    """Neither kustomize nor kubectl is at hand."""


def leaves_of(overlay: Path) -> dict[str, Any]:
    """Every value in what the overlay builds, by its path, MARKS in place of the site's. Raises NoBuilder, or BadInput."""
    lines = [f"{name}={mark}\n" for name, mark in MARKS.items()]
    try:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder).resolve()
            manifests = _built(_marked(overlay.resolve(), root, "".join(lines)), root, overlay)
    except OSError as error:
        raise contract.BadInput(f"{overlay}: cannot be built: {error.strerror}: {error.filename}") from None
    return {path: value for manifest in manifests for path, value in _leaves(manifest, _title(manifest))}


def _mark(number: int, row: Parameter) -> str:
    """Numbers where fields take numbers; none is part of another, and none holds what a replacement splits a text at."""
    return str(1_900_000_000 + number) if row.kind in _INTEGERS else f"mark{number:04d}"


def _marked(overlay: Path, root: Path, site_env: str) -> Path:
    """A folder below root that stands for the overlay, with another site.env: all else are links, also what the overlay refers to."""
    copy = root / overlay.relative_to("/")
    copy.mkdir(parents=True)
    for path in overlay.iterdir():
        if path.name != SITE_ENV:
            (copy / path.name).symlink_to(path)
    (copy / SITE_ENV).write_text(site_env)
    for target in sorted(_references(overlay)):
        link = root / target.relative_to("/")
        if not link.exists():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target)
    return copy


def _references(overlay: Path) -> Iterator[Path]:
    """What the overlay's kustomization names outside its folder."""
    path = next(overlay / name for name in KUSTOMIZATIONS if (overlay / name).is_file())
    try:
        kustomization = yaml.load(path.read_text(), Loader=_LOADER)  # noqa: S506 (a safe loader)
    except (yaml.YAMLError, ValueError) as error:
        raise contract.BadInput(f"{path}: no YAML: {' '.join(str(error).split())}") from None
    for _, text in _leaves(kustomization, ""):
        target = Path(os.path.normpath(overlay / str(text)))
        if str(text).startswith("..") and target.exists():
            yield target


def _built(folder: Path, root: Path, overlay: Path) -> Sequence[Any]:
    builder = _builder()
    # The links point out of the folder, which kustomize otherwise refuses.
    command = [*builder, "--load-restrictor", "LoadRestrictionsNone", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_DEADLINE_S)
    except subprocess.TimeoutExpired:
        raise contract.BadInput(f"{overlay}: `{' '.join(builder)}` did not end in {_DEADLINE_S} s; does it name a far resource?") from None
    if done.returncode:
        said = " ".join(done.stderr.replace(str(root), "").split()) or "nothing"
        raise contract.BadInput(f"{overlay}: expected a folder that `{' '.join(builder)}` builds, but it says: {said}")
    return [manifest for manifest in yaml.load_all(done.stdout, Loader=_LOADER) if manifest]


def _builder() -> tuple[str, ...]:
    if shutil.which("kustomize"):
        return "kustomize", "build"
    if shutil.which("kubectl"):
        return "kubectl", "kustomize"
    raise NoBuilder("neither kustomize nor kubectl is on PATH")


def _title(manifest: Mapping[str, Any]) -> str:
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


MARKS: Mapping[str, str] = {name: _mark(number, row) for number, (name, row) in enumerate(PARAMETERS.items())}


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _leaves(part, f"{path}.{key}")
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from _leaves(part, f"{path}.{number}")
    else:
        yield path, value
