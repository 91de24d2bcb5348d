"""One OpenAPI schema of Argo's kinds and the core kinds, from which kustomize knows the key of each list in a patch.

Without it a strategic-merge patch on an Argo kind replaces whole lists; with Argo's alone, one on a core kind does.
`make openapi ARGO=.../swagger.json KUBERNETES=.../swagger.json` writes kustomize/base/openapi.json anew.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Definition = Mapping[str, Any]
Definitions = Mapping[str, Definition]

ARGO = "io.argoproj.workflow.v1alpha1."
ARGO_KINDS = ("ClusterWorkflowTemplate", "CronWorkflow", "Workflow", "WorkflowEventBinding", "WorkflowTemplate")
# Where Argo's schema has no key although Argo wants the items to differ in it, and where its key is none: two tolerations may have one
# key, or none at all, and kustomize then loses both (seen with 5.8). Kubernetes has none there either.
_KEYS = {
    ("ContainerSetTemplate", "containers"): "name",
    ("ContainerSetTemplate", "volumeMounts"): "mountPath",
    ("Template", "tolerations"): None,
    ("WorkflowSpec", "tolerations"): None,
}
_MERGE = ("x-kubernetes-patch-merge-key", "x-kubernetes-patch-strategy")
_REFERENCE = "#/definitions/"
_KIND = "x-kubernetes-group-version-kind"
_KEPT = ("$ref", "type", "x-kubernetes-list-map-keys", "x-kubernetes-patch-merge-key", "x-kubernetes-patch-strategy")


def merged(argo: Definitions, core: Definitions) -> dict[str, Any]:
    """The schema: what is reachable from the kinds that people patch, without descriptions and status; core's word goes first."""
    kinds = {f"{ARGO}{kind}": _kind("argoproj.io", "v1alpha1", kind) for kind in ARGO_KINDS} | _core_kinds(core)
    known = {**argo, **core}
    found: dict[str, Any] = {}
    waiting = list(kinds)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = _definition(name, known[name], kinds.get(name))
            waiting += _references(found[name])
    return {"definitions": dict(sorted(found.items()))}


def _core_kinds(core: Definitions) -> dict[str, Any]:
    """The kinds of stable versions that have a name of their own: no lists, no options of a call."""
    return {
        name: row[_KIND]
        for name, row in core.items()
        if row.get("properties", {}).get("metadata") and len(row.get(_KIND, ())) == 1
        if row[_KIND][0]["version"] in ("v1", "v2") and "items" not in row["properties"]
    }


def _kind(group: str, version: str, kind: str) -> list[dict[str, str]]:
    return [{"group": group, "kind": kind, "version": version}]


def _definition(name: str, definition: Definition, kind: Any) -> dict[str, Any]:
    properties = {key: value for key, value in definition.get("properties", {}).items() if not (kind and key == "status")}
    small: dict[str, Any] = {key: definition[key] for key in ("type",) if key in definition}
    if properties:
        small["properties"] = {key: _keyed(name, key, _property(value)) for key, value in properties.items()}
    for key in ("items", "additionalProperties"):
        if isinstance(definition.get(key), dict):
            small[key] = _property(definition[key])
    return small | ({_KIND: kind} if kind else {})


def _keyed(name: str, key: str, value: dict[str, Any]) -> dict[str, Any]:
    place = name.removeprefix(ARGO), key
    if place not in _KEYS:
        return value
    merge_key = _KEYS[place]
    plain = {field: part for field, part in value.items() if field not in _MERGE}
    return plain | (dict(zip(_MERGE, (merge_key, "merge"), strict=True)) if merge_key else {})


def _property(value: Definition) -> dict[str, Any]:
    small = {key: value[key] for key in _KEPT if key in value}
    return small | {key: _property(value[key]) for key in ("items", "additionalProperties") if isinstance(value.get(key), dict)}


def _references(value: Any) -> Iterator[str]:
    for key, part in value.items():
        if key == "$ref" and isinstance(part, str):
            yield part.removeprefix(_REFERENCE)
        elif isinstance(part, dict):
            yield from _references(part)


def main(argo: Path, core: Path, target: Path) -> None:
    """Merge two swagger files into one."""
    definitions = [json.loads(path.read_text())["definitions"] for path in (argo, core)]
    target.write_text(json.dumps(merged(*definitions), sort_keys=True, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("expected two files: make openapi ARGO=.../swagger.json KUBERNETES=.../swagger.json (api/openapi-spec of their sources)")
    main(*map(Path, sys.argv[1:]))
