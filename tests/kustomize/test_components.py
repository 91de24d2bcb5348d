"""What each component adds to an overlay, and that it adds nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines import build

Overlay = Callable[..., Path]
Leaves = dict[str, Any]
LeavesOf = Callable[[Path], Leaves]

COMPILED = {f"WorkflowTemplate/{name}/.spec": yaml.safe_load(build.compile_named(name))["spec"] for name in build.registry()}
TRAIN, SERVE = "WorkflowTemplate/train/.spec", "WorkflowTemplate/train-and-serve/.spec"
TRAINING, DOWNLOAD, PREPARE = f"{TRAIN}.templates[training]", f"{SERVE}.templates[download]", f"{SERVE}.templates[prepare]"
RUN = "Workflow/train-and-serve/"


def literals(name: str, value: str) -> Leaves:
    """The variable in each container to which Argo does not give its value."""
    return {
        f"{spec}.templates[{template['name']}].container.env[{name}].value": value
        for spec, compiled in COMPILED.items()
        for template in compiled["templates"]
        for row in template.get("container", {}).get("env", ())
        if row["name"] == name and "{{" not in row["value"]
    }


def datasets(spec: str, *templates: str) -> Leaves:
    mounts = {
        f"{template}.container.volumeMounts[datasets].{key}": value
        for template in templates
        for key, value in {"name": "datasets", "mountPath": "/data", "readOnly": True}.items()
    }
    volume = {"name": "datasets", "hostPath.path": "/data", "hostPath.type": "Directory"}
    return {f"{spec}.volumes[datasets].{key}": value for key, value in volume.items()} | mounts


ADDED: dict[str, tuple[dict[str, str], Leaves]] = {
    "as-root": ({}, {f"{spec}.securityContext.runAsNonRoot": False for spec in COMPILED}),
    "existing-claim": ({}, {}),
    "gpu": (
        {"TRAIN_GPUS": "2"},
        {f"{template}.container.resources.limits.nvidia.com/gpu": 2 for template in (TRAINING, f"{SERVE}.templates[train]")},
    ),
    "image": ({}, {}),
    "node-datasets": (
        {"DATASET_DIR": "/data"},
        {
            **{f"{spec}.arguments.parameters[DATA_URL].value": "" for spec in (TRAIN, SERVE)},
            **datasets(TRAIN, TRAINING),
            **datasets(SERVE, DOWNLOAD, PREPARE),
        },
    ),
    "pull-secret": (
        {"PULL_SECRET": "registry"},
        {
            **{f"{spec}.imagePullSecrets[0].name": "registry" for spec in COMPILED},
            **literals("PULL_SECRET", "registry"),
        },
    ),
    "resources": ({}, {}),
    "run-as": ({}, {}),
    "run-now": (
        {},
        {
            f"{RUN}.apiVersion": "argoproj.io/v1alpha1",
            f"{RUN}.kind": "Workflow",
            f"{RUN}.metadata.name": "train-and-serve",
            f"{RUN}.metadata.namespace": "tiphys",
            f"{RUN}.metadata.labels.app.kubernetes.io/component": "pipeline",
            f"{RUN}.metadata.labels.app.kubernetes.io/name": "train-and-serve",
            f"{RUN}.metadata.labels.app.kubernetes.io/part-of": "tiphys",
            f"{RUN}.spec.workflowTemplateRef.name": "train-and-serve",
            f"{RUN}.spec.ttlStrategy.secondsAfterCompletion": 2**31 - 1,
        },
    ),
    "s3": (
        {"S3_SECRET": "bucket"},
        {f"{template}.container.envFrom[0].secretRef.name": "bucket" for template in (TRAINING, DOWNLOAD)},
    ),
}


@pytest.mark.parametrize("component", ADDED)
def test_a_component_adds_this_and_nothing_else(component: str, overlay: Overlay, leaves_of: LeavesOf) -> None:
    values, added = ADDED[component]
    before = leaves_of(overlay("laptop", **values))
    after = leaves_of(overlay("laptop", component))
    assert {path: value for path, value in after.items() if path not in before or before[path] != value} == added
    assert before.keys() - after.keys() == set()


def test_an_existing_claim_is_used_and_none_is_made(tree: Path, overlay: Overlay, leaves_of: LeavesOf) -> None:
    folder = overlay("laptop", CLAIM="disk")
    kustomization = folder / "kustomization.yaml"
    kustomization.write_text(kustomization.read_text().replace("components/claim", "components/existing-claim"))
    leaves = leaves_of(folder)
    assert not [path for path in leaves if path.startswith("PersistentVolume")]
    assert {value for path, value in leaves.items() if path.endswith((".claimName", "env[CLAIM].value"))} == {"disk"}


def test_a_run_comes_after_what_it_names(overlay: Overlay, leaves_of: LeavesOf) -> None:
    kinds = [path.partition("/")[0] for path in leaves_of(overlay("nfs", "run-now"))]
    assert max(kinds.index(kind) for kind in ("WorkflowTemplate", "ServiceAccount", "PersistentVolumeClaim")) < kinds.index("Workflow")


def test_a_disk_of_the_node_is_seen_as_a_claim(tree: Path, overlay: Overlay, leaves_of: LeavesOf) -> None:
    folder = overlay("nfs", HOST_PATH="/mnt/disk")
    kustomization = folder / "kustomization.yaml"
    kustomization.write_text(kustomization.read_text().replace("components/nfs", "components/host-path"))
    leaves = leaves_of(folder)
    assert {path: value for path, value in leaves.items() if "hostPath" in path} == {
        "PersistentVolume/.spec.hostPath.path": "/mnt/disk",
        "PersistentVolume/.spec.hostPath.type": "Directory",
    }


OF_THE_POD = {
    "CLAIM": ("disk", ["spec.volumes[workspace].persistentVolumeClaim.claimName"]),
    "CHECKPOINT_DIR": ("points", []),  # it is OUTPUT_DIR there
    "DATASET_DIR": ("/data", ["env[DATASET_DIR].value", "spec.volumes[datasets].hostPath.path", "volumeMounts[datasets].mountPath"]),
    "FS_ID": ("8", ["spec.securityContext.fsGroup"]),
    "IMAGE_SUFFIX": (":8", ["image"]),
    "NFS_PATH": ("/exports", ["env[NFS_PATH].value", "volumeMounts[workspace].mountPath"]),
    "OUTPUT_DIR": ("results", ["env[OUTPUT_DIR].value"]),
    "PULL_SECRET": ("registry", ["spec.imagePullSecrets[0].name"]),
    "S3_SECRET": ("bucket", ["envFrom[0].secretRef.name"]),
    "STEPS": ("50", ["env[STEPS].value"]),
    "TF_SERVING_PORT": ("9000", []),
    "TRAIN_GPUS": ("8", ["resources.limits.nvidia.com/gpu"]),
    "TRAIN_MEMORY": ("8Gi", ["resources.requests.memory"]),
    "USER_ID": ("8", ["spec.securityContext.runAsUser"]),
    "USER_NAME": ("ann", ["env[USER_NAME].value"]),
}


@pytest.mark.parametrize("name", OF_THE_POD)
def test_a_plain_pod_takes_values_as_a_template_does(name: str, tree: Path, leaves_of: LeavesOf) -> None:
    folder = tree / "single-node"
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    kustomization["components"] += [f"../components/{component}" for component in ("s3", "gpu", "pull-secret", "node-datasets")]
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    value, fields = OF_THE_POD[name]

    def pod(**values: str) -> Leaves:
        given = {"NFS_SERVER": "nfs", "USER_ID": "1000", "GROUP_ID": "1000", "FS_ID": "1000", **values}
        (folder / "site.env").write_text("".join(f"{key}={text}\n" for key, text in given.items()))
        return {path: text for path, text in leaves_of(folder).items() if path.startswith("Pod/")}

    before, after = pod(), pod(**{name: value})
    changed = [path for path in after if before.get(path) != after[path]]
    assert sorted(path.removeprefix("Pod/training/.").removeprefix("spec.containers[main].") for path in changed) == fields
    assert all(value in str(after[path]) for path in changed)
    assert before.keys() == after.keys()
    assert after["Pod/training/.spec.containers[main].env[DATA_URL].value"] == ""
