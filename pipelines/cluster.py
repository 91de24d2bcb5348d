"""Going back on a cluster, from a person's own machine: a workflow of the installed template, followed to its end."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from pipelines import parameters, summary
from pipelines.site.values import KUSTOMIZATIONS, site_env
from steps import contract
from steps.release import refusals

TEMPLATE = "rollback"
DEADLINE_S = 3600.0
_LOOK_S, _TIMEOUT_S = 2.0, (5, 30)
_WORKFLOWS = ("argoproj.io", "v1alpha1")
_ENDS = ("Succeeded", "Failed", "Error")


def roll_back(overlay: Path, given: Mapping[str, str]) -> int:
    """Run the template `rollback` of an installed overlay, and show what it does and what serves then. Returns the step's exit code.

    Raises BadInput for what is no overlay, no cluster or no parameter, Transient where the cluster does not answer or takes too long.
    """
    namespace = namespace_of(overlay)
    cluster = _Cluster(namespace)
    check_parameters(cluster.template(overlay), given)
    name = cluster.submit(given)
    contract.log(f"workflow {name} in namespace {namespace}; it goes on if this command is stopped (argo get -n {namespace} {name})")
    status = cluster.follow(name)
    code = exit_code(status)
    if code == contract.DONE:
        print(what_serves(status))
    else:
        contract.log(f"error: workflow {name} has ended as {status['phase']}: {status.get('message', 'without a message')}")
    return code


def namespace_of(overlay: Path) -> str:
    """The namespace that an overlay is installed in. Raises BadInput where it names none."""
    site_env(overlay)
    path = next(overlay / name for name in KUSTOMIZATIONS if (overlay / name).is_file())
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise contract.BadInput(f"{path}: expected a kustomization, and it cannot be read: {error}") from None
    namespace = content.get("namespace") if isinstance(content, dict) else None
    if not isinstance(namespace, str) or not namespace:
        raise contract.BadInput(f"{path}: expected a namespace, got none; set it with `kustomize edit set namespace NAME` in {overlay}")
    return namespace


def check_parameters(template: Mapping[str, Any], given: Mapping[str, str]) -> None:
    """Raises BadInput for a parameter that the template does not take, or a value of the wrong type."""
    known = [row["name"] for row in template["spec"].get("arguments", {}).get("parameters", [])]
    for name, value in given.items():
        row = parameters.find(name)
        if name not in known:
            raise contract.BadInput(f"-p {name}: expected a parameter of the workflow template {TEMPLATE} ({', '.join(known)})")
        contract.parse(name, row.kind, value)


def exit_code(status: Mapping[str, Any]) -> int:
    """The exit code for an ended workflow: that of the step that failed, where one says so."""
    if status["phase"] == "Succeeded":
        return contract.DONE
    return summary.failed_step_exit_code({"nodes": status.get("nodes") or {}}) or contract.UNEXPECTED


def what_serves(status: Mapping[str, Any]) -> str:
    """What a workflow that succeeded has left serving, as its step's outputs say."""
    nodes = (status.get("nodes") or {}).values()
    rows = [row for node in nodes for row in (node.get("outputs") or {}).get("parameters") or []]
    outputs = {row["name"]: row.get("value", "") for row in rows}
    return f"version {outputs['version']} serves at {outputs['address']}"


def _connection() -> Any:
    """A client for the cluster and the user of KUBECONFIG."""
    from kubernetes import client, config

    configuration = client.Configuration()
    try:
        config.load_kube_config(client_configuration=configuration)
    except (config.ConfigException, OSError, ValueError) as error:
        raise contract.BadInput(f"KUBECONFIG: expected a file that names a cluster and a user, got none of use: {error}") from None
    # kubernetes 35 reads HTTPS_PROXY, and forgets NO_PROXY.
    configuration.no_proxy = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    return client.ApiClient(configuration)


class _Cluster:
    """The calls that a rollback makes, with the rights of the person whose KUBECONFIG it is."""

    def __init__(self, namespace: str) -> None:
        from kubernetes import client, config

        try:
            config.load_kube_config()
        except (config.ConfigException, OSError, ValueError) as error:
            raise contract.BadInput(
                f"KUBECONFIG: expected a file that names a cluster and a user, got none that can be used: {error}"
            ) from None
        self._namespace, self._workflows, self._core = namespace, client.CustomObjectsApi(), client.CoreV1Api()
        self._shown: dict[str, int] = {}

    def template(self, overlay: Path) -> dict[str, Any]:
        """The installed template."""
        what = f"workflow template {TEMPLATE} in namespace {self._namespace}"
        read = self._workflows.get_namespaced_custom_object
        try:
            return dict(self._try(f"reading {what}", read, *_WORKFLOWS, self._namespace, "workflowtemplates", TEMPLATE))
        except LookupError:
            raise contract.BadInput(
                f"{overlay}: expected it to be installed, but there is no {what};"
                f" install it: kustomize build {overlay} | kubectl apply -f -"
            ) from None

    def submit(self, given: Mapping[str, str]) -> str:
        """Start a workflow; its name."""
        arguments = [{"name": name, "value": value} for name, value in given.items()]
        spec = {"workflowTemplateRef": {"name": TEMPLATE}, "arguments": {"parameters": arguments}}
        body = {"apiVersion": "/".join(_WORKFLOWS), "kind": "Workflow", "metadata": {"generateName": f"{TEMPLATE}-"}, "spec": spec}
        create = self._workflows.create_namespaced_custom_object
        return str(self._try("starting the workflow", create, *_WORKFLOWS, self._namespace, "workflows", body)["metadata"]["name"])

    def follow(self, name: str) -> dict[str, Any]:
        """Show what a workflow's steps say until it ends; its status."""
        deadline, read = time.monotonic() + DEADLINE_S, self._workflows.get_namespaced_custom_object
        while True:
            try:
                status = self._try(f"reading workflow {name}", read, *_WORKFLOWS, self._namespace, "workflows", name).get("status") or {}
                self._show(name)
            except LookupError:
                raise contract.BadInput(f"workflow {name}: it was deleted before it ended") from None
            except contract.Transient as error:
                status = {}
                contract.log(f"{error}; trying again")
            if status.get("phase") in _ENDS:
                return dict(status)
            if time.monotonic() > deadline:
                raise contract.Transient(
                    f"workflow {name}: expected it to end within {DEADLINE_S:.0f} s, got {status.get('phase', 'no phase')}:"
                    f" {status.get('message', 'no message')}; look at it with argo get -n {self._namespace} {name}"
                )
            time.sleep(_LOOK_S)

    def _show(self, name: str) -> None:
        """Print the lines that the steps' containers have logged since the last look. Who may read no logs sees none."""
        from kubernetes.client import exceptions
        from urllib3.exceptions import HTTPError

        try:
            pods = self._core.list_namespaced_pod(
                self._namespace, label_selector=f"workflows.argoproj.io/workflow={name}", _request_timeout=_TIMEOUT_S
            )
            for pod in (one.metadata.name for one in pods.items):
                log = self._core.read_namespaced_pod_log(pod, self._namespace, container="main", _request_timeout=_TIMEOUT_S)
                lines = log.splitlines()
                for line in lines[self._shown.get(pod, 0) :]:
                    contract.log(line)
                self._shown[pod] = len(lines)
        except (exceptions.ApiException, HTTPError):
            return

    def _try(self, what: str, call: Callable[..., Any], *arguments: Any) -> Any:
        """What a call answers. Raises LookupError where there is no such object, BadInput or Transient for other refusals."""
        from kubernetes.client import exceptions
        from urllib3.exceptions import HTTPError

        try:
            return call(*arguments, _request_timeout=_TIMEOUT_S)
        except exceptions.ApiException as error:
            if error.status == refusals.NOT_FOUND:
                raise LookupError(what) from None
            said = refusals.message(error.body) or str(error.reason)
            kind = contract.Transient if error.status in refusals.PASSING else contract.BadInput
            raise kind(f"{what} in namespace {self._namespace}: the cluster refuses it (HTTP {error.status}): {said}") from None
        except HTTPError as error:
            raise contract.Transient(f"{what}: the cluster that KUBECONFIG names does not answer: {error}") from None
