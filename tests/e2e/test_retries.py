"""What the table of exit codes says, on Argo's own controller: missed targets, faults, kills, evictions, and budgets that hold."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e import plans
from tests.e2e.cluster import Site, command, exit_codes, nodes, outputs, until

pytestmark = pytest.mark.e2e

# model: (plan, parameters of the run, phase, how the tries end, what the log of the last try or the message says)
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], str, list[str], str]] = {
    "passes": ({}, {}, "Succeeded", ["0"], ""),
    "three-attempts": ({"accuracy": [0.6, 0.7, 0.9]}, {}, "Succeeded", ["3", "3", "0"], ""),
    "budget-spent": ({"accuracy": [0.6]}, {"RETRY_LIMIT": 1}, "Failed", ["3", "4"], "no attempt is left"),
    "a-fault-uses-no-attempt": ({"starts": ["138"]}, {"RETRY_LIMIT": 0}, "Succeeded", ["138", "0"], ""),
    "faults-and-misses": (
        {"starts": ["138", "", "143"], "accuracy": [0.6, 0.9]},
        {"RETRY_LIMIT": 1, "RESTART_LIMIT": 2},
        "Succeeded",
        ["138", "3", "143", "0"],
        "",
    ),
    "restarts-spent": ({"starts": ["138", "138", "138"]}, {"RETRY_LIMIT": 0, "RESTART_LIMIT": 1}, "Failed", ["138", "138"], ""),
    "out-of-memory": ({"starts": ["memory"]}, {}, "Succeeded", ["137", "0"], ""),
    "bad-input": ({"starts": ["2"]}, {}, "Failed", ["2"], "exit code 2"),
    "a-bug": ({"starts": ["1"]}, {}, "Failed", ["1"], "exit code 1"),
    "no-such-data": ({}, {"DATA_URL": "file:///nfs/incoming/nothing.csv"}, "Failed", ["2"], "nothing.csv"),
    "bad-target": ({}, {"TARGET_ACCURACY": "75"}, "Failed", ["2"], "TARGET_ACCURACY: expected a number above 0 and at most 1"),
}


def limit(site: Site, memory: str) -> None:
    """A limit for every container that has none: the kernel kills what takes more."""
    limits = [{"type": "Container", "default": {"memory": memory}, "defaultRequest": {"memory": "64Mi", "cpu": "50m"}}]
    limit_range = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "limits"}, "spec": {"limits": limits}}
    site.kubectl("apply", "-f", "-", give=json.dumps(limit_range))


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Site]) -> Site:
    made = make_site("retries")
    limit(made, "1200Mi")
    made.apply()
    plans.put_rows(made)
    return made


@pytest.fixture(scope="module")
def submitted(site: Site) -> dict[str, str]:
    """The workflows of all cases, under way at once."""
    return {model: plans.submit(site, model, plan, **parameters) for model, (plan, parameters, *_) in CASES.items()}


@pytest.mark.parametrize("model", CASES)
def test_each_end_of_a_try_has_the_consequence_of_the_table(site: Site, submitted: dict[str, str], model: str) -> None:
    _, _, phase, codes, said = CASES[model]
    status = site.wait(submitted[model])
    assert (status["phase"], exit_codes(status, "training")) == (phase, codes), site.log_of(status)
    assert said in site.log_of(status)
    if phase == "Succeeded":
        assert outputs(status, "training")["attempts"] == str(codes.count("3") + 1)


LONG = {"step_s": 0.3}


def midway(site: Site, workflow: str, model: str) -> str:
    """The pod that trains, when it has trained for some steps."""
    pod = site.pod_of(workflow, "training(0)")
    step = f"cat /nfs/tiphys/{model}/checkpoints/*/state.json 2>/dev/null || true"
    until("some steps of training", lambda: '"step": 0}' not in (site.shell(step) or '"step": 0}'))
    return pod


def assert_went_on(site: Site, workflow: str, model: str) -> None:
    """It succeeded in its first attempt, in two starts, without a step trained twice.

    Argo makes a pod that went before it ended anew, and calls it the same try or another one.
    """
    status = site.wait(workflow)
    state = json.loads(site.shell(f"cat /nfs/tiphys/{model}/checkpoints/*/state.json"))
    assert status["phase"] == "Succeeded", status.get("message")
    assert (outputs(status, "training")["attempts"], state) == ("1", {"starts": 2, "step": 20})
    assert exit_codes(status, "training")[-1] == "0"


def test_a_deleted_pod_is_replaced_and_goes_on(site: Site) -> None:
    workflow = plans.submit(site, "deleted", LONG, RETRY_LIMIT=0)
    site.kubectl("delete", "pod", midway(site, workflow, "deleted"), "--wait=false")
    assert_went_on(site, workflow, "deleted")


def test_a_pod_deleted_without_grace_is_replaced_and_goes_on(site: Site) -> None:
    workflow = plans.submit(site, "forced", LONG, RETRY_LIMIT=0)
    site.kubectl("delete", "pod", midway(site, workflow, "forced"), "--force", "--grace-period=0")
    assert_went_on(site, workflow, "forced")


def test_an_evicted_pod_is_replaced_and_goes_on(site: Site) -> None:
    workflow = plans.submit(site, "evicted", LONG, RETRY_LIMIT=0)
    pod = midway(site, workflow, "evicted")
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": site.namespace}}
    path = f"/api/v1/namespaces/{site.namespace}/pods/{pod}/eviction"
    site.kubectl("create", "--raw", path, "-f", "-", give=json.dumps(eviction))
    assert_went_on(site, workflow, "evicted")


def test_a_drained_node_loses_its_pod_and_training_goes_on_when_there_is_a_node_again(site: Site) -> None:
    workflow = plans.submit(site, "drained", LONG, RETRY_LIMIT=0)
    pod = midway(site, workflow, "drained")
    node = site.kubectl("get", "pod", pod, "-o", "jsonpath={.spec.nodeName}")
    try:
        selector = f"--pod-selector=workflows.argoproj.io/workflow={workflow}"
        command("kubectl", "drain", node, selector, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=100s")
        waiting = ("get", "pods", "-l", f"workflows.argoproj.io/workflow={workflow}", "--field-selector=status.phase=Pending", "-o", "name")
        until("another pod, for which there is no node", lambda: site.kubectl(*waiting))
    finally:
        command("kubectl", "uncordon", node)
    assert_went_on(site, workflow, "drained")


def test_a_restart_of_the_controller_changes_nothing(site: Site) -> None:
    restart = os.environ.get("E2E_RESTART_CONTROLLER")
    if restart is None:
        pytest.skip("E2E_RESTART_CONTROLLER names no command that restarts Argo's controller")
    workflow = plans.submit(site, "controller", LONG, RETRY_LIMIT=0)
    midway(site, workflow, "controller")
    subprocess.run(["sh", "-c", restart], check=True, capture_output=True, timeout=120)
    status = site.wait(workflow)
    assert (status["phase"], exit_codes(status, "training")) == ("Succeeded", ["0"])


def test_storage_whose_rights_are_taken_away_ends_the_run_and_is_named(site: Site) -> None:
    workflow = plans.submit(site, "locked", LONG)
    midway(site, workflow, "locked")
    site.shell("chmod 0500 /nfs/tiphys/locked")  # the output folder can no longer be made
    status = site.wait(workflow)
    assert (status["phase"], exit_codes(status, "training")) == ("Failed", ["2"])
    assert "Permission denied: /nfs/tiphys/locked/output" in site.log_of(status)


def test_of_two_runs_of_a_model_the_second_waits(site: Site) -> None:
    first = plans.submit(site, "twice", LONG)
    second = plans.submit(site, "twice", LONG)
    other = plans.submit(site, "another", {})
    ended = {name: site.wait(name) for name in (first, second, other)}
    assert {status["phase"] for status in ended.values()} == {"Succeeded"}
    trained = [next(node for node in ended[name]["nodes"].values() if node["type"] == "Pod") for name in (first, second, other)]
    before, after = sorted(trained[:2], key=lambda node: str(node["startedAt"]))
    assert before["finishedAt"] <= after["startedAt"]
    assert trained[2]["finishedAt"] < after["finishedAt"], "a run of another model does not wait"


def test_a_pod_that_the_cluster_takes_at_no_time_is_not_tried_again(site: Site) -> None:
    """The last test here: from now on the namespace allows less memory than training asks for."""
    limit(site, "100Mi")
    status = site.wait(plans.submit(site, "refused", {}))
    assert (status["phase"], exit_codes(status, "training")) == ("Failed", ["Error"])
    assert "must be less than or equal to memory limit" in nodes(status)["training(0)"]["message"]
