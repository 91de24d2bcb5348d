"""A podSpecPatch, as far as it touches commands, arguments, variables and the grace period, or changes nothing here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from pipelines.language.errors import EvaluationError
from pipelines.local import templates
from pipelines.local.fields import FIELDS

_IGNORED = frozenset(field.name for field in FIELDS if field.section == "Container" and field.verdict == "ignored") | {"readinessProbe"}
_TAG = "{{"
# Where a template keeps patches whose tags stand for more than text in quotes.
LATE = "latePatches"
_GRACE = "terminationGracePeriodSeconds"
# Parts of a pod that mean nothing to a process of this machine.
_POD_IGNORED = frozenset(
    {
        *("affinity", "automountServiceAccountToken", "dnsConfig", "dnsPolicy", "enableServiceLinks", "hostAliases", "hostNetwork"),
        *("imagePullSecrets", "nodeName", "nodeSelector", "os", "overhead", "preemptionPolicy", "priority", "priorityClassName"),
        *("restartPolicy", "runtimeClassName", "schedulerName", "securityContext", "serviceAccountName", "tolerations"),
        "topologySpreadConstraints",
    }
)
# Argo's own containers, which are not there.
_ARGO = frozenset({"init", "wait"})


def problems(text: str) -> Iterator[str]:
    """What of a patch would be lost."""
    patch = read(text)
    if patch is None and _TAG in text:
        return
    if patch is None:
        yield "podSpecPatch: expected a map in YAML or JSON"
        return
    for name, value in patch.items():
        if name in ("containers", "initContainers") and isinstance(value, list):
            for container in value:
                yield from _container(name, container if isinstance(container, dict) else {})
        elif name != _GRACE and name not in _POD_IGNORED:
            yield f"podSpecPatch changes {name}, which is not supported"


def applied(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A workflow's spec with its patch, and then that of each template, in the containers that they name."""

    def patched(template: Mapping[str, Any]) -> dict[str, Any]:
        texts = [text for text in (spec.get("podSpecPatch"), template.get("podSpecPatch")) if text]
        for text in texts:
            template = _patched(template, read(text) or {})
        late = [text for text in texts if read(text) is None]
        template = {**template, LATE: late} if late else template
        return templates.with_holders(template, inner)

    def inner(holder: Mapping[str, Any], _path: str) -> Mapping[str, Any]:
        return {**holder, "inline": patched(holder["inline"])} if "inline" in holder else holder

    return {**spec, "templates": [patched(template) for template in spec.get("templates") or []]}


def completed(template: Mapping[str, Any]) -> Mapping[str, Any]:
    """A template with the patches that were no YAML before their tags had values. Raises EvaluationError."""
    for text in template.get(LATE) or []:
        wrong = next(problems(text), None)
        if wrong:
            raise EvaluationError(wrong)
        template = _patched(template, read(text) or {})
    return template


def _patched(template: Mapping[str, Any], patch: Mapping[str, Any]) -> Mapping[str, Any]:
    rows = [row for part in ("containers", "initContainers") for row in patch.get(part) or [] if isinstance(row, dict)]
    by_name = {row.get("name"): {key: row[key] for key in _HONOURED if key in row} for row in rows}
    if not any(by_name.values()):
        return template
    main = [template[name] for name in ("container", "script") if name in template]

    def change(container: Mapping[str, Any]) -> Mapping[str, Any]:
        name = templates.MAIN if any(container is one for one in main) else container.get("name")
        return templates.merged(container, by_name.get(name) or {})

    return templates.with_containers(template, change)


def grace_s(text: str | None, default: float) -> float:
    """How long a pod may take to end after SIGTERM."""
    given = (read(text) or {}).get(_GRACE) if text else None
    return float(given) if isinstance(given, (int, float)) and not isinstance(given, bool) and given >= 0 else default


def read(text: str) -> dict[str, Any] | None:
    """The patch as data, None where it is none."""
    try:
        patch = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError):
        return None
    return patch if isinstance(patch, dict) else None


def _container(part: str, container: dict[str, Any]) -> Iterator[str]:
    name = container.get("name")
    if not isinstance(name, str):
        yield f"podSpecPatch: {part}: expected a name that is text, got {name!r}"
        return
    for field, value in container.items() if name not in _ARGO else ():
        if field not in ("name", *_HONOURED) and field not in _IGNORED:
            yield f"podSpecPatch changes {part} {name}: {field}, which is not supported"
        elif field in _HONOURED and not _HONOURED[field](value):
            yield f"podSpecPatch changes {part} {name}: {field}, which is not of the form that a container has"


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _are_variables(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_variable, value))


def _is_variable(value: Any) -> bool:
    return isinstance(value, dict) and set(value) <= {"name", "value"} and "name" in value and _are_texts([*value.values()])


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


# The parts of a container that a patch may change, and what they must be.
_HONOURED = {"command": _are_texts, "args": _are_texts, "env": _are_variables, "workingDir": _is_text}
