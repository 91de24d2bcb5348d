"""Prepare the data: raw text to Parquet for training and evaluation, a CSV of the evaluation rows, and schema.json.

It streams: memory is that of a chunk of the file and a row group, whatever the number of rows. The folder's name is a
fingerprint of content, format and seed, and it appears when it is whole.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steps import contract, storage
from steps.fetch import disk, manifest, patience
from steps.models import formats
from steps.models.formats import Format, Parts
from steps.progress import Progress

if TYPE_CHECKING:
    from steps.reading.parts import Part

EVAL_SHARE = 10  # one row of so many is held back, where the data has no evaluation part of its own
_LAYOUT = 1  # part of the fingerprint: raise it when what is written changes
_FILES = ("train.parquet", "eval.parquet", "eval.csv", "schema.json")


@dataclass(frozen=True)
class Settings:
    """DATA is the folder of the raw files, relative to NFS_PATH or absolute."""

    nfs_path: contract.Folder
    user_name: contract.Name
    model_name: contract.Name
    data: contract.Text
    data_format: contract.Text
    seed: contract.Count


@dataclass(frozen=True)
class Outputs:
    """The prepared folder, relative to NFS_PATH."""

    prepared: str


@dataclass(frozen=True)
class Source:
    """Raw data with its format: what is to be prepared."""

    folder: Path
    format: Format
    parts: Parts
    sha256: str


def main(settings: Settings) -> Outputs:
    """Prepare the data, unless it is. Raises BadInput with file, line and column."""
    folder = settings.nfs_path / settings.data
    if not settings.data or not folder.is_dir():
        raise contract.BadInput(f"DATA: expected the folder of the data, got {folder}, which is none; run download first")
    format_, parts = formats.resolve(settings.data_format, folder, settings.nfs_path)
    for path in (*parts.train, *parts.evaluation):
        formats.first_line(path)
    source = Source(folder, format_, parts, _sha256(folder, format_, parts, settings.seed))
    home = settings.nfs_path / settings.user_name / settings.model_name / "prepared"
    target = home / source.sha256[:16]
    if not _is_whole(target):
        with patience.lock(home / ".lock", "prepare"):
            if not _is_whole(target):
                storage.remove_asides(home)
                shutil.rmtree(target, ignore_errors=True)
                _prepare(source, settings.seed, target)
                return Outputs(str(target.relative_to(settings.nfs_path)))
    contract.log(f"already prepared at {target}, nothing to do")
    return Outputs(str(target.relative_to(settings.nfs_path)))


def _is_whole(target: Path) -> bool:
    return all((target / name).is_file() for name in _FILES)


def _sha256(folder: Path, format_: Format, parts: Parts, seed: int) -> str:
    """The fingerprint of content, format, seed and layout; of the files their names count too, which give them their order."""
    files = [[str(path.relative_to(folder)), disk.sha256(path)] for path in (*parts.train, *parts.evaluation)]
    known = manifest.read(folder)
    of = [files, len(parts.train), formats.described(format_), seed, _LAYOUT, known and known.url, known and known.best_accuracy]
    return hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()


def _prepare(source: Source, seed: int, target: Path) -> None:
    from steps.reading import batches, parts

    started = time.monotonic()
    if source.format.classes is None:
        found = batches.find_classes(source.parts.train, source.format)
        _check_classes(found, source)
        source = dataclasses.replace(source, format=dataclasses.replace(source.format, classes=tuple(found)))
    with storage.whole_folder(target) as folder:
        with (
            parts.Part(folder / "train.parquet", source.format) as train,
            parts.Part(folder / "eval.parquet", source.format, folder / "eval.csv") as held,
        ):
            _read(source, seed, train, held)
        for part in (train, held):
            _check_part(part, source)
        storage.write_whole(folder / "schema.json", json.dumps(_schema(source, train, held), indent=1) + "\n")
    took_s = time.monotonic() - started
    rows = train.rows + held.rows
    contract.log(f"{train.rows:,} rows to train, {held.rows:,} to evaluate, {rows / took_s:,.0f} rows/s; now at {target}")


def _read(source: Source, seed: int, train: Part, held: Part) -> None:
    """Put every row where it belongs."""
    from steps.reading import batches

    paths = [*source.parts.train, *source.parts.evaluation]
    progress = Progress("prepare", sum(path.stat().st_size for path in paths) / 1e6, "MB")
    done, rows = 0, 0
    for path in paths:
        end = 0
        for end, table in batches.batches(path, source.format):
            if path in source.parts.evaluation:
                held.add(table)
            elif source.parts.evaluation:
                train.add(table)
            else:
                mask = _held_back(seed, rows, table.num_rows)
                train.add(table.filter(~mask))
                held.add(table.filter(mask))
            rows += table.num_rows
            progress.tell((done + end) / 1e6, f"{rows:,} rows")
        done += path.stat().st_size
    progress.end(done / 1e6, f"{rows:,} rows")


def _held_back(seed: int, first: int, count: int) -> Any:
    """Which rows, by their number in the data, are held back to evaluate: bool [count], the same for the same seed."""
    import numpy as np

    with np.errstate(over="ignore"):
        z = np.arange(first, first + count, dtype=np.uint64) + np.uint64(seed % 2**64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return (z ^ (z >> np.uint64(31))) % np.uint64(EVAL_SHARE) == 0


def _check_classes(found: list[str], source: Source) -> None:
    if len(found) == 2:
        return
    shown = ", ".join(found[:5]) + (", ..." if len(found) > 5 else "")
    where = ", ".join(map(str, source.parts.train))
    raise contract.BadInput(
        f"{where}: column {source.format.label} (the label): expected two classes, {len(found)} classes found: {shown or 'no rows'};"
        " leave only rows of two, or join classes, then run again"
    )


def _check_part(part: Part, source: Source) -> None:
    what = "to train" if part.path.name.startswith("train") else "to evaluate"
    where = ", ".join(map(str, (what == "to evaluate" and source.parts.evaluation) or source.parts.train))
    if not part.rows:
        raise contract.BadInput(f"{where}: expected rows {what}, got none; more rows are needed")
    for name, count in zip(source.format.classes or (), part.class_counts, strict=True):
        if not count:
            raise contract.BadInput(
                f"{where}: expected rows of two classes {what}, 1 class found: none of {part.rows:,} rows has the label {name};"
                " add rows of it"
            )


def _schema(source: Source, train: Part, held: Part) -> dict[str, Any]:
    """What readers of the folder need to know, as JSON."""
    known = manifest.read(source.folder)
    return {
        "format": source.format.name,
        "synthetic": bool(known and known.synthetic),
        "source": known.url if known else str(source.folder),
        "data_sha256": source.sha256,
        "label": {"name": source.format.label, "classes": list(source.format.classes or ())},
        "best_accuracy": known.best_accuracy if known else None,
        "columns": [{"name": column.name, "kind": column.kind} for column in source.format.columns],
        "train": {"rows": train.rows, "class_counts": train.class_counts},
        "eval": {"rows": held.rows, "class_counts": held.class_counts},
    }


if __name__ == "__main__":
    contract.run(main)
