"""Runs workflows on the cluster at hand (KUBECONFIG), several at once, and tells how the controller ended each."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from typing import Any

_DONE = ("Succeeded", "Failed", "Error")
_LOOK_S = 1.5
# A workflow without pods takes the controller a moment; those with pods share the machine.
_WITHOUT_PODS, _WITH_PODS = 40, 6


class Cluster:
    """A namespace of one's own, with the right to run pods, for as long as the block runs."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace

    def __enter__(self) -> Cluster:
        _kubectl("create", "namespace", self.namespace)
        _kubectl(
            "create", "rolebinding", "workflows", "--clusterrole=cluster-admin",
            f"--serviceaccount={self.namespace}:default", "-n", self.namespace,
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        _kubectl("delete", "namespace", self.namespace, "--wait=false")

    def run(self, workflows: Sequence[dict[str, Any]], timeout_s: float = 180) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Each workflow with its `.status`, as they end; one that takes too long has the phase in which it was left."""
        waiting = sorted(workflows, key=_has_pods)
        running: dict[str, tuple[dict[str, Any], float]] = {}
        while waiting or running:
            begun: list[dict[str, Any]] = []
            while waiting and len(running) + len(begun) < (_WITH_PODS if _has_pods(waiting[0]) else _WITHOUT_PODS):
                begun.append(waiting.pop(0))
            self._create(begun)
            running |= {one["metadata"]["name"]: (one, time.monotonic() + timeout_s) for one in begun}
            time.sleep(_LOOK_S)
            ended = []
            for name, status in self._statuses().items():
                if name in running and (status.get("phase") in _DONE or time.monotonic() > running[name][1]):
                    ended.append(name)
                    yield running.pop(name)[0], status
            if ended:
                self._kubectl("delete", "workflow", "--wait=false", *ended)

    def _create(self, workflows: Sequence[dict[str, Any]]) -> None:
        if workflows:
            self._kubectl("create", "-f", "-", give=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(workflows)}))

    def _statuses(self) -> dict[str, dict[str, Any]]:
        items = json.loads(self._kubectl("get", "workflows", "-o", "json"))["items"]
        return {item["metadata"]["name"]: item.get("status") or {} for item in items}

    def _kubectl(self, *words: str, give: str | None = None) -> str:
        return _kubectl("-n", self.namespace, *words, give=give)


def _has_pods(workflow: dict[str, Any]) -> bool:
    return any(kind in template for template in workflow["spec"]["templates"] for kind in ("container", "script", "containerSet"))


def _kubectl(*words: str, give: str | None = None) -> str:
    done = subprocess.run(["kubectl", *words], input=give, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise RuntimeError(f"kubectl {' '.join(words[:4])}: {done.stderr}")
    return done.stdout
