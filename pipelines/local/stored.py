"""Artifacts that are not the run's own: downloaded, or kept under a key: on an S3 server, or in the workspace, which stands for one."""

from __future__ import annotations

import asyncio
import os
import shutil
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipelines.language import gotext
from pipelines.language.errors import EvaluationError
from pipelines.local import commands, configs, requests, s3
from pipelines.local.errors import Problem
from pipelines.local.references import Objects

_REGION = "us-east-1"
_SECRETS = ("accessKeySecret", "secretKeySecret", "sessionTokenSecret")
# The same, of a server that is asked with this machine's own credentials.
_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def place_of(repository: Path, key: str) -> Path:
    """Where the artifact of a key lies. Raises EvaluationError for a key that leads out of the repository."""
    place = Path(repository, key.strip("/"))
    if ".." in place.parts or place == repository:
        raise EvaluationError(f"s3.key: expected a path without .., got {key!r}")
    return place


async def located(artifact: Mapping[str, Any], repository: Path, folder: Path, objects: Objects) -> Mapping[str, Any]:
    """An input artifact with the file or folder that holds it as `local`. Raises EvaluationError for one that cannot be had."""
    name = artifact["name"]
    if artifact.get("local") or artifact.get("raw"):
        return artifact
    target = folder / "fetched" / name
    if artifact.get("s3"):
        if artifact["s3"].get("endpoint"):
            return await _from_server(artifact, _bucket(artifact["s3"], objects), target)
        place = place_of(repository, str(artifact["s3"].get("key", "")))
        if place.exists():
            return {**artifact, "local": str(place)}
        if artifact.get("optional"):
            return artifact
        raise EvaluationError(f"inputs.artifacts.{name}: the workspace keeps nothing under the key {artifact['s3'].get('key')!r}")
    if artifact.get("http"):
        target.mkdir(parents=True, exist_ok=True)
        await requests.download(artifact["http"], target / "file")
        return {**artifact, "local": str(_unpacked(artifact, target, artifact["http"]["url"]))}
    if artifact.get("git"):
        return {**artifact, "local": str(await _cloned(artifact["git"], target))}
    return artifact


async def uploaded(source: Path, artifact: Mapping[str, Any], objects: Objects) -> None:
    """Write an output artifact to the server that it names. Raises EvaluationError."""
    described = artifact["s3"]
    await asyncio.to_thread(_upload, _bucket(described, objects), str(described.get("key", "")), source, artifact.get("archive"))


async def keys(described: Mapping[str, Any], repository: Path, objects: Objects) -> list[str]:
    """The keys of the artifacts below a key, in order. Raises EvaluationError."""
    prefix = os.path.normpath(str(described["key"])) + "/" if described.get("key") else ""
    if described.get("endpoint"):
        try:
            found = await asyncio.to_thread(_bucket(described, objects).keys, prefix)
        except OSError as error:
            raise EvaluationError(str(error)) from None
        return [key for key in found if not key.endswith("/")]
    files = [path.relative_to(repository).as_posix() for path in repository.rglob("*") if path.is_file()]
    return sorted(key for key in files if key.startswith(prefix))


def problems(artifact: Mapping[str, Any], objects: Objects, path: str) -> Iterator[Problem]:
    """What keeps an artifact from being had or kept; `path` is the artifact's."""
    described = artifact.get("s3") or {}
    for field in _SECRETS if described.get("endpoint") else ():
        reference = described.get(field)
        if reference and "{{" not in gotext.json_text(reference):
            try:
                configs.value_of(objects, "Secret", reference)
            except EvaluationError as error:
                yield Problem(f"{path}.s3.{field}", str(error))
    if described.get("endpoint") and not described.get("bucket"):
        yield Problem(f"{path}.s3.bucket", "an S3 server is named, but no bucket of it")
    if artifact.get("git") and shutil.which("git") is None:
        yield Problem(f"{path}.git", "there is no git on this machine; install it")


def _bucket(described: Mapping[str, Any], objects: Objects) -> s3.Bucket:
    """A bucket with the credentials that Secrets among the files, or this machine's variables, hold. Raises EvaluationError."""
    own = [os.environ.get(name, "") for name in _VARIABLES] if described.get("useSDKCreds") else [""] * len(_VARIABLES)
    held = [configs.value_of(objects, "Secret", described[field]) if described.get(field) else None for field in _SECRETS]
    key_id, secret, token = (own[place] if one is None else one for place, one in enumerate(held))
    region, secure = str(described.get("region") or _REGION), not described.get("insecure")
    return s3.Bucket(str(described["endpoint"]), str(described["bucket"]), region, secure, key_id, secret, token)


async def _from_server(artifact: Mapping[str, Any], bucket: s3.Bucket, target: Path) -> Mapping[str, Any]:
    key = str(artifact["s3"].get("key", ""))
    try:
        found = await asyncio.to_thread(_downloaded, bucket, key, target)
    except OSError as error:
        raise EvaluationError(f"inputs.artifacts.{artifact['name']}: {error}") from None
    if found is None:
        if artifact.get("optional"):
            return artifact
        raise EvaluationError(f"inputs.artifacts.{artifact['name']}: {bucket.endpoint} keeps nothing under {bucket.name}/{key}")
    return {**artifact, "local": str(_unpacked(artifact, target, f"{bucket.name}/{key}") if found.is_file() else found)}


def _downloaded(bucket: s3.Bucket, key: str, target: Path) -> Path | None:
    """The object of a key as a file, or a folder of all objects below it; None where there is neither. Raises OSError."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    try:
        bucket.read(key, target / "file")
    except s3.NoSuchObject:
        prefix = key.rstrip("/") + "/"
        listed = [one for one in bucket.keys(prefix) if not one.endswith("/")]
        for one in listed:
            place = place_of(target / "folder", one.removeprefix(prefix))
            place.parent.mkdir(parents=True, exist_ok=True)
            bucket.read(one, place)
        return target / "folder" if listed else None
    return target / "file"


def _upload(bucket: s3.Bucket, key: str, source: Path, archive: Mapping[str, Any] | None) -> None:
    """Write a file, or a folder, as it is or packed. Raises EvaluationError."""
    try:
        if "none" in (archive or {}):
            files = [path for path in sorted(source.rglob("*")) if path.is_file()] if source.is_dir() else [source]
            for path in files:
                bucket.write(f"{key}/{path.relative_to(source).as_posix()}" if source.is_dir() else key, path)
            return
        packed = source.with_name(f"{source.name}.packed")
        _pack(source, packed, archive or {})
        bucket.write(key, packed)
        packed.unlink()
    except OSError as error:
        raise EvaluationError(str(error)) from None


def _pack(source: Path, target: Path, archive: Mapping[str, Any]) -> None:
    if "zip" in archive:
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as zipped:
            for path in [source, *sorted(source.rglob("*"))]:
                zipped.write(path, path.relative_to(source.parent))
        return
    level = (archive.get("tar") or {}).get("compressionLevel")
    with tarfile.open(target, "w:gz", compresslevel=6 if level is None else int(level)) as packed:
        packed.add(source, source.name)


def _unpacked(artifact: Mapping[str, Any], target: Path, whence: str) -> Path:
    """What a downloaded file holds: an archive is unpacked, unless the artifact says that it is none. Raises EvaluationError."""
    file = target / "file"
    archive = artifact.get("archive") or {}
    is_zip = "zip" in archive
    if "none" in archive or not (is_zip or tarfile.is_tarfile(file)):
        return file
    unpacked = target / "unpacked"
    shutil.rmtree(unpacked, ignore_errors=True)
    try:
        _unpack(file, unpacked, is_zip)
    except (OSError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise EvaluationError(f"inputs.artifacts.{artifact['name']}: {whence} cannot be unpacked: {error}") from None
    entries = list(unpacked.iterdir())
    return entries[0] if len(entries) == 1 else unpacked


def _unpack(file: Path, target: Path, is_zip: bool) -> None:
    if is_zip:
        with zipfile.ZipFile(file) as packed:
            packed.extractall(target)  # noqa: S202 - ZipFile keeps every entry inside
        return
    with tarfile.open(file) as packed_tar:
        packed_tar.extractall(target, filter="data")


async def _cloned(described: Mapping[str, Any], target: Path) -> Path:
    """A repository at a revision, by the git command. Raises EvaluationError."""
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    options = ["--single-branch", "--branch", described.get("branch", "")] if described.get("singleBranch") else []
    options += ["--depth", str(described["depth"])] if described.get("depth") else []
    await commands.output("git", "clone", "--quiet", *options, "--", described["repo"], str(target))
    for reference in described.get("fetch") or []:
        await commands.output("git", "fetch", "--quiet", "origin", reference, folder=target)
    if described.get("revision"):
        await commands.output("git", "checkout", "--quiet", described["revision"], folder=target)
    if not described.get("disableSubmodules"):
        await commands.output("git", "submodule", "update", "--quiet", "--init", "--recursive", folder=target)
    return target
