"""What the overlays build, before a real API server with Argo's CRDs, in a namespace that enforces Pod Security "restricted"."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

KUSTOMIZE = Path(__file__).parents[2] / "kustomize"
KUBECTL = shutil.which("kubectl")
ARGO = shutil.which("argo")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not (KUBECTL and os.environ.get("KUBECONFIG")), reason="no cluster: KUBECONFIG and kubectl are needed"),
]

NEEDED = {
    "laptop": "",
    "nfs": "NFS_SERVER=10.35.215.25\nUSER_ID=1000\n",
    "eks": "EFS_ID=fs-0123456789abcdef0\n",
    "aks": "AZURE_FILE_SHARE=models\n",
}
OPTIONS = ["gpu", "pull-secret", "s3", "node-datasets", "run-now"]
OURS = "serviceaccounts,roles,rolebindings,secrets,persistentvolumeclaims,workflowtemplates,workflows"


def kubectl(*arguments: str, given: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([str(KUBECTL), *arguments], input=given, capture_output=True, text=True, check=False, timeout=120)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def until(holds: Any, what: str, deadline_s: float = 60) -> None:
    end = time.monotonic() + deadline_s
    while not holds():
        assert time.monotonic() < end, f"{what}: not within {deadline_s} s"
        time.sleep(0.5)


@pytest.fixture
def namespace() -> Iterator[str]:
    name = f"site-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def overlay(folder: Path, name: str, namespace: str, components: list[str], more: str = "") -> Path:
    """A copy of an overlay, its required values set, in the namespace."""
    made = Path(shutil.copytree(KUSTOMIZE, folder / "kustomize")) / "overlays" / name
    kustomization = yaml.safe_load((made / "kustomization.yaml").read_text())
    kustomization["namespace"] = namespace
    kustomization["components"] += [f"../../components/{component}" for component in components]
    (made / "kustomization.yaml").write_text(yaml.safe_dump(kustomization, sort_keys=False))
    with (made / "site.env").open("a") as site_env:
        site_env.write(NEEDED[name] + more)
    return made


def objects(namespace: str) -> list[str]:
    return kubectl("get", OURS, "-n", namespace, "-l", "app.kubernetes.io/part-of=tiphys", "-o", "name").stdout.split()


@pytest.mark.parametrize("components", [[], OPTIONS], ids=["plain", "with every option"])
@pytest.mark.parametrize("name", NEEDED)
def test_the_server_takes_all_of_it(name: str, components: list[str], namespace: str, tmp_path: Path) -> None:
    folder = overlay(tmp_path, name, namespace, components, "PULL_SECRET=registry\nDATASET_DIR=/data\n" if components else "")
    built = kubectl("kustomize", str(folder)).stdout
    said = kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", given=built).stdout.splitlines()
    assert len(said) == len(list(yaml.safe_load_all(built)))
    assert all(line.endswith("serverside-applied (server dry run)") for line in said)
    if ARGO:
        (tmp_path / "built.yaml").write_text(built)
        # Argo's command does not stop at SIGTERM at once.
        command = ["timeout", "-k", "1", "60", ARGO, "lint", "--offline", "--no-color", str(tmp_path / "built.yaml")]
        linted = subprocess.run(command, capture_output=True, text=True, check=False)
        assert linted.returncode == 0, linted.stdout + linted.stderr


@pytest.mark.parametrize("name", NEEDED)
def test_apply_twice_and_take_away(name: str, namespace: str, tmp_path: Path) -> None:
    folder = str(overlay(tmp_path, name, namespace, []))
    volume, claim = f"{namespace}.workspace", ("get", "persistentvolumeclaim", "workspace", "-n", namespace, "-o")
    assert all(line.endswith(" created") for line in kubectl("apply", "-k", folder).stdout.splitlines())
    if name != "laptop":  # a storage class may wait for the first pod; a volume of ours is there at once
        until(lambda: kubectl(*claim, "jsonpath={.status.phase} {.spec.volumeName}").stdout == f"Bound {volume}", "the claim is bound")
    assert all(line.endswith(" unchanged") for line in kubectl("apply", "-k", folder).stdout.splitlines())
    # The token goes with its account, which may be sooner than kubectl comes to it.
    kubectl("delete", "-k", folder, "--ignore-not-found")
    until(lambda: objects(namespace) == [], "everything gone")
    until(lambda: not kubectl("get", "persistentvolume", volume, "--ignore-not-found").stdout, "the volume gone")


def test_an_apply_starts_one_run_and_no_second(namespace: str, tmp_path: Path) -> None:
    folder = str(overlay(tmp_path, "laptop", namespace, ["run-now"], "IMAGE_SUFFIX=:there-is-none\n"))

    def runs() -> list[dict[str, Any]]:
        return list(json.loads(kubectl("get", "workflows", "-n", namespace, "-o", "json").stdout)["items"])

    kubectl("apply", "-k", folder)
    until(lambda: runs()[0].get("status", {}).get("phase"), "the controller saw the run")
    assert runs()[0]["status"]["phase"] in ("Pending", "Running"), runs()[0]["status"]
    assert runs()[0]["status"]["storedWorkflowTemplateSpec"]["ttlStrategy"] == {"secondsAfterCompletion": 2**31 - 1}
    uid = runs()[0]["metadata"]["uid"]
    assert "workflow.argoproj.io/train-and-serve unchanged" in kubectl("apply", "-k", folder).stdout
    assert [run["metadata"]["uid"] for run in runs()] == [uid]


def test_the_accounts_and_a_claim_alone_let_a_compiled_workflow_be_submitted(namespace: str) -> None:
    files = ["-f", str(KUSTOMIZE / "base" / "accounts.yaml"), "-f", str(KUSTOMIZE / "components" / "claim" / "claim.yaml")]
    kubectl("apply", "-n", namespace, *files)
    token = ("get", "secret", "tiphys.service-account-token", "-n", namespace, "-o", "jsonpath={.data.token}")
    until(lambda: kubectl(*token).stdout, "a token in the secret")
    rights = {
        ("tiphys", "create", "workflowtaskresults.argoproj.io"): "yes",
        ("tiphys", "patch", "workflowtaskresults.argoproj.io"): "yes",
        ("tiphys", "get", "workflowtaskresults.argoproj.io"): "no",
        ("tiphys", "get", "secrets"): "no",
        ("tiphys", "list", "pods"): "no",
        ("tiphys", "create", "deployments.apps"): "no",
        ("tiphys-deployer", "create", "deployments.apps"): "yes",
        ("tiphys-deployer", "delete", "poddisruptionbudgets.policy"): "yes",
        ("tiphys-deployer", "list", "pods"): "yes",
        ("tiphys-deployer", "get", "secrets"): "no",
        ("tiphys-deployer", "create", "pods"): "no",
        ("tiphys-deployer", "create", "workflowtaskresults.argoproj.io"): "no",
    }
    for (account, verb, resource), expected in rights.items():
        asked = kubectl("auth", "can-i", verb, resource, "-n", namespace, f"--as=system:serviceaccount:{namespace}:{account}", check=False)
        assert asked.stdout.strip() == expected, (account, verb, resource)
