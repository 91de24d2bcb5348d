"""The step between training and validation: the training program writes its model as a SavedModel into the staging folder."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steps import attempts, contract, program, storage
from steps.contract import Count, Folder, Name, Positive, Text
from steps.train import read_schema

_SIGNATURE = b"serving_default"
_SAMPLE = "assets.extra/sample.json"


@dataclass(frozen=True)
class Settings:
    """`prepared` and `checkpoints` are folders that earlier steps gave, relative to the volume or absolute."""

    nfs_path: Folder
    user_name: Name
    model_name: Name
    output_dir: Name
    prepared: Text
    checkpoints: Text
    model_dir: Folder
    model_script: Name
    seed: Count
    batch_size: Positive
    workflow_uid: Name


@dataclass(frozen=True)
class Outputs:
    """The exported model: a folder in staging, relative to the volume."""

    candidate: str


def main(settings: Settings) -> Outputs:
    """Export the model that passed the gate. Raises BadInput for what is not a SavedModel, or what ended the program."""
    exporter = program.locate(settings.model_dir, settings.model_script)
    prepared, folder = settings.nfs_path / settings.prepared, settings.nfs_path / settings.checkpoints
    columns = [column["name"] for column in read_schema(prepared)["columns"]]
    if not folder.is_dir():
        raise contract.BadInput(f"CHECKPOINTS: expected the folder that the step train gave, got {folder}, which does not exist")
    with attempts.held(folder) as lock:
        checkpoint = _checkpoint(folder, settings.workflow_uid)
        staging = settings.nfs_path / settings.user_name / settings.model_name / settings.output_dir / "staging"
        candidate = staging / _name(settings.workflow_uid, folder.name[:8], checkpoint)
        _remove_asides(candidate)
        if candidate.exists():
            contract.log(f"exported before: {candidate}")
        else:
            with storage.whole_folder(candidate) as aside:
                environ = program.environment(
                    settings, PREPARED=prepared, CHECKPOINTS=folder, CHECKPOINT=checkpoint, EXPORT=aside, RUN_ID=settings.workflow_uid
                )
                code = program.run(exporter, "export", environ, lock)
                if code != contract.DONE:
                    raise program.ended(exporter, "export", code)
                _check(aside, columns, exporter)
    return Outputs(str(candidate.relative_to(settings.nfs_path)))


def _checkpoint(folder: Path, run: str) -> str:
    """The checkpoint that passed this run's gate, by the name its program gave it; empty where the run has none to name."""
    attempt = attempts.load(folder, run).attempts[-1:]
    if attempt and attempt[0].verdict == "missed":
        raise contract.BadInput(f"CHECKPOINTS: the last attempt of this run missed the gate ({attempt[0].reason}); nothing is exported")
    return (attempt[0].checkpoint or "") if attempt else ""


def _name(*parts: str) -> str:
    """The name of a candidate, of its parts without what does not belong in a file name."""
    return "-".join(re.sub(r"[^A-Za-z0-9._-]", "-", part) for part in parts if part)


def _remove_asides(candidate: Path) -> None:
    """Remove what killed exports of this very candidate left; others in staging may be under way."""
    for path in candidate.parent.glob(f"{storage.ASIDE}*-{candidate.name}"):
        shutil.rmtree(path, ignore_errors=True)


def _check(folder: Path, columns: list[str], exporter: program.Program) -> None:
    """What can be seen at a glance; the step validate loads the model and asks it."""
    graph = folder / "saved_model.pb"
    if not graph.is_file() or _SIGNATURE not in graph.read_bytes():
        got = "one without that signature" if graph.is_file() else "no such file"
        raise contract.BadInput(
            f"EXPORT: expected {exporter.script} to write a SavedModel with the signature serving_default, saved_model.pb, got {got}"
        )
    sample = folder / _SAMPLE
    if sample.is_file():
        _check_sample(sample, columns)


def _check_sample(path: Path, columns: list[str]) -> None:
    record: dict[str, Any] = {}
    with contextlib.suppress(ValueError):
        record = json.loads(path.read_text())
    inputs = record.get("inputs", {}) if isinstance(record, dict) else {}
    if sorted(inputs) != sorted(columns):
        raise contract.BadInput(f"EXPORT: expected {_SAMPLE} to hold the columns {', '.join(columns)}, got {', '.join(inputs) or 'none'}")


if __name__ == "__main__":
    contract.run(main)
