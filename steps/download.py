"""Download the data: DATASET_DIR/NAME holds its files, unpacked, and download.json, which says where they came from.

The folder appears when it is whole. Until then transfers lie in DATASET_DIR/.download/NAME and go on where they stopped.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from steps import contract, storage
from steps.fetch import address as addresses
from steps.fetch import archive, disk, manifest, partial, patience
from steps.fetch.address import Address
from steps.models import formats

_WORK = ".download"


@dataclass(frozen=True)
class Settings:
    """A relative DATASET_DIR lies under NFS_PATH."""

    nfs_path: contract.Folder
    dataset_dir: contract.Text
    data_url: contract.Text
    data_format: contract.Text
    data_sha256: contract.Sha256


@dataclass(frozen=True)
class Outputs:
    """The folder of the data, relative to NFS_PATH where it lies under it."""

    data: str


@dataclass(frozen=True)
class Fetched:
    """A file that has arrived, still packed. What is `ours` may be moved."""

    name: str
    path: Path
    ours: bool


def main(settings: Settings) -> Outputs:
    """Fetch what DATA_URL names, unless it is there. Raises BadInput, Transient, OSError."""
    _check_format(settings)
    folder = _dataset_dir(settings)
    if not settings.data_url:
        return Outputs(_standing(folder, settings))
    source = addresses.parse(settings.data_url)
    schema = _schema_beside(source, settings.data_format)
    version = _local_version(source, schema) if source.scheme == "file" else ""
    target = folder / addresses.folder_name(source, settings.data_sha256, version)
    work = folder / _WORK / target.name
    if not manifest.is_whole(target):
        with patience.lock(work / "lock", f"download of {source.shown}"):
            if not manifest.is_whole(target):
                _download(source, settings.data_sha256.lower(), schema, work, target)
                return Outputs(_relative(target, settings))
    contract.log(f"{source.shown}: already at {target}, nothing to do")
    return Outputs(_relative(target, settings))


def _check_format(settings: Settings) -> None:
    formats.check_name(settings.data_format)
    if settings.data_url.startswith("generated:") and settings.data_format != "criteo":
        raise contract.BadInput(
            f"DATA_FORMAT: expected criteo, the format of {settings.data_url}, got {settings.data_format!r}; set DATA_URL to your data"
        )


def _dataset_dir(settings: Settings) -> Path:
    relative = Path(settings.dataset_dir)
    if not settings.dataset_dir or ".." in relative.parts:
        raise contract.BadInput(f"DATASET_DIR: expected a folder below NFS_PATH, or an absolute path, got {settings.dataset_dir!r}")
    return settings.nfs_path / relative


def _relative(folder: Path, settings: Settings) -> str:
    return str(folder.relative_to(settings.nfs_path) if folder.is_relative_to(settings.nfs_path) else folder)


def _standing(folder: Path, settings: Settings) -> str:
    """DATASET_DIR itself, where nothing is to be downloaded."""
    if settings.data_sha256:
        raise contract.BadInput("DATA_SHA256: expected nothing where DATA_URL is empty, for nothing is downloaded then; got a checksum")
    if not folder.is_dir():
        raise contract.BadInput(
            f"DATASET_DIR: expected a folder that holds the data, for DATA_URL is empty, got {folder}; set DATA_URL, or DATASET_DIR"
        )
    files = formats.files(folder)
    if not files:
        raise contract.BadInput(f"DATASET_DIR: expected files in {folder}, for DATA_URL is empty; it has none")
    downloads = sorted(path.parent.name for path in files if path.name == manifest.NAME and path.parent != folder)
    if downloads:
        raise contract.BadInput(
            f"DATASET_DIR: expected the data of one set in {folder}, got downloads {', '.join(downloads)}; name the folder of one of them"
        )
    contract.log(f"{folder}: used as it is, for DATA_URL is empty")
    return _relative(folder, settings)


def _schema_beside(source: Address, data_format: str) -> Path | None:
    """The schema file that lies beside a CSV file of the user's own on this machine, if one does."""
    if source.scheme != "file" or data_format != "csv":
        return None
    path = addresses.local_path(source).with_name(formats.SCHEMA)
    return path if path.is_file() else None


def _local_version(source: Address, schema: Path | None) -> str:
    """Size and time of the file that a URL names, and of its schema file: a changed file is other data."""
    path = addresses.local_path(source)
    if not path.is_file():
        kind = "is a folder; name a file, or set DATASET_DIR to the folder and DATA_URL to nothing" if path.is_dir() else "does not exist"
        raise contract.BadInput(f"DATA_URL: expected a file at {path}, which {kind}")
    return " ".join(f"{one.stat().st_size} {one.stat().st_mtime_ns}" for one in (path, schema) if one)


def _download(source: Address, sha256: str, schema: Path | None, work: Path, target: Path) -> None:
    """Fill a folder aside, remove what it was made from, then give it its name: a kill leaves nothing that a next start would not find."""
    ready = work / "ready"
    if not manifest.is_whole(ready):
        shutil.rmtree(ready, ignore_errors=True)
        storage.remove_asides(work)
        with storage.whole_folder(ready) as folder:
            manifest.write(folder, _fill(folder, source, sha256, schema, work))
    shutil.rmtree(work / "transfer", ignore_errors=True)
    if target.exists():
        contract.log(f"{target}: files are missing or of another size than its {manifest.NAME} says; replaced")
        shutil.rmtree(target)
    ready.rename(target)
    contract.log(f"{source.shown}: now at {target}")


def _fill(folder: Path, source: Address, sha256: str, schema: Path | None, work: Path) -> manifest.Manifest:
    """Put the data files into the folder; what the manifest says of them."""
    if source.scheme == "generated":
        return _generate(folder, source, sha256)
    try:
        fetched, found = _checked(source, sha256, work / "transfer")
        entries = [entry for item in fetched for entry in archive.place(item.path, item.name, folder, ours=item.ours)]
        if schema and formats.SCHEMA not in (entry.name for entry in entries):
            entries += archive.place(schema, formats.SCHEMA, folder, ours=False)
    except contract.BadInput:
        # Bytes that were refused are not to be continued: what is at the source may be mended before the next start.
        shutil.rmtree(work / "transfer", ignore_errors=True)
        raise
    return manifest.Manifest(source.shown, found, tuple(entries), synthetic=False, best_accuracy=None)


def _checked(source: Address, sha256: str, work: Path) -> tuple[list[Fetched], str]:
    """The files that a URL names, and their checksum. A wrong one has them fetched once more. Raises BadInput for two."""
    for turn in ("first", "second"):
        fetched = list(_fetch(source, work))
        found = _checksum(fetched)
        if not sha256 or found == sha256:
            return fetched, found
        contract.log(f"{source.shown}: expected checksum {sha256}, got {found} at the {turn} time")
        shutil.rmtree(work, ignore_errors=True)
    raise contract.BadInput(
        f"DATA_SHA256: {source.shown}: expected checksum {sha256}, got {found}, twice; check the checksum and the address, then run again"
    )


def _checksum(fetched: list[Fetched]) -> str:
    sums = [(item.name, disk.sha256(item.path)) for item in fetched]
    return sums[0][1] if len(sums) == 1 else manifest.digest(sums)


def _fetch(source: Address, work: Path) -> Iterator[Fetched]:
    if source.scheme == "file":
        yield Fetched(source.file_name, addresses.local_path(source), ours=False)
    elif source.scheme == "s3":
        from steps.fetch import s3

        bucket = s3.Bucket(source)
        for item in bucket.objects():
            path = work / hashlib.sha256(f"{item.key}\n{item.tag}".encode()).hexdigest()
            partial.transfer(partial.Partial(path), bucket.opener(item), f"s3://{bucket.name}/{item.key}")
            yield Fetched(item.name, path, ours=True)
    else:
        from steps.fetch import web

        path = work / "file"
        partial.transfer(partial.Partial(path), web.opener(source), source.shown)
        yield Fetched(source.file_name or source.parts.netloc, path, ours=True)


def _generate(folder: Path, source: Address, sha256: str) -> manifest.Manifest:
    from steps.fetch import generator

    made = generator.write(folder, addresses.generated(source))
    found = manifest.digest((entry.name, entry.sha256) for entry in made.files)
    if sha256 and found != sha256:
        raise contract.BadInput(f"DATA_SHA256: {source.shown}: expected checksum {sha256}, got {found}; leave it empty for generated data")
    return manifest.Manifest(source.shown, found, made.files, synthetic=True, best_accuracy=made.best_accuracy)


if __name__ == "__main__":
    contract.run(main)
