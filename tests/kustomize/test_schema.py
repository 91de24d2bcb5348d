"""The schema in base: a strategic-merge patch on an item of a keyed list keeps all that it does not name; these have no key."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

Definition = Mapping[str, Any]

SCHEMA = Path(__file__).parents[2] / "kustomize" / "base" / "openapi.json"
DEFINITIONS: Mapping[str, Definition] = json.loads(SCHEMA.read_text())["definitions"]
GROUP_KIND = "x-kubernetes-group-version-kind"
ARGO = ("ClusterWorkflowTemplate", "CronWorkflow", "Workflow", "WorkflowTemplate")
CORE = ("Deployment", "Pod")


def root(kind: str) -> str:
    return next(name for name, row in DEFINITIONS.items() if row.get(GROUP_KIND, [{}])[0].get("kind") == kind)


def reference(schema: Definition) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def keys(schema: Definition) -> Sequence[str]:
    """The keys of a list's items; none for a list that a patch replaces as a whole."""
    if "x-kubernetes-patch-merge-key" not in schema:
        return ()
    return list(schema.get("x-kubernetes-list-map-keys", [schema["x-kubernetes-patch-merge-key"]]))


def within(schema: Definition, above: Sequence[str]) -> str:
    """The definition that a patch can reach into through a field, empty where it cannot or where it has been already."""
    inner = reference(schema) or reference(schema.get("additionalProperties", {})) or (reference(schema["items"]) if keys(schema) else "")
    return "" if inner in above else inner


def item(number: int, schema: Definition) -> dict[str, Any]:
    """The keys of an item; where there are several, only the last one tells it from the others."""
    *first, last = keys(schema)
    return {**dict.fromkeys(first, 1), last: f"item-{number}"}


def example(name: str, *above: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """An object with two items in each keyed list below it, and a patch of the first item of each."""
    before: dict[str, Any] = {}
    patch: dict[str, Any] = {}
    for field, schema in DEFINITIONS[name].get("properties", {}).items():
        inner = within(schema, (*above, name))
        part, change = example(inner, *above, name) if inner else ({}, {})
        if keys(schema):
            before[field] = [{**item(1, schema), "kept": "1", **part}, {**item(2, schema), "kept": "2"}]
            patch[field] = [{**item(1, schema), "added": "by the patch", **change}]
        elif part:
            is_map = "additionalProperties" in schema
            before[field], patch[field] = ({"entry": part}, {"entry": change}) if is_map else (part, change)
    return before, patch


def patched(before: Any, patch: Any) -> Any:
    """What is expected: the first item of each list has both, all else is as before."""
    if isinstance(before, list):
        return [patched(before[0], patch[0]), *before[1:]]
    if not isinstance(before, dict):
        return before
    return {**patch, **{key: patched(value, patch[key]) if key in patch else value for key, value in before.items()}}


def lists(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, list):
        yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from lists(part, f"{path}.{key}")


def in_order(value: Any) -> Any:
    """The value with each list sorted: kustomize may put a patched item elsewhere."""
    if isinstance(value, list):
        return sorted(map(in_order, value), key=lambda item: json.dumps(item, sort_keys=True))
    return {key: in_order(part) for key, part in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize("kind", [*ARGO, *CORE])
def test_a_patch_on_one_item_keeps_the_others_and_its_own_fields(kind: str, tmp_path: Path, builder: tuple[str, ...]) -> None:
    group = DEFINITIONS[root(kind)][GROUP_KIND][0]
    head = {"apiVersion": f"{group['group']}/{group['version']}".lstrip("/"), "kind": kind}
    before, patch = ({**part, **head, "metadata": {**part.get("metadata", {}), "name": "sample"}} for part in example(root(kind)))
    (tmp_path / "openapi.json").write_bytes(SCHEMA.read_bytes())
    (tmp_path / "before.yaml").write_text(yaml.safe_dump(before))
    (tmp_path / "patch.yaml").write_text(yaml.safe_dump(patch))
    (tmp_path / "kustomization.yaml").write_text("resources: [before.yaml]\npatches: [{path: patch.yaml}]\nopenapi: {path: openapi.json}\n")
    done = subprocess.run([*builder, str(tmp_path)], capture_output=True, text=True, check=True)
    assert len(list(lists(before))) >= 15
    assert in_order(yaml.safe_load(done.stdout)) == in_order(patched(before, patch))


# A patch replaces these as a whole: their items have nothing that tells one from another. Definition -> its lists.
WITHOUT_KEY = {
    "ContainerNode": "envFrom resizePolicy",
    "DAGTask": "withItems",
    "Data": "transformation",
    "HTTP": "headers",
    "HTTPArtifact": "headers",
    "Histogram": "buckets",
    "Metrics": "prometheus",
    "OAuth2Auth": "endpointParams",
    "Prometheus": "labels",
    "ScriptTemplate": "envFrom resizePolicy",
    "Synchronization": "mutexes semaphores",
    "Template": "steps tolerations",
    "UserContainer": "envFrom resizePolicy",
    "WorkflowSpec": "tolerations volumeClaimTemplates",
    "WorkflowStep": "withItems",
    "ConfigMapProjection": "items",
    "ConfigMapVolumeSource": "items",
    "Container": "envFrom resizePolicy restartPolicyRules",
    "DownwardAPIProjection": "items",
    "DownwardAPIVolumeSource": "items",
    "EphemeralContainer": "envFrom resizePolicy restartPolicyRules",
    "HTTPGetAction": "httpHeaders",
    "LabelSelector": "matchExpressions",
    "NodeAffinity": "preferredDuringSchedulingIgnoredDuringExecution",
    "NodeSelector": "nodeSelectorTerms",
    "NodeSelectorTerm": "matchExpressions matchFields",
    "ObjectMeta": "managedFields",
    "PodAffinity": "preferredDuringSchedulingIgnoredDuringExecution requiredDuringSchedulingIgnoredDuringExecution",
    "PodAntiAffinity": "preferredDuringSchedulingIgnoredDuringExecution requiredDuringSchedulingIgnoredDuringExecution",
    "PodDNSConfig": "options",
    "PodSecurityContext": "sysctls",
    "PodSpec": "readinessGates tolerations",
    "ProjectedVolumeSource": "sources",
    "ResourceRequirements": "claims",
    "SecretProjection": "items",
    "SecretVolumeSource": "items",
}


def reachable(names: Sequence[str]) -> set[str]:
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += references(DEFINITIONS[name])
    return found


def references(schema: Any) -> Iterator[str]:
    for key, part in schema.items():
        if key == "$ref":
            yield part.rpartition("/")[2]
        elif isinstance(part, dict):
            yield from references(part)


def test_the_lists_without_a_key_are_these() -> None:
    found: dict[str, list[str]] = {}
    for name in reachable([root(kind) for kind in (*ARGO, *CORE)]):
        for field, schema in DEFINITIONS[name].get("properties", {}).items():
            if reference(schema.get("items", {})) and not keys(schema):
                found.setdefault(name.rpartition(".")[2], []).append(field)
    assert {name: " ".join(sorted(fields)) for name, fields in found.items()} == WITHOUT_KEY


def test_each_keyed_list_is_tried() -> None:
    """The walk that makes the patches comes to every keyed list."""
    keyed = {
        f"{name.rpartition('.')[2]}.{field}"
        for name in reachable([root(kind) for kind in (*ARGO, *CORE)])
        for field, schema in DEFINITIONS[name].get("properties", {}).items()
        if keys(schema)
    }
    tried = {found for kind in (*ARGO, *CORE) for found in tried_below(root(kind))}
    assert keyed - tried == set()


def tried_below(name: str, *above: str) -> Iterator[str]:
    for field, schema in DEFINITIONS[name].get("properties", {}).items():
        if keys(schema):
            yield f"{name.rpartition('.')[2]}.{field}"
        inner = within(schema, (*above, name))
        if inner:
            yield from tried_below(inner, *above, name)


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ([{"key": "b"}], [{"key": "b"}]),
        ([{"key": "a", "effect": "NoExecute"}], [{"key": "a", "effect": "NoExecute"}]),
    ],
)
def test_tolerations_are_replaced_as_on_a_pod(patch: Any, expected: Any, tmp_path: Path, any_builder: tuple[str, ...]) -> None:
    head = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "sample"}}
    before = [{"key": "a", "effect": "NoSchedule"}, {"key": "a", "effect": "NoExecute"}, {"operator": "Exists"}]
    (tmp_path / "openapi.json").write_bytes(SCHEMA.read_bytes())
    (tmp_path / "before.yaml").write_text(yaml.safe_dump({**head, "spec": {"tolerations": before}}))
    (tmp_path / "patch.yaml").write_text(yaml.safe_dump({**head, "spec": {"tolerations": patch}}))
    (tmp_path / "kustomization.yaml").write_text("resources: [before.yaml]\npatches: [{path: patch.yaml}]\nopenapi: {path: openapi.json}\n")
    done = subprocess.run([*any_builder, str(tmp_path)], capture_output=True, text=True, check=True)
    assert yaml.safe_load(done.stdout)["spec"]["tolerations"] == expected
