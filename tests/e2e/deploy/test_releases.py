"""Releases on a cluster: what serves before, during and after. The server is a stub that dies hard when it is told to go."""

import json

import pytest

from steps import contract
from tests.e2e.deploy.namespace import fresh_namespace

pytestmark = pytest.mark.e2e

APP = "app.kubernetes.io"


@pytest.fixture(scope="module")
def shared(images):
    """A namespace for this file, in which nothing was deployed yet; its tests build on each other, in their order."""
    with fresh_namespace() as made:
        yield made


def test_a_first_release(shared):
    shared.publish(1)
    code, log = shared.deploy(1)
    assert code == 0, log
    address = f"model.{shared.name}.svc:8500"
    assert shared.outputs() == {"address": address}
    assert f"the servers' gRPC port is {shared.way_in().rpartition(':')[2]} of any node" in log
    code, said = shared.sh(f"python -m tests.e2e.deploy.client {address} 3")
    assert (code, json.loads(said)["versions"]) == (0, [1]), said
    shared.assert_serves(1)
    state = shared.state()
    assert set(state) == {("Deployment", "model"), ("Service", "model"), ("PodDisruptionBudget", "model")}
    account = shared.get("serviceaccount", "tiphys-deployer")["metadata"]["uid"]
    for one in state.values():
        labels, [owner] = one["metadata"]["labels"], one["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"]) == ("ServiceAccount", account)
        assert {f"{APP}/{name}" for name in ("name", "instance", "version", "component", "part-of", "managed-by")} <= set(labels)


def test_run_twice_it_changes_nothing(serving):
    state, pods, recorded = serving.state(), {pod["metadata"]["uid"] for pod in serving.pods()}, serving.records()
    code, log = serving.deploy(1)
    assert (code, "version 1 of model serves already" in log) == (0, True), log
    assert serving.state() == state, "resource versions and all"
    assert {pod["metadata"]["uid"] for pod in serving.pods()} == pods
    assert serving.records() == recorded


def test_a_client_loses_no_request_whatever_is_released(serving, tmp_path):
    with serving.client() as seen:
        serving.deployed(2)
        assert serving.versions() == [2, 2]
        before = serving.specs()
        serving.publish(3, "wrong-when-live")
        # With other settings, so that these go back as well, and after a start that was killed half-way.
        other = {"SERVING_CPU": "11m", "TF_SERVING_REST_PORT": 9501}
        code, log = serving.step("tests.e2e.deploy.killed_at apply Deployment/model", VERSION=3, **other)
        assert code == 137, log
        code, log = serving.deploy(3, **other)
        assert code == contract.BAD_INPUT, log
        assert "version 3 answers it: expected [0.25, 0.75] in row 0, got [0.26, 0.74]" in log
        assert "Version 2 goes on serving" in log
        assert serving.specs() == before
        serving.assert_serves(2)
        code, said = serving.roll_back(tmp_path)
        assert (code, f"version 1 serves at model.{serving.name}.svc:8500" in said) == (0, True), said
        assert "rolling version 1 out" in said, "what the step says is shown"
        assert serving.versions() == [1, 1]
        code, said = serving.roll_back(tmp_path)
        assert (code, "no version to go back to" in said) == (contract.BAD_INPUT, True), said
    assert seen["failed"] == []
    assert (seen["versions"][:2], seen["versions"][-2:]) == ([1, 2], [2, 1])
    assert seen["calls"] > 1000
    done = [record for record in serving.records() if record[0] != "roll"]
    assert done == [("deploy", 1, None), ("deploy", 2, 1), ("deploy-failed", 3, 2), ("rollback", 1, 2)]


def test_all_goes_with_the_account_that_deployed_it(serving):
    """As `kubectl delete -k` deletes it. Nothing is owned by a workflow, whose end takes nothing away."""
    serving.kubectl("delete", "serviceaccount", "tiphys-deployer", "--wait=false")
    serving.wait_until(lambda: not serving.state(), "all that deploy made is gone")
