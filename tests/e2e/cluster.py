"""An installed overlay and what people do with it: the commands of README, and a look at what came of them."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
REGISTRY, SUFFIX = "e2e.local", ":test"
IMAGE = f"{REGISTRY}/tiphys{SUFFIX}"
SERVER_IMAGE = "docker.io/tensorflow/serving:2.19.1"
NODE = os.environ.get("E2E_NODE", "127.0.0.1")
DONE = ("Succeeded", "Failed", "Error")


def command(*words: str | Path, give: str | None = None, check: bool = True, timeout_s: float = 120, where: Path = ROOT) -> str:
    """What a command prints. Argo's does not stop at SIGTERM at once, so it is killed a second later."""
    limited = ["timeout", "-k", "1", str(timeout_s), *map(str, words)]
    done = subprocess.run(limited, input=give, capture_output=True, text=True, check=False, cwd=where)
    if check:
        assert done.returncode == 0, f"{shlex.join(map(str, words))}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout if check else done.stdout + done.stderr


def until(what: str, look: Callable[[], Any], timeout_s: float = 120) -> Any:
    """The first true answer; the last one is told where there is none in time."""
    deadline = time.monotonic() + timeout_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what}: not within {timeout_s:g} s"
        time.sleep(0.3)
    return found


@dataclass
class Site:
    """An overlay of one's own in a namespace of its own. Paths on the volume are told relative to it."""

    overlay: Path
    namespace: str
    objects: list[str] = field(default_factory=list)

    def kubectl(self, *words: str | Path, **options: Any) -> str:
        return command("kubectl", "-n", self.namespace, *words, **options)

    def set(self, **values: Any) -> None:
        """`python -m pipelines set`, as README says."""
        for name, value in values.items():
            command(sys.executable, "-m", "pipelines", "set", self.overlay, name, value)

    def build(self) -> str:
        return command("kustomize", "build", self.overlay)

    def apply(self) -> None:
        self.kubectl("apply", "-f", "-", give=self.build())

    def submit(self, template: str, **parameters: Any) -> str:
        """`argo submit --from workflowtemplate/...`; the workflow's name."""
        given = [word for name, value in parameters.items() for word in ("-p", f"{name}={value}")]
        return command("argo", "submit", "-n", self.namespace, "--from", f"workflowtemplate/{template}", *given, "-o", "name").strip()

    def workflow(self, name: str) -> dict[str, Any]:
        return dict(json.loads(self.kubectl("get", "workflow", name, "-o", "json")))

    def wait(self, name: str, timeout_s: float = 300) -> dict[str, Any]:
        """The status of a workflow that has ended."""
        return dict(until(f"the end of {name}", lambda: self._ended(name), timeout_s))

    def _ended(self, name: str) -> dict[str, Any] | None:
        status = self.workflow(name).get("status", {})
        return status if status.get("phase") in DONE else None

    def log_of(self, status: Mapping[str, Any]) -> str:
        """What the pod that started last has said, and how Argo calls its end."""
        last = max((node for node in status.get("nodes", {}).values() if node["type"] == "Pod"), key=lambda node: str(node["startedAt"]))
        pods = json.loads(self.kubectl("get", "pods", "-o", "json"))["items"]
        found = [pod for pod in pods if pod["metadata"].get("annotations", {}).get("workflows.argoproj.io/node-id") == last["id"]]
        log = self.kubectl("logs", found[0]["metadata"]["name"], "-c", "main", check=False) if found else "its pod is gone"
        return f"{last['displayName']}: {last.get('message')}\n{log}"

    def pod_of(self, workflow: str, node: str, timeout_s: float = 120) -> str:
        """The pod of a node that runs now, by the node's name as Argo displays it."""

        def look() -> str:
            pods = json.loads(self.kubectl("get", "pods", "-l", f"workflows.argoproj.io/workflow={workflow}", "-o", "json"))["items"]
            running = [pod for pod in pods if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]]
            names = {pod["metadata"]["annotations"]["workflows.argoproj.io/node-name"]: pod["metadata"]["name"] for pod in running}
            return next((pod for name, pod in names.items() if name.endswith(node)), "")

        return str(until(f"a pod of {node}", look, timeout_s))

    def shell(self, script: str, give: str | None = None, check: bool = True) -> str:
        """What a script prints in a pod that has the volume at /nfs, and the rights of the steps on it."""
        if "inspector" not in self.objects:
            self.kubectl("apply", "-f", "-", give=json.dumps(inspector(self.claim)))
            self.kubectl("wait", "--for=condition=Ready", "pod/inspector", "--timeout=90s")
            self.objects.append("inspector")
        return self.kubectl("exec", *(["-i"] if give is not None else []), "inspector", "--", "sh", "-c", script, give=give, check=check)

    def put(self, path: str, text: str) -> None:
        """A file on the volume."""
        self.shell(f"mkdir -p $(dirname /nfs/{path}) && cat > /nfs/{path}", give=text)

    def put_file(self, source: Path, path: str) -> None:
        """A file of this machine on the volume."""
        self.shell("true")
        self.shell(f"mkdir -p $(dirname /nfs/{path})")
        self.kubectl("cp", source, f"inspector:/nfs/{path}")

    @property
    def claim(self) -> str:
        return "workspace"

    def delete(self) -> None:
        """Everything goes, and so does the namespace."""
        command("kubectl", "delete", "namespace", self.namespace, "--wait=false", check=False)


def inspector(claim: str) -> dict[str, Any]:
    """A pod to look at the volume with, no more powerful than a step."""
    user = {"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 1000, "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "inspector"},
        "spec": {
            "securityContext": user,
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "main",
                    "image": IMAGE,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sleep", "infinity"],
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                    "volumeMounts": [{"name": "workspace", "mountPath": "/nfs"}],
                }
            ],
            "volumes": [{"name": "workspace", "persistentVolumeClaim": {"claimName": claim}}],
        },
    }


def nodes(status: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The nodes of a workflow by the name that Argo displays."""
    return {node["displayName"]: node for node in status.get("nodes", {}).values()}


def outputs(status: Mapping[str, Any], node: str) -> dict[str, str]:
    """The output parameters of a node."""
    return {row["name"]: row["value"] for row in (nodes(status)[node].get("outputs") or {}).get("parameters", [])}


def exit_codes(status: Mapping[str, Any], node: str) -> list[str]:
    """How the tries of a node ended, in their order: an exit code, or the phase of one without."""
    tries = {name: found for name, found in nodes(status).items() if name.startswith(f"{node}(") and found["type"] == "Pod"}
    ordered = [tries[name] for name in sorted(tries, key=lambda name: int(name.partition("(")[2].rstrip(")")))]
    return [(found.get("outputs") or {}).get("exitCode", found["phase"]) for found in ordered]
