"""Each value of a site reaches exactly the fields that are its own, and nothing else changes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines import build
from pipelines.parameters import PARAMETERS

Overlay = Callable[..., Path]
Leaves = dict[str, Any]

RUN_VALUE = r"spec\.arguments\.parameters\[{name}\]\.value"
EVERY_OPTION = ("pull-secret", "gpu", "s3")
# Name -> an overlay in which it lands (nfs where none is named), a value that is not the default, and its fields.
CASES: dict[str, tuple[str, str, str]] = {
    "AZURE_FILE_SECRET": ("aks", "account", r"PersistentVolume/\.spec\.csi\.nodeStageSecretRef\.name"),
    "AZURE_FILE_SHARE": ("aks", "weights", r"PersistentVolume/\.spec\.csi\.(volumeHandle|volumeAttributes\.shareName)"),
    "CLAIM": (
        "nfs",
        "my-disk",
        r"claimName|env\[CLAIM\]\.value|Volume/\.metadata\.name|Claim/\.metadata\.name|claimRef\.name|spec\.volumeName",
    ),
    "EFS_ID": ("eks", "fs-9::fsap-1", r"PersistentVolume/\.spec\.csi\.volumeHandle"),
    "FS_ID": ("nfs", "2001", r"securityContext\.fsGroup|env\[FS_ID\]\.value"),
    "GROUP_ID": ("nfs", "2002", r"securityContext\.runAsGroup|env\[GROUP_ID\]\.value"),
    "GROUP_NAME": ("nfs", "crew", r"env\[GROUP_NAME\]\.value"),
    "IMAGE_SUFFIX": ("nfs", "-gpu:1.2@sha256:0", r"container\.image"),
    "NFS_PATH": ("nfs", "/exports/ml", r"volumeMounts\[workspace\]\.mountPath|env\[NFS_PATH\]\.value|PersistentVolume/\.spec\.nfs\.path"),
    "NFS_SERVER": ("nfs", "nfs.example.org", r"PersistentVolume/\.spec\.nfs\.server"),
    "PULL_POLICY": ("nfs", "Always", r"imagePullPolicy|env\[PULL_POLICY\]\.value"),
    "PULL_SECRET": ("nfs", "registry", r"imagePullSecrets\[0\]\.name|env\[PULL_SECRET\]\.value"),
    "REGISTRY": ("nfs", "registry.example.org:5000/tiphys-team", r"container\.image"),
    "S3_SECRET": ("nfs", "bucket", r"envFrom\[0\]\.secretRef\.name"),
    "SERVING_CPU": ("nfs", "2", r"env\[SERVING_CPU\]\.value"),
    "SERVING_IMAGE": ("nfs", "example.org/serving:1", r"env\[SERVING_IMAGE\]\.value"),
    "SERVING_MEMORY": ("nfs", "3Gi", r"env\[SERVING_MEMORY\]\.value"),
    "TRAIN_CPU": ("nfs", "7", r"templates\[train(ing)?\]\.container\.resources\.requests\.cpu"),
    "TRAIN_GPUS": ("nfs", "4", r"templates\[train(ing)?\]\.container\.resources\.limits\.nvidia\.com/gpu"),
    "TRAIN_MEMORY": ("nfs", "9Gi", r"templates\[train(ing)?\]\.container\.resources\.requests\.memory"),
    "USER_ID": ("nfs", "2003", r"securityContext\.runAsUser|env\[USER_ID\]\.value"),
    "VOLUME_ACCESS_MODE": ("laptop", "ReadWriteOncePod", r"accessModes\[0\]"),
    "VOLUME_SIZE": ("nfs", "7Gi", r"spec\.capacity\.storage|requests\.storage"),
    "HOST_PATH": ("host-path", "/mnt/models", r"PersistentVolume/\.spec\.hostPath\.path"),
    "BATCH_SIZE": ("nfs", "64", RUN_VALUE),
    "CHECKPOINT_DIR": ("nfs", "points", RUN_VALUE),
    "DATASET_DIR": ("nfs", "/data", RUN_VALUE),
    "DATA_FORMAT": ("nfs", "census", RUN_VALUE),
    "DATA_SHA256": ("nfs", "0" * 64, RUN_VALUE),
    "DATA_URL": ("nfs", "https://example.org/a b.zip?x=1&y='2'#\"=3", RUN_VALUE),
    "DEPLOY_TIMEOUT_S": ("nfs", "60", RUN_VALUE),
    "KEEP_VERSIONS": ("nfs", "2", RUN_VALUE),
    "MODEL_DIR": ("nfs", "/models", RUN_VALUE),
    "MODEL_NAME": ("nfs", "on", RUN_VALUE),
    "MODEL_SCRIPT": ("nfs", "fp32_training_check_accuracy.sh", RUN_VALUE),
    "OUTPUT_DIR": ("nfs", "1e3", RUN_VALUE),
    "REPLICAS": ("nfs", "5", RUN_VALUE),
    "RESTART_LIMIT": ("nfs", "0", RUN_VALUE),
    "RETRY_LIMIT": ("nfs", "2", RUN_VALUE),
    "ROLLBACK_VERSION": ("nfs", "3", RUN_VALUE),
    "SEED": ("nfs", "7", RUN_VALUE),
    "STEPS": ("nfs", "50", RUN_VALUE),
    "TARGET_ACCURACY": ("nfs", "", RUN_VALUE),
    "TF_SERVING_NODE_PORT": ("nfs", "30500", RUN_VALUE),
    "TF_SERVING_PORT": ("nfs", "9000", RUN_VALUE),
    "TF_SERVING_REST_PORT": ("nfs", "9001", RUN_VALUE),
    "USER_NAME": ("nfs", "y", RUN_VALUE),
}
# Values set in both builds: without these the first one would not build.
NEEDED = {"PULL_SECRET": "none", "HOST_PATH": "/mnt/disk", "S3_SECRET": "s3"}


@pytest.fixture
def host_path(tree: Path) -> None:
    """An overlay like nfs with host-path in its place: no shipped one has it."""
    folder = tree / "overlays" / "host-path"
    folder.mkdir()
    text = (tree / "overlays" / "nfs" / "kustomization.yaml").read_text()
    (folder / "kustomization.yaml").write_text(text.replace("components/nfs", "components/host-path"))
    (folder / "site.env").write_text("USER_ID=1000\nGROUP_ID=1000\nFS_ID=1000\n")


def test_each_parameter_has_a_case() -> None:
    assert set(CASES) == set(PARAMETERS)


@pytest.mark.usefixtures("host_path")
@pytest.mark.parametrize("name", CASES)
def test_a_value_reaches_its_fields_and_no_other(name: str, overlay: Overlay, leaves_of: Callable[[Path], Leaves]) -> None:
    where, value, fields = CASES[name]
    before = leaves_of(overlay(where, *EVERY_OPTION, **NEEDED))
    after = leaves_of(overlay(where, **{name: value}))
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    pattern = re.compile(f"({fields.format(name=name) if fields is RUN_VALUE else fields})$")
    assert changed == {path for path in before if pattern.search(path)}
    assert changed
    for path in changed:
        assert type(after[path]) is type(before[path])
        assert value in str(after[path])


def test_the_values_of_a_run_are_in_each_template_that_takes_them(overlay: Overlay, leaves_of: Callable[[Path], Leaves]) -> None:
    leaves = leaves_of(overlay("nfs", STEPS="77"))
    found = [path.split("/")[1] for path, value in leaves.items() if path.endswith("parameters[STEPS].value") and value == "77"]
    assert found == [name for name in build.registry() if "- name: STEPS\n" in build.compile_named(name)]
