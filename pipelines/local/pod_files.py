"""The files of a pod: its inputs laid out before it starts, its outputs kept when it has ended."""

from __future__ import annotations

import os
import posixpath
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.language import gotext
from pipelines.language.errors import EvaluationError
from pipelines.local import mounts, paths, stored, templates
from pipelines.local.nodes import Node


def lay_out(template: Mapping[str, Any], folder: Path, volumes: Mapping[str, Mapping[str, bytes]]) -> None:
    """Fresh private folders, and volumes with the files they begin with."""
    for path in (*folder.glob("files*"), folder / "volumes"):
        shutil.rmtree(path, ignore_errors=not path.exists())
    for name, files in volumes.items():
        _fill(folder / "volumes" / name, files)
    for _, container in templates.containers(template):
        for mount in container.get("volumeMounts") or []:
            if not Path(mount[paths.FOLDER]).is_file():
                Path(mount[paths.FOLDER]).mkdir(parents=True, exist_ok=True)
    (folder / "files" / "tmp").mkdir(parents=True)


def place(template: Mapping[str, Any], run_folder: Path, view: mounts.View) -> None:
    """The folders of outputs, and the input artifacts in their places, as the main container sees them."""
    for path in writable(template):
        view.place(path).mkdir(parents=True, exist_ok=True)
    for artifact in (template.get("inputs") or {}).get("artifacts") or []:
        if artifact.get("path"):
            _place(artifact, run_folder, view.lay(artifact["path"]))


def writable(template: Mapping[str, Any]) -> list[str]:
    """The folders in which a template's inputs and outputs lie; that of an output which a step makes itself is left to it."""
    text = gotext.json_text([container for _, container in templates.containers(template)])
    found = []
    for path in declared_paths(template):
        folder = posixpath.dirname(path)
        makes_it = re.search(rf"mkdir[^\n;&|]*{re.escape(folder)}(?![\w/.])", text)
        found.append(posixpath.dirname(folder) if makes_it else folder)
    return found


def _fill(volume: Path, files: Mapping[str, bytes]) -> None:
    for path, content in files.items():
        (volume / path).parent.mkdir(parents=True, exist_ok=True)
        (volume / path).write_bytes(content)


def _place(artifact: Mapping[str, Any], run_folder: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if artifact.get("raw"):
        target.write_text(str(artifact["raw"].get("data", "")))
    elif artifact.get("local"):
        _copy(run_folder / artifact["local"], target)
    elif not artifact.get("optional"):
        raise EvaluationError(f"inputs.artifacts.{artifact['name']} missing location information")
    if artifact.get("mode") is not None and target.exists():
        target.chmod(int(artifact["mode"]))


def outputs(node: Node, template: Mapping[str, Any], folder: Path, repository: Path, view: mounts.View) -> dict[str, Any]:
    """The outputs that a pod has left; artifacts are copied beside its log and under their keys. Raises OSError where one is missing."""
    declared = template.get("outputs") or {}
    found: dict[str, Any] = {}
    for parameter in declared.get("parameters") or []:
        source = parameter.get("valueFrom") or {}
        if source.get("path"):
            told = {key: value for key, value in parameter.items() if key != "valueFrom"}
            found.setdefault("parameters", []).append({**told, "value": _read(view.place(source["path"]), source.get("default"))})
    for artifact in declared.get("artifacts") or []:
        path = view.place(artifact["path"])
        if not path.exists() and artifact.get("optional"):
            continue
        kept = folder / "artifacts" / artifact["name"]
        _copy(path, kept)
        if artifact.get("s3") and not artifact["s3"].get("endpoint"):
            _copy(path, stored.place_of(repository, str(artifact["s3"].get("key", ""))))
        told = {key: value for key, value in artifact.items() if key in ("name", "globalName", "path", "s3")}
        found.setdefault("artifacts", []).append({**told, "local": f"nodes/{node['id']}/artifacts/{artifact['name']}"})
    return found


def declared_paths(template: Mapping[str, Any]) -> list[str]:
    """Where a template says that its inputs and outputs lie."""
    found = []
    for part in ("inputs", "outputs"):
        section = template.get(part) or {}
        found += [artifact.get("path") for artifact in section.get("artifacts") or []]
        found += [(parameter.get("valueFrom") or {}).get("path") for parameter in section.get("parameters") or []]
    return [path for path in found if path]


def _read(path: Path, default: Any) -> str:
    try:
        text = path.read_bytes().decode(errors="replace")
    except OSError:
        if default is None:
            raise
        text = gotext.any_string(default)
    return text.removesuffix("\n")


def _copy(source: Path, target: Path) -> None:
    """A file or a folder, copied whole over what lies there."""
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy2(source, target)
    os.utime(target)
