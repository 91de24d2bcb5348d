"""Certificates, keys, metadata and tokens: from files and the environment, never from the command line, which `ps` shows."""

from __future__ import annotations

import os
import re
from pathlib import Path

from clients.benchmark.errors import BadInput
from clients.benchmark.transport import Tls

_NAME = re.compile(r"[0-9a-z_.-]+")
_VALUE = re.compile(r"[\x20-\x7e]*")


def tls(ca_file: Path | None, cert_file: Path | None, key_file: Path | None) -> Tls:
    """What the files hold. Raises BadInput for one that cannot be read or is not PEM."""
    return Tls(_pem("--ca", ca_file, "CERTIFICATE"), _pem("--cert", cert_file, "CERTIFICATE"), _pem("--key", key_file, "PRIVATE KEY"))


def metadata(metadata_file: Path | None, token_file: Path | None, token_env: str | None) -> tuple[tuple[str, str], ...]:
    """The metadata of every call: lines `name: value` of a file, and a bearer token as `authorization`. Raises BadInput."""
    pairs = [] if metadata_file is None else _pairs(metadata_file)
    token = _token(token_file, token_env)
    if token is not None:
        pairs.append(("authorization", f"Bearer {token}"))
    return tuple(pairs)


def _pem(flag: str, path: Path | None, kind: str) -> bytes | None:
    if path is None:
        return None
    content = _read(flag, path)
    if f"{kind}-----".encode() not in content:
        raise BadInput(f"{flag}: {path}: expected PEM with a {kind}, got none")
    return content


def _pairs(path: Path) -> list[tuple[str, str]]:
    pairs = []
    for number, line in enumerate(_text("--metadata-file", path).splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, value = line.partition(":")
        name, value = name.strip().lower(), value.strip()
        if not colon or not _NAME.fullmatch(name) or name.endswith("-bin") or name.startswith("grpc-"):
            raise BadInput(f"--metadata-file: {path}, line {number}: expected `name: value`, the name neither grpc-... nor ...-bin")
        if not _VALUE.fullmatch(value):
            raise BadInput(f"--metadata-file: {path}, line {number}: expected a value of printable ASCII characters")
        pairs.append((name, value))
    return pairs


def _token(path: Path | None, variable: str | None) -> str | None:
    if path is not None:
        source, token = f"--token-file: {path}", _text("--token-file", path).strip()
    elif variable is not None:
        source, token = f"--token-env: the environment variable {variable}", os.environ.get(variable, "").strip()
    else:
        return None
    # The token itself is never shown.
    if not token or not _VALUE.fullmatch(token) or " " in token:
        raise BadInput(f"{source}: expected a token in one line, got {'nothing' if not token else 'something else'}")
    return token


def _text(flag: str, path: Path) -> str:
    try:
        return _read(flag, path).decode()
    except UnicodeDecodeError:
        raise BadInput(f"{flag}: {path}: expected text, got something else") from None


def _read(flag: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"{flag}: {path}: expected a file that can be read: {error.strerror}") from None
