"""The table of an overlay's parameters: what each is, who set it, where it lands, and what is not set yet."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.parameters import PARAMETERS, Parameter
from pipelines.site import counting, values
from pipelines.site.components import component_of
from steps import contract

HEAD = ("NAME", "VALUE", "SET BY", "DESCRIPTION", "COUNT", "REQUIRED")
# A value may be any text of its kind, but some fields take less.
_FIELDS = {r"\.(mountPath|hostPath\.path)$": contract.FOLDER, r"\.imagePullSecrets\.\d+\.name$": contract.OBJECT}
_NOT_ROOT = contract.Kind(
    "another id than 0, which is root, unless components/as-root is listed (kustomize edit add component)", contract.POSITIVE.parse
)


@dataclass(frozen=True)
class Row:
    """One parameter in an overlay: `value` is None where it is not set, `count` of fields is None where nobody could count.

    `unfit` is what a field expects and the value is not.
    """

    parameter: Parameter
    value: str | None
    set_by: str
    count: int | None
    unfit: contract.Kind | None

    @property
    def missing(self) -> bool:
        """True for a value that the overlay needs and does not have."""
        return not self.value and self.parameter.per_site and self.count != 0

    @property
    def idle(self) -> bool:
        """True for a value that is set and reaches nothing."""
        return self.set_by == values.SITE_ENV and self.count == 0


@dataclass(frozen=True)
class State:
    """An overlay's parameters, and why their fields could not be counted, empty where they were."""

    overlay: Path
    rows: Sequence[Row]
    uncounted: str


def state(overlay: Path) -> State:
    """What the overlay sets. Raises BadInput for a broken one."""
    settings = values.read(overlay)
    values.check_storage(overlay)
    for name, setting in settings.items():
        _check(overlay, name, setting)
    try:
        leaves: Mapping[str, Any] | None = counting.leaves_of(overlay)
        uncounted = ""
    except counting.NoBuilder as error:
        leaves, uncounted = None, str(error)
    return State(overlay, [_row(row, settings, leaves) for row in PARAMETERS.values()], uncounted)


def rows(found: State) -> list[tuple[str, ...]]:
    """The table: its head, then what lands in a field or is set though it lands in none."""
    return [HEAD, *(_cells(row) for row in found.rows if row.count != 0 or row.idle)]


def fits(found: State, name: str) -> bool:
    """Whether the fields that a value lands in take it."""
    return not any(row.unfit for row in found.rows if row.parameter.name == name)


def advice(found: State) -> list[str]:
    """What to know and to do, a line each; the last one is the next step."""
    folder = shlex.quote(str(found.overlay))
    missing = [row.parameter.name for row in found.rows if row.missing]
    unfit = [row.parameter.name for row in found.rows if row.unfit]
    lines = [*([f"COUNT is not known: {found.uncounted}"] if found.uncounted else []), *_idle(found), *_unfit(found)]
    if missing:
        which = "not set, and needed where the overlay uses it" if found.uncounted else "not set yet"
        lines.append(f"{which}: {', '.join(missing)}")
    if missing or unfit:
        return [*lines, f"next: python -m pipelines set {folder} {[*missing, *unfit][0]} VALUE"]
    return [*lines, f"all is set; next: kustomize build {folder} | kubectl apply -f -"]


def _row(row: Parameter, settings: Mapping[str, values.Setting], leaves: Mapping[str, Any] | None) -> Row:
    value, set_by = None if row.per_site else row.default, "default"
    if row.name in settings:
        value, set_by = settings[row.name].value, values.SITE_ENV
    if leaves is None:
        return Row(row, value, set_by, None, None)
    paths = [path for path, text in leaves.items() if counting.MARKS[row.name] in str(text)]
    kinds = [kind for path in paths for kind in _kinds(path, leaves)]
    return Row(row, value, set_by, len(paths), next((kind for kind in kinds if value is not None and not _is(kind, value)), None))


def _kinds(path: str, leaves: Mapping[str, Any]) -> Iterator[contract.Kind]:
    yield from (kind for pattern, kind in _FIELDS.items() if re.search(pattern, path))
    place, _, key = path.rpartition(".")
    if key == "runAsUser" and leaves.get(f"{place}.runAsNonRoot"):
        yield _NOT_ROOT


def _check(overlay: Path, name: str, setting: values.Setting) -> None:
    row, where = PARAMETERS[name], f"{overlay / values.SITE_ENV}, line {setting.line}"
    if row.per_site and not setting.value:
        return
    try:
        stored = values.checked(row, setting.value)
    except contract.BadInput as error:
        raise contract.BadInput(f"{where}: {error}") from None
    if stored != setting.value:
        raise contract.BadInput(f"{where}: {name}: expected {stored}, without sign or leading zeros, got {setting.value!r}")


def _cells(row: Row) -> tuple[str, ...]:
    name, required = row.parameter.name, "yes" if row.parameter.required else "no"
    value = "(not set)" if row.missing or row.value is None else row.value or "(empty)"
    count = "?" if row.count is None else str(row.count)
    return name, value, "" if row.value is None else row.set_by, row.parameter.description, count, required


def _idle(found: State) -> list[str]:
    names = [row.parameter.name for row in found.rows if row.idle]
    return [f"{name} is set, but lands in no field of this overlay; components/{component_of(name)} uses it" for name in names]


def _unfit(found: State) -> list[str]:
    return [
        f"{row.parameter.name} lands in a field that expects {row.unfit.expected}, got {row.value!r}" for row in found.rows if row.unfit
    ]


def _is(kind: contract.Kind, value: str) -> bool:
    try:
        kind.parse(value)
    except ValueError:
        return False
    return True
