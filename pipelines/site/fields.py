"""Which fields of a manifest hold which parameter: read from the manifest, a WorkflowTemplate, a plain Pod, or a patch of one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.parameters import PARAMETERS

Manifest = Mapping[str, Any]
Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Field:
    """One field: the manifest's kind and name, and kustomize's path in it.

    `side` says which side of IMAGE in the field's text is the value's, None for the whole of it.
    https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/replacements/#field-path-format
    """

    kind: str
    name: str
    path: str
    side: int | None = None


IMAGE = "/tiphys"
WORKSPACE, DATASETS = "workspace", "datasets"
_POD = {
    "imagePullSecrets.[name=PULL_SECRET].name": "PULL_SECRET",
    "securityContext.fsGroup": "FS_ID",
    "securityContext.runAsGroup": "GROUP_ID",
    "securityContext.runAsUser": "USER_ID",
    f"volumes.[name={DATASETS}].hostPath.path": "DATASET_DIR",
    f"volumes.[name={WORKSPACE}].persistentVolumeClaim.claimName": "CLAIM",
}
_CONTAINER = {
    "envFrom.0.secretRef.name": "S3_SECRET",
    "imagePullPolicy": "PULL_POLICY",
    r"resources.limits.nvidia\.com/gpu": "TRAIN_GPUS",
    f"volumeMounts.[name={DATASETS}].mountPath": "DATASET_DIR",
    f"volumeMounts.[name={WORKSPACE}].mountPath": "NFS_PATH",
}
_TRAINING = {"resources.requests.cpu": "TRAIN_CPU", "resources.requests.memory": "TRAIN_MEMORY"}
# What begins a variable's value that is filled in later: by Argo when the workflow runs, by Kubernetes when the container starts.
_LATER = ("{{", "$(")


def fields(manifest: Manifest) -> Iterator[tuple[str, Field]]:
    """Each field of the manifest that holds a parameter, after the parameter's name."""
    kind, name = manifest["kind"], manifest["metadata"]["name"]
    for parameter, path in _paths(manifest["spec"]):
        if find(manifest, f"spec.{path}") is None:
            continue
        if path.endswith(".image"):
            # The suffix first: a registry may hold IMAGE itself, and moves what comes after it.
            yield "IMAGE_SUFFIX", Field(kind, name, f"spec.{path}", side=1)
            yield "REGISTRY", Field(kind, name, f"spec.{path}", side=0)
        else:
            yield parameter, Field(kind, name, f"spec.{path}")


def containers(spec: Entry) -> Iterator[tuple[str, Entry]]:
    """The containers of a manifest's spec, each with its path."""
    for template in spec.get("templates", ()):
        if "container" in template:
            yield f"templates.[name={template['name']}].container", template["container"]
    for container in spec.get("containers", ()):
        yield f"containers.[name={container['name']}]", container


def reads(container: Entry, *settings: str) -> bool:
    """True for a container that reads one of the settings."""
    return any(row["name"] in settings for row in container.get("env", ()))


def find(value: Any, path: str) -> Any:
    """What is at a path of kustomize's; None where nothing is."""
    for part in re.findall(r"\[[^]]*\]|(?:\\.|[^.\\])+", path):
        value = _step(value, part)
    return value


def _step(value: Any, part: str) -> Any:
    if isinstance(value, dict):
        return value.get(part.replace("\\", ""))
    if not isinstance(value, list):
        return None
    key, selects, wanted = part.strip("[]").partition("=")
    found = [item for item in value if item.get(key) == wanted] if selects else value[int(part) : int(part) + 1]
    return found[0] if found else None


def _paths(spec: Entry) -> Iterator[tuple[str, str]]:
    for row in spec.get("arguments", {}).get("parameters", ()):
        if row["name"] in PARAMETERS:
            yield row["name"], f"arguments.parameters.[name={row['name']}].value"
    for path, parameter in _POD.items():
        yield parameter, path
    for place, container in containers(spec):
        for parameter, path in _paths_of_container(container):
            yield parameter, f"{place}.{path}"


def _paths_of_container(container: Entry) -> Iterator[tuple[str, str]]:
    yield "REGISTRY", "image"
    for path, parameter in _CONTAINER.items():
        yield parameter, path
    for path, parameter in _TRAINING.items() if reads(container, "STEPS") else ():
        yield parameter, path
    for row in container.get("env", ()):
        if row["name"] in PARAMETERS and not row.get("value", "").startswith(_LATER):
            yield row["name"], f"env.[name={row['name']}].value"
