"""The kustomize components whose patches and replacements follow from the compiled manifests, as data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import yaml

from pipelines.parameters import PARAMETERS
from pipelines.site.fields import DATASETS, IMAGE, Entry, Field, Manifest, fields, reads


@dataclass(frozen=True)
class Component:
    """One component: what it does and what the cluster must provide, the parameters it sets, and what it adds to a manifest's spec."""

    about: str
    names: tuple[str, ...]
    adds: Callable[[Entry], Entry] = lambda _: {}


def kustomization(component: Component, manifests: Sequence[Manifest]) -> dict[str, Any]:
    """The component's kustomization. A manifest that it does not concern is not in it."""
    patches = list(_patches(component, manifests))
    replacements = list(_replacements(component.names, [*manifests, *patches]))
    return {
        "apiVersion": "kustomize.config.k8s.io/v1alpha1",
        "kind": "Component",
        **({"patches": [_patch_entry(patch) for patch in patches]} if patches else {}),
        **({"replacements": replacements} if replacements else {}),
    }


def _patches(component: Component, manifests: Sequence[Manifest]) -> Iterator[Manifest]:
    for manifest in manifests:
        spec = component.adds(manifest["spec"])
        if spec:
            head = {key: manifest[key] for key in ("apiVersion", "kind")}
            yield {**head, "metadata": {"name": manifest["metadata"]["name"]}, "spec": spec}


def _patch_entry(patch: Manifest) -> dict[str, Any]:
    # A patch with a target of its own is left out where the build has no such manifest; one without is an error there.
    return {"target": {"kind": patch["kind"], "name": patch["metadata"]["name"]}, "patch": yaml.safe_dump(patch, sort_keys=False)}


def _replacements(names: Sequence[str], manifests: Sequence[Manifest]) -> Iterator[dict[str, Any]]:
    found = [row for manifest in manifests for row in fields(manifest)]
    for name in names:
        targets = list(_targets([field for parameter, field in found if parameter == name]))
        if targets:
            yield {"source": {"kind": "ConfigMap", "name": "site", "fieldPath": f"data.{name}"}, "targets": targets}


def _targets(found: Sequence[Field]) -> Iterator[dict[str, Any]]:
    for kind, name, side in dict.fromkeys((field.kind, field.name, field.side) for field in found):
        paths = [field.path for field in found if (field.kind, field.name, field.side) == (kind, name, side)]
        options = {} if side is None else {"options": {"delimiter": IMAGE, "index": side}}
        yield {"select": {"kind": kind, "name": name}, **options, "fieldPaths": list(dict.fromkeys(paths))}


def _in_containers(addition: Entry, wanted: Callable[[Entry], bool]) -> Callable[[Entry], Entry]:
    """Adds the same to each container that is wanted: a copy each, for YAML writes what is one object once and refers to it."""

    def adds(spec: Entry) -> Entry:
        templates = [row for row in spec.get("templates", ()) if wanted(row.get("container", {}))]
        plain = [row for row in spec.get("containers", ()) if wanted(row)]
        return {
            **({"templates": [{"name": row["name"], "container": deepcopy(addition)} for row in templates]} if templates else {}),
            **({"containers": [{"name": row["name"], **addition} for row in plain]} if plain else {}),
        }

    return adds


def _node_datasets(spec: Entry) -> Entry:
    mount = {"name": DATASETS, "mountPath": "/DATASET_DIR", "readOnly": True}
    volume = {"name": DATASETS, "hostPath": {"path": "/DATASET_DIR", "type": "Directory"}}
    no_download = [{"name": "DATA_URL", "value": ""}]
    is_workflow = "templates" in spec
    container = {"volumeMounts": [mount]} if is_workflow else {"env": no_download, "volumeMounts": [mount]}
    added = _in_containers(container, lambda container: reads(container, "DATASET_DIR", "DATA"))(spec)
    if not added:
        return {}
    arguments = {"arguments": {"parameters": no_download}} if is_workflow else {}
    return {**arguments, "volumes": [volume], **added}


COMPONENTS: Mapping[str, Component] = {
    "as-root": Component(
        "Allows USER_ID=0: pods that run as root, which a namespace that enforces Pod Security 'restricted' rejects.",
        (),
        lambda _: {"securityContext": {"runAsNonRoot": False}},
    ),
    "existing-claim": Component(
        "The steps share the volume of the claim CLAIM, which exists already. More than one node: its access mode is ReadWriteMany.",
        ("CLAIM",),
    ),
    "gpu": Component(
        "Training gets TRAIN_GPUS GPUs. The cluster provides nodes with the resource nvidia.com/gpu (NVIDIA's device plugin), and the\n"
        "image, by IMAGE_SUFFIX, a TensorFlow that uses them.",
        ("TRAIN_GPUS",),
        _in_containers({"resources": {"limits": {"nvidia.com/gpu": 1}}}, lambda container: reads(container, "STEPS")),
    ),
    "image": Component(
        "The steps' image is REGISTRY/tiphysIMAGE_SUFFIX (a suffix is a tag, a digest, or more of the name), pulled by PULL_POLICY.",
        ("IMAGE_SUFFIX", "REGISTRY", "PULL_POLICY"),
    ),
    "node-datasets": Component(
        "The data is a folder of each node, DATASET_DIR, an absolute path, mounted at the same path and read-only; nothing is downloaded.\n"
        "List it after `parameters`: it empties DATA_URL. The namespace must allow hostPath volumes: Pod Security 'privileged'.",
        ("DATASET_DIR",),
        _node_datasets,
    ),
    "pull-secret": Component(
        "Images are pulled with the credentials of the secret PULL_SECRET, of type kubernetes.io/dockerconfigjson, which exists already.",
        ("PULL_SECRET",),
        lambda _: {"imagePullSecrets": [{"name": "PULL_SECRET"}]},
    ),
    "resources": Component("Training asks for TRAIN_CPU processors and TRAIN_MEMORY memory.", ("TRAIN_CPU", "TRAIN_MEMORY")),
    "run-as": Component(
        "The processes run as USER_ID (USER_NAME) and GROUP_ID (GROUP_NAME); a volume that can be given to a group is given to FS_ID.\n"
        "NFS cannot: there the folder must be writable for USER_ID or GROUP_ID.",
        ("USER_ID", "GROUP_ID", "FS_ID", "USER_NAME", "GROUP_NAME"),
    ),
    "s3": Component(
        "Downloads read from S3 with what the secret S3_SECRET holds, which exists already: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and,\n"
        "where needed, AWS_ENDPOINT_URL and AWS_REGION, or the names that README lists beside them.",
        ("S3_SECRET",),
        _in_containers({"envFrom": [{"secretRef": {"name": "S3_SECRET"}}]}, lambda container: reads(container, "DATA_URL")),
    ),
}
_OWNED = {name for component in COMPONENTS.values() for name in component.names} - {"DATASET_DIR"}
PARAMETERS_COMPONENT = Component(
    "The defaults of what a run can set, and all values of the site that are no other component's.",
    tuple(name for name in PARAMETERS if name not in _OWNED),
)
_BY_HAND = {
    "claim": ("VOLUME_ACCESS_MODE", "VOLUME_SIZE"),
    "nfs": ("NFS_SERVER",),
    "efs": ("EFS_ID",),
    "azure-file": ("AZURE_FILE_SECRET", "AZURE_FILE_SHARE"),
    "host-path": ("HOST_PATH",),
}


def component_of(name: str) -> str:
    """The component through which a parameter reaches its fields."""
    components = {component: row.names for component, row in COMPONENTS.items() if component != "node-datasets"} | _BY_HAND
    return next((component for component, names in components.items() if name in names), "parameters")
