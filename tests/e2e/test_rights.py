"""Least rights: what the account of the steps may do is used, and it may do no more. Those of deploy: deploy/test_rights.py."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e import plans
from tests.e2e.cluster import Site, command, nodes, until

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Site]) -> Site:
    made = make_site("rights")
    made.apply()
    plans.put_rows(made)
    return made


def may(site: Site, account: str, verb: str, kind: str) -> bool:
    """What the API server says of an account's right."""
    who = f"--as=system:serviceaccount:{site.namespace}:{account}"
    return site.kubectl("auth", "can-i", verb, kind, who, check=False).strip() == "yes"


KINDS = ("secrets", "configmaps", "deployments", "services", "pods")
FOREIGN = [
    *((verb, kind) for verb in ("get", "list", "create", "delete") for kind in KINDS),
    ("create", "pods/exec"),
    ("get", "workflows"),
    ("create", "workflows"),
    ("delete", "workflowtaskresults"),
    ("create", "rolebindings"),
    ("get", "nodes"),
    ("get", "namespaces"),
]


def test_the_account_of_the_steps_can_tell_argo_of_results_and_nothing_else(site: Site) -> None:
    assert [verb for verb in ("create", "patch") if may(site, "tiphys", verb, "workflowtaskresults.argoproj.io")] == ["create", "patch"]
    assert [right for right in FOREIGN if may(site, "tiphys", *right)] == []


@pytest.mark.parametrize(("account", "kinds"), [("tiphys-deployer", ("secrets", "configmaps", "workflows", "roles", "serviceaccounts"))])
def test_the_account_of_deploy_can_read_no_secret_and_run_no_workflow(site: Site, account: str, kinds: tuple[str, ...]) -> None:
    assert [kind for kind in kinds for verb in ("get", "list", "create", "patch", "delete") if may(site, account, verb, kind)] == []
    assert not may(site, account, "create", "pods")
    assert not may(site, account, "get", "deployments --namespace=default")


@pytest.mark.parametrize("verb", ["create", "patch"])
def test_each_right_of_the_steps_is_needed(site: Site, verb: str) -> None:
    role = json.loads(site.kubectl("get", "role", "tiphys", "-o", "json"))
    fewer = [rule | {"verbs": [one for one in rule["verbs"] if one != verb]} for rule in role["rules"]]
    site.kubectl("patch", "role", "tiphys", "--type=merge", "-p", json.dumps({"rules": fewer}))
    try:
        workflow = plans.submit(site, f"without-{verb}", {}, RESTART_LIMIT=0, RETRY_LIMIT=0)
        until("a step that fails", lambda: complains(site, workflow), 150)
    finally:
        site.kubectl("patch", "role", "tiphys", "--type=merge", "-p", json.dumps({"rules": role["rules"]}))
        command("argo", "terminate", "-n", site.namespace, workflow, check=False)


def complains(site: Site, workflow: str) -> bool:
    """Whether Argo's part of a pod says that it may not."""
    status = site.workflow(workflow).get("status", {})
    return any("forbidden" in str(node.get("message")) for node in nodes(status).values()) or "cannot" in waiting_log(site, workflow)


def waiting_log(site: Site, workflow: str) -> str:
    """What Argo's container beside the step has logged."""
    pods = site.kubectl("get", "pods", "-l", f"workflows.argoproj.io/workflow={workflow}", "-o", "name").split()
    return "".join(site.kubectl("logs", pod, "-c", "wait", check=False) for pod in pods)


def test_the_container_of_a_step_has_no_token(site: Site) -> None:
    workflow = plans.submit(site, "token", {"step_s": 0.5})
    pod = site.pod_of(workflow, "training(0)")
    found = site.kubectl("exec", pod, "-c", "main", "--", "sh", "-c", "ls /var/run/secrets /run/secrets 2>/dev/null; id -u", check=False)
    complained = complains(site, workflow)
    spec: dict[str, Any] = json.loads(site.kubectl("get", "pod", pod, "-o", "json"))["spec"]
    command("argo", "terminate", "-n", site.namespace, workflow, check=False)
    assert (found.split(), complained) == (["1000"], False)
    main = next(one for one in spec["containers"] if one["name"] == "main")
    assert [mount["mountPath"] for mount in main["volumeMounts"] if "secrets" in mount["mountPath"]] == []
