"""Artifacts that are not the run's own: fetched by HTTP, or kept under a key in the workspace, which stands for the repository."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.language.errors import EvaluationError
from pipelines.local import requests


def place_of(repository: Path, key: str) -> Path:
    """Where the artifact of a key lies. Raises EvaluationError for a key that leads out of the repository."""
    place = Path(repository, key.strip("/"))
    if ".." in place.parts or place == repository:
        raise EvaluationError(f"s3.key: expected a path without .., got {key!r}")
    return place


async def located(artifact: Mapping[str, Any], repository: Path, folder: Path) -> Mapping[str, Any]:
    """An input artifact with the file or folder that holds it as `local`. Raises EvaluationError for one that cannot be had."""
    name = artifact["name"]
    if artifact.get("local") or artifact.get("raw"):
        return artifact
    if artifact.get("s3"):
        place = place_of(repository, str(artifact["s3"].get("key", "")))
        if place.exists():
            return {**artifact, "local": str(place)}
        if artifact.get("optional"):
            return artifact
        raise EvaluationError(f"inputs.artifacts.{name}: the workspace keeps nothing under the key {artifact['s3'].get('key')!r}")
    if artifact.get("http"):
        return {**artifact, "local": str(await _fetched(artifact, folder / "fetched" / name))}
    return artifact


async def _fetched(artifact: Mapping[str, Any], target: Path) -> Path:
    """Download an artifact; an archive is unpacked, unless it says that it is none."""
    target.mkdir(parents=True, exist_ok=True)
    file = target / "file"
    await requests.download(artifact["http"], file)
    archive = artifact.get("archive") or {}
    is_zip = "zip" in archive
    if "none" in archive or not (is_zip or tarfile.is_tarfile(file)):
        return file
    unpacked = target / "unpacked"
    shutil.rmtree(unpacked, ignore_errors=True)
    try:
        _unpack(file, unpacked, is_zip)
    except (OSError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise EvaluationError(f"inputs.artifacts.{artifact['name']}: {artifact['http']['url']} cannot be unpacked: {error}") from None
    entries = list(unpacked.iterdir())
    return entries[0] if len(entries) == 1 else unpacked


def _unpack(file: Path, target: Path, is_zip: bool) -> None:
    if is_zip:
        with zipfile.ZipFile(file) as packed:
            packed.extractall(target)  # noqa: S202 - ZipFile keeps every entry inside
        return
    with tarfile.open(file) as packed_tar:
        packed_tar.extractall(target, filter="data")
