"""A podSpecPatch, as far as it changes nothing here, or the grace period."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from pipelines.local.fields import FIELDS

_IGNORED = frozenset(field.name for field in FIELDS if field.section == "Container" and field.verdict == "ignored") | {"readinessProbe"}
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
    if patch is None:
        yield "podSpecPatch: expected a map in YAML or JSON"
        return
    for name, value in patch.items():
        if name in ("containers", "initContainers") and isinstance(value, list):
            for container in value:
                yield from _container(name, container if isinstance(container, dict) else {})
        elif name != _GRACE and name not in _POD_IGNORED:
            yield f"podSpecPatch changes {name}, which is not supported"


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
    for field in container if name not in _ARGO else ():
        if field != "name" and field not in _IGNORED:
            yield f"podSpecPatch changes {part} {name}: {field}, which is not supported"
