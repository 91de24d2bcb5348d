"""What base and each overlay install, as data."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines import build
from pipelines.parameters import PARAMETERS

Overlay = Callable[..., Path]
Document = dict[str, Any]
Leaves = dict[str, Any]
Built = Callable[[Path], list[Document]]

OVERLAYS = ["laptop", "nfs", "eks", "aks"]
COMMON = {
    "ServiceAccount": 2,
    "Role": 2,
    "RoleBinding": 2,
    "Secret": 1,
    "WorkflowTemplate": len(build.registry()),
    "PersistentVolumeClaim": 1,
}
VOLUME = {"PersistentVolume": 1}
KINDS = {"laptop": COMMON, "nfs": COMMON | VOLUME, "eks": COMMON | VOLUME, "aks": COMMON | VOLUME}
RIGHTS = {
    "tiphys": [("argoproj.io", "workflowtaskresults", "create patch")],
    "tiphys-deployer": [
        ("apps", "deployments", "get create patch delete"),
        ("", "services", "get create patch delete"),
        ("policy", "poddisruptionbudgets", "get create patch delete"),
        ("", "pods", "list"),
    ],
}


def compiled() -> list[Document]:
    return [yaml.safe_load(build.compile_named(name, "WorkflowTemplate")) for name in build.registry()]


def of_kind(documents: list[Document], kind: str) -> list[Document]:
    return [document for document in documents if document["kind"] == kind]


def by_name(documents: Iterable[Document]) -> dict[tuple[str, str], Document]:
    return {(document["kind"], document["metadata"]["name"]): document for document in documents}


def without_namespace(document: Document) -> Document:
    return {**document, "metadata": {key: value for key, value in document["metadata"].items() if key != "namespace"}}


def dictionaries(value: Any) -> Iterator[Document]:
    if isinstance(value, dict):
        yield value
        for part in value.values():
            yield from dictionaries(part)
    elif isinstance(value, list):
        for part in value:
            yield from dictionaries(part)


def test_base_is_what_compiles_and_the_accounts(tree: Path, built: Built) -> None:
    documents = built(tree / "base")
    assert of_kind(documents, "WorkflowTemplate") == [
        yaml.safe_load(build.compile_named(name, "WorkflowTemplate")) for name in build.registry()
    ]
    accounts = yaml.safe_load_all((tree / "base" / "accounts.yaml").read_text())
    assert by_name(document for document in documents if document["kind"] != "WorkflowTemplate") == by_name(accounts)


def test_the_accounts_have_these_rights_and_no_other(tree: Path) -> None:
    documents = list(yaml.safe_load_all((tree / "base" / "accounts.yaml").read_text()))
    roles = {role["metadata"]["name"]: role["rules"] for role in of_kind(documents, "Role")}
    assert {
        name: [(*rule["apiGroups"], *rule["resources"], " ".join(rule["verbs"])) for rule in rules] for name, rules in roles.items()
    } == RIGHTS
    bindings = {binding["roleRef"]["name"]: binding["subjects"] for binding in of_kind(documents, "RoleBinding")}
    assert bindings == {name: [{"kind": "ServiceAccount", "name": name}] for name in RIGHTS}
    tokens = {account["metadata"]["name"]: account["automountServiceAccountToken"] for account in of_kind(documents, "ServiceAccount")}
    assert tokens == {"tiphys": False, "tiphys-deployer": True}


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_installs_these_kinds_in_its_namespace(name: str, overlay: Overlay, built: Built) -> None:
    documents = built(overlay(name))
    kinds = [document["kind"] for document in documents]
    assert {kind: kinds.count(kind) for kind in kinds} == KINDS[name]
    namespaces = {document["metadata"].get("namespace") for document in documents if document["kind"] != "PersistentVolume"}
    assert namespaces == {"tiphys"}


@pytest.mark.parametrize("name", ["nfs", "eks", "aks"])
def test_with_the_defaults_an_overlay_changes_nothing_in_a_template(name: str, overlay: Overlay, built: Built) -> None:
    templates = [without_namespace(document) for document in of_kind(built(overlay(name)), "WorkflowTemplate")]
    assert templates == compiled()


@pytest.mark.parametrize(("name", "missing"), [("nfs", "NFS_SERVER"), ("nfs", "USER_ID"), ("eks", "EFS_ID"), ("aks", "AZURE_FILE_SHARE")])
def test_the_build_names_the_value_that_is_not_set(name: str, missing: str, overlay: Overlay, builder: tuple[str, ...]) -> None:
    site_env = overlay(name) / "site.env"
    site_env.write_text("".join(line for line in site_env.read_text().splitlines(keepends=True) if not line.startswith(f"{missing}=")))
    done = subprocess.run([*builder, str(site_env.parent)], capture_output=True, text=True, check=False)
    assert done.returncode
    assert f"`data.{missing}` is missing" in done.stderr


@pytest.mark.parametrize("name", OVERLAYS)
def test_kustomize_and_kubectl_build_the_same(name: str, overlay: Overlay) -> None:
    commands = [("kustomize", "build"), ("kubectl", "kustomize")]
    if not all(shutil.which(command) for command, _ in commands):
        pytest.skip("not both of kustomize and kubectl on PATH")
    folder = str(overlay(name, "run-now", "s3", "gpu", "pull-secret", "node-datasets", PULL_SECRET="registry", DATASET_DIR="/data"))
    one, other = (subprocess.run([*command, folder], capture_output=True, text=True, check=True).stdout for command in commands)
    assert list(yaml.safe_load_all(one)) == list(yaml.safe_load_all(other))


@pytest.mark.parametrize("name", OVERLAYS)
def test_nothing_runs_as_root_or_may_become_it(name: str, overlay: Overlay, built: Built) -> None:
    templates = of_kind(built(overlay(name, "s3", "gpu", "pull-secret", PULL_SECRET="registry")), "WorkflowTemplate")
    pods = [template["spec"] for template in templates]
    assert all(pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] for pod in pods)
    for found in dictionaries(pods):
        assert found.get("runAsUser") != 0
        assert found.get("runAsNonRoot", True)
        assert not found.get("privileged")
        assert not found.get("hostPath")
        if "image" in found:
            assert found["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


@pytest.mark.parametrize("name", OVERLAYS)
def test_no_placeholder_is_left(name: str, overlay: Overlay, leaves_of: Callable[[Path], Leaves]) -> None:
    options = ["s3", "gpu", "pull-secret", "node-datasets", "run-now"]
    leaves = leaves_of(overlay(name, *options, PULL_SECRET="registry", DATASET_DIR="/data"))
    placeholders = {path for path, value in leaves.items() if str(value).removeprefix("tiphys.").lstrip("/") in PARAMETERS}
    assert [path for path in placeholders if not re.search(r"(parameters|env)\[\w+\]\.name$", path)] == []


def test_installs_in_two_namespaces_share_no_volume(overlay: Overlay, built: Built) -> None:
    folder = overlay("nfs", CLAIM="disk.a")
    kustomization = (folder / "kustomization.yaml").read_text()
    volumes, claims = [], []
    for namespace in ("ann", "bob"):
        (folder / "kustomization.yaml").write_text(kustomization.replace("namespace: tiphys", f"namespace: {namespace}"))
        documents = built(folder)
        volumes += of_kind(documents, "PersistentVolume")
        claims += of_kind(documents, "PersistentVolumeClaim")
    assert [volume["metadata"]["name"] for volume in volumes] == ["ann.disk.a", "bob.disk.a"]
    assert [volume["spec"]["claimRef"] for volume in volumes] == [{"name": "disk.a", "namespace": name} for name in ("ann", "bob")]
    assert [claim["spec"]["volumeName"] for claim in claims] == ["ann.disk.a", "bob.disk.a"]
    assert all("namespace" not in volume["metadata"] for volume in volumes)


@pytest.mark.skipif(shutil.which("kustomize") is None, reason="no kustomize on PATH")
@pytest.mark.parametrize("name", OVERLAYS)
def test_the_namespace_is_set_by_kustomize_edit(name: str, tree: Path, built: Built, overlay: Overlay) -> None:
    mine = tree / "overlays" / "mine"
    shutil.copytree(overlay(name), mine)
    subprocess.run(["kustomize", "edit", "set", "namespace", "ann"], cwd=mine, check=True)
    documents = built(mine)
    assert {document["metadata"].get("namespace", "ann") for document in documents} == {"ann"}
    assert {found["namespace"] for document in documents for found in dictionaries(document) if "namespace" in found} == {"ann"}
    assert [volume["metadata"]["name"] for volume in of_kind(documents, "PersistentVolume")] == ["ann.workspace"] * (name != "laptop")


def test_an_overlay_needs_nothing_of_the_environment(overlay: Overlay, any_builder: tuple[str, ...]) -> None:
    environment = {"PATH": os.environ["PATH"], "NFS_SERVER": "wrong"}
    folder = overlay("nfs")
    (folder / "site.env").write_text("USER_ID=1\nGROUP_ID=1\nFS_ID=1\n")
    done = subprocess.run([*any_builder, str(folder)], env=environment, capture_output=True, text=True, check=False)
    assert "`data.NFS_SERVER` is missing" in done.stderr


def test_a_users_patch_on_a_template_changes_what_it_names_and_nothing_else(overlay: Overlay, leaves_of: Callable[[Path], Leaves]) -> None:
    folder = overlay("laptop")
    before = leaves_of(folder)
    container = {"env": [{"name": "STEPS", "value": "9"}, {"name": "MINE", "value": "1"}], "resources": {"requests": {"cpu": "2"}}}
    patch = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": "train-and-serve"},
        "spec": {
            "templates": [{"name": "train", "container": container}],
            "volumes": [{"name": "cache", "emptyDir": {"sizeLimit": "1Gi"}}],
        },
    }
    kustomization = {**yaml.safe_load((folder / "kustomization.yaml").read_text()), "patches": [{"patch": yaml.safe_dump(patch)}]}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    spec = "WorkflowTemplate/train-and-serve/.spec"
    assert leaves_of(folder) == before | {
        f"{spec}.templates[train].container.env[MINE].name": "MINE",
        f"{spec}.templates[train].container.env[MINE].value": "1",
        f"{spec}.templates[train].container.env[STEPS].value": "9",
        f"{spec}.templates[train].container.resources.requests.cpu": "2",
        f"{spec}.volumes[cache].name": "cache",
        f"{spec}.volumes[cache].emptyDir.sizeLimit": "1Gi",
    }


def test_single_node_is_a_pod_and_its_volume_and_no_root(tree: Path, built: Built, any_builder: tuple[str, ...]) -> None:
    folder = tree / "single-node"
    done = subprocess.run([*any_builder, str(folder)], capture_output=True, text=True, check=False)
    assert "`data.NFS_SERVER` is missing" in done.stderr
    with (folder / "site.env").open("a") as site_env:
        site_env.write("NFS_SERVER=10.35.215.25\nUSER_ID=1234\n")
    kustomization = (folder / "kustomization.yaml").read_text()
    (folder / "kustomization.yaml").write_text(kustomization.replace("namespace: tiphys", "namespace: ann"))
    volume, claim, pod = built(folder)
    assert [document["kind"] for document in (volume, claim, pod)] == ["PersistentVolume", "PersistentVolumeClaim", "Pod"]
    assert (volume["metadata"]["name"], volume["spec"]["claimRef"]["namespace"]) == ("ann.workspace", "ann")
    assert claim["spec"]["volumeName"] == "ann.workspace"
    assert "training" in pod["metadata"]["name"]
    assert pod["spec"]["securityContext"]["runAsUser"] == 1234
    assert pod["spec"]["securityContext"]["runAsNonRoot"]
    assert yaml.safe_load((folder / "pod.yaml").read_text())["spec"]["containers"] == pod["spec"]["containers"]
