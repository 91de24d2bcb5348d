"""Records what Argo's controller makes of Argo's example workflows, in outcomes.json, for tests that need no cluster.

    ARGO_EXAMPLES=.../argo-workflows/examples KUBECONFIG=... python -m tests.fidelity.record [NAME ...]

Without names, every example is run that can be, six at once (half an hour or so); with names, those anew. The
cluster needs Argo Workflows v4.0.7, an artifact repository, and the images alpine:3.23, busybox, python:alpine3.23,
python:3.11-slim and argoproj/argosay:v2; commands: kubectl, argo. Everything happens in the namespace `fidelity`, but for the
ClusterWorkflowTemplates of the examples, which are installed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.fidelity import examples, outcomes, web
from tests.fidelity.examples import Document, Example

NAMESPACE = "fidelity"
RECORD = Path(__file__).with_name("outcomes.json")
_AT_ONCE, _LIMIT_S, _LOOK_S = 7, 900.0, 3.0
_ENDED = ("Succeeded", "Failed", "Error")
# What a workflow's pods may do, in their own namespace: what resource templates and Argo's executor need.
_RIGHTS = [
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "steps"},
        "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}],
    },
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "steps"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "steps"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": NAMESPACE}],
    },
    # Argo's agent, which sends the requests of HTTP templates, mounts the account's token by this name.
    {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "default.service-account-token", "annotations": {"kubernetes.io/service-account.name": "default"}},
    },
]


def _web() -> list[Document]:
    """The stand-in for the internet, as a pod and a service."""
    labels, port = {"app": "web"}, 8000
    container = {
        "name": "main",
        "image": "python:3.11-slim",
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", Path(web.__file__).read_text(), str(port)],
    }
    return [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "labels": labels}, "spec": {"containers": [container]}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": port}]},
        },
    ]


def kubectl(*words: str, document: Any = None) -> str:
    """The output of a command of kubectl. Raises CalledProcessError."""
    given = json.dumps(document) if document is not None else None
    command = ("kubectl", "-n", NAMESPACE, *words)
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def load() -> dict[str, Any]:
    """The record: an entry for each example, by its name."""
    found: dict[str, Any] = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    return found


def save(record: dict[str, Any]) -> None:
    """Write the record: a line for each example."""
    lines = (f"{json.dumps(name)}: {json.dumps(entry, sort_keys=True)}" for name, entry in sorted(record.items()))
    RECORD.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def prepare(objects: Iterable[Document]) -> None:
    """The namespace, its rights, the secret of the artifact repository, and what the examples refer to."""
    if f"namespace/{NAMESPACE}" not in kubectl("get", "namespaces", "-o", "name").split():
        kubectl("create", "namespace", NAMESPACE)
    secrets = json.loads(kubectl("get", "secrets", "-n", "default", "-o", "json"))["items"]
    copied = [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": one["metadata"]["name"]}, "data": one["data"]}
        for one in secrets
        if one["metadata"]["name"] == "s3-credentials"
    ]
    wanted = [*_RIGHTS, *copied, *_repositories(), *_web(), *(one for one in objects if one["kind"] != "ResourceQuota")]
    kubectl("apply", "-f", "-", document={"apiVersion": "v1", "kind": "List", "items": wanted})


def _repositories() -> list[Document]:
    """The controller's artifact repository under the key that an example names."""
    config = json.loads(kubectl("get", "configmap", "workflow-controller-configmap", "-n", "argo", "-o", "json"))
    data = {"my-key": config["data"]["artifactRepository"]}
    return [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "artifact-repositories"}, "data": data}]


class Recorder:
    """Runs examples, some at once, and keeps what came out."""

    def __init__(self, record: dict[str, Any], waiting: list[Example]) -> None:
        self._record, self._waiting = record, waiting
        self._running: dict[str, tuple[Example, float]] = {}
        self._answered: set[str] = set()

    def run(self) -> None:
        """Until every example has ended, or has used up its time."""
        while self._waiting or self._running:
            while self._waiting and len(self._running) < _AT_ONCE:
                self._start(self._waiting.pop(0))
            time.sleep(_LOOK_S)
            found = {one["metadata"]["name"]: one for one in json.loads(kubectl("get", "workflows", "-o", "json"))["items"]}
            for name in list(self._running):
                self._look(name, found.get(name, {}))

    def _start(self, example: Example) -> None:
        assert example.workflow is not None
        name = example.workflow["metadata"]["name"]
        # It is deleted when it has been recorded, not before.
        spec = {key: value for key, value in example.workflow["spec"].items() if key != "ttlStrategy"}
        kubectl("delete", "workflow", name, "--ignore-not-found")
        kubectl("delete", "configmap", "-l", "workflows.argoproj.io/configmap-type=Cache", "--ignore-not-found")
        try:
            kubectl("create", "-f", "-", document={**example.workflow, "spec": spec})
        except RuntimeError as error:
            self._keep(example, {"notRun": f"the API server refuses it: {str(error).partition(': ')[2]}"})
            return
        self._running[name] = (example, time.monotonic())

    def _look(self, name: str, workflow: Document) -> None:
        example, started = self._running[name]
        status = workflow.get("status") or {}
        if status.get("phase") in _ENDED:
            self._keep(example, outcomes.of(workflow))
        elif time.monotonic() - started > _LIMIT_S:
            self._keep(example, {"notRun": f"it has not ended after {_LIMIT_S:.0f} s: {status.get('message', '')}".rstrip(": ")})
        else:
            self._answer(name, workflow)
            return
        del self._running[name]
        kubectl("delete", "workflow", name, "--wait=false")

    def _answer(self, name: str, workflow: Document) -> None:
        """Let the nodes go on that wait for a person."""
        timed = examples.timed(workflow)
        for node in ((workflow.get("status") or {}).get("nodes") or {}).values():
            waits = node["type"] == "Suspend" and node["phase"] == "Running" and node.get("templateName") not in timed
            if not waits or node["id"] in self._answered:
                continue
            self._answered.add(node["id"])
            field = f"displayName={node['displayName']}"
            for parameter in (node.get("outputs") or {}).get("parameters") or []:
                value = f"{parameter['name']}={examples.ANSWERS[parameter['name']]}"
                _argo("node", "set", name, "--output-parameter", value, "--node-field-selector", field)
            _argo("resume", name, "--node-field-selector", field)

    def _keep(self, example: Example, outcome: outcomes.Outcome) -> None:
        changes = {"changes": list(example.changes)} if example.changes else {}
        self._record |= {**load(), example.name: {**changes, **outcome}}
        save(self._record)
        print(f"{example.name}: {outcome.get('phase') or outcome.get('notRun')}", flush=True)


def _argo(*words: str) -> None:
    subprocess.run(("timeout", "-k", "1", "60", "argo", "-n", NAMESPACE, *words), capture_output=True, timeout=90, check=False)


def main() -> int:
    """Record all examples, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="examples to record anew")
    wanted = parser.parse_args().names
    root = examples.folder()
    if root is None:
        parser.error("ARGO_EXAMPLES must name the folder of Argo's example workflows")
    every = list(examples.every(root))
    chosen = [one for one in every if not wanted or any(one.name == word or one.name.endswith(f"/{word}") for word in wanted)]
    record = load() if wanted else {}
    record |= {one.name: {"notRun": one.why_not} for one in chosen if one.why_not}
    save(record)
    prepare(every[0].objects)
    Recorder(record, [one for one in chosen if not one.why_not]).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
