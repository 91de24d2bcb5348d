"""The file site.env of an overlay: NAME=VALUE in a line, read as kustomize reads it, and edited without touching the other lines."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.parameters import Parameter, find
from steps import contract, storage

SITE_ENV = "site.env"
KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
# Each says what the volume is: two together would put a claim of the user's under the overlay's control, and `kubectl delete -k` delete it.
_STORAGES = ("claim", "nfs", "efs", "azure-file", "host-path", "existing-claim")


@dataclass(frozen=True)
class Setting:
    """A value and the line, from 1, where the file sets it."""

    value: str
    line: int


def set_value(overlay: Path, name: str, value: str) -> None:
    """Set one value in the overlay's site.env. Raises BadInput for an unknown name, a wrong value, or a file that cannot be used."""
    path = site_env(overlay)
    stored = checked(find(name), value)
    edited = with_value(_text(path), str(path), name, stored)
    try:
        storage.write_whole(path.resolve(), edited)
    except OSError as error:
        raise contract.BadInput(f"{path}: cannot be written: {error.strerror}; nothing was changed") from None


def read(overlay: Path) -> dict[str, Setting]:
    """The values that the overlay's site.env sets. Raises BadInput with the file and line of what kustomize would refuse or misread."""
    path = site_env(overlay)
    return settings(_text(path), str(path))


def check_storage(overlay: Path) -> None:
    """Raises BadInput for an overlay that lists two components for the volume."""
    path = next(overlay / name for name in KUSTOMIZATIONS if (overlay / name).is_file())
    listed = re.findall(r"(?m)^\s*-\s*[\"']?(\S*components/([\w-]+))/?[\"']?\s*(?:#.*)?$", _text(path))
    found = [(reference, name) for reference, name in listed if name in _STORAGES]
    if len(found) > 1:
        raise contract.BadInput(
            f"{path}: expected one component for the volume, got {' and '.join(name for _, name in found)};"
            f" take one away: (cd {shlex.quote(str(overlay))} && kustomize edit remove component {found[0][0]})"
        )


def site_env(overlay: Path) -> Path:
    """The overlay's site.env. Raises BadInput for what is no overlay."""
    if not overlay.is_dir():
        kind = "a file" if overlay.exists() else "nothing of that name"
        raise contract.BadInput(f"{overlay}: expected an overlay, a folder such as kustomize/overlays/nfs, got {kind}")
    for names in (KUSTOMIZATIONS, (SITE_ENV,)):
        if not any((overlay / name).is_file() for name in names):
            raise contract.BadInput(f"{overlay}: expected a file {names[0]} in it, and there is none; start from a copy of an overlay")
    return overlay / SITE_ENV


def checked(row: Parameter, value: str) -> str:
    """The value as it is written. Raises BadInput for one of the wrong type: a leading zero, too, makes another number in YAML."""
    if re.search(r"[\0\r\n]", value):
        raise contract.BadInput(f"{row.name}: expected one line of text, got {value!r}")
    parsed = contract.parse(row.name, row.kind, value)
    if row.per_site and not value:
        raise contract.BadInput(f"{row.name}: expected {row.kind.expected}, got nothing")
    return str(parsed) if isinstance(parsed, int) else value


def settings(text: str, where: str) -> dict[str, Setting]:
    """The values of a site.env's text."""
    found: dict[str, Setting] = {}
    for number, line in enumerate(_lines(text), start=1):
        row = line.lstrip()
        if not row or row.startswith("#"):
            continue
        name, equals, value = row.partition("=")
        if not equals or name != name.strip():
            raise contract.BadInput(f"{where}, line {number}: expected NAME=VALUE, without blanks before the =, got {row!r}")
        try:
            find(name)
        except contract.BadInput as error:
            raise contract.BadInput(f"{where}, line {number}: {error}") from None
        if name in found:
            raise contract.BadInput(f"{where}, line {number}: {name} is set in line {found[name].line} already; remove one of them")
        found[name] = Setting(value, number)
    return found


def with_value(text: str, where: str, name: str, value: str) -> str:
    """The text with the value set: in the line that sets it, or behind the comment that begins with the name, or at the end."""
    before = settings(text, where)
    lines = text.split("\n")
    if name in before:
        number = before[name].line - 1
        end = "\r" if lines[number].endswith("\r") else ""
        lines[number] = f"{lines[number].partition('=')[0]}={value}{end}"
        return "\n".join(lines)
    end = "\r" if lines[0].endswith("\r") else ""
    if lines[-1]:
        lines[-1:] = [f"{lines[-1]}{end}", ""]
    lines.insert(_place(lines, name), f"{name}={value}{end}")
    return "\n".join(lines)


def _place(lines: Sequence[str], name: str) -> int:
    """Where a new line goes: below the comment about it, or last. The lines end with an empty one, the text's last newline."""
    comments = [number for number, line in enumerate(lines) if re.match(rf"\s*#\s*{name}\b", line)]
    place = comments[-1] if comments else len(lines) - 1
    while lines[place].lstrip().startswith("#"):
        place += 1
    return place


def _lines(text: str) -> list[str]:
    return [line.removesuffix("\r") for line in text.removeprefix("\ufeff").split("\n")]


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise contract.BadInput(f"{path}, line {line}: expected text in UTF-8, got the byte {error.object[error.start]:#04x}") from None
    except OSError as error:
        raise contract.BadInput(f"{path}: cannot be read: {error.strerror}") from None
