"""What states of Deployments and pods mean for a release. The states are as a real cluster has shown them, cut short."""

import pytest

from steps import contract
from steps.release import rollout


def deployment(updated=2, ready=2, available=2, observed=3, conditions=()):
    status = {"observedGeneration": observed, "updatedReplicas": updated, "readyReplicas": ready, "availableReplicas": available}
    return {"metadata": {"generation": 3}, "status": {**status, "conditions": list(conditions)}}


def condition(kind, status, **more):
    return {"type": kind, "status": status, **more}


def pod(release="new", ready=True, going=False, phase="Running", state=None, last=None, restarts=0, scheduled=True):
    metadata = {"labels": {"tiphys/release": release}, **({"deletionTimestamp": "2030-01-01T00:00:00Z"} if going else {})}
    container = {"image": "serving:1", "restartCount": restarts, "state": state or {"running": {}}, "lastState": last or {}}
    unscheduled = condition("PodScheduled", "False", reason="Unschedulable", message="0/1 nodes are available: Insufficient memory.")
    conditions = [condition("Ready", "True" if ready else "False"), *([] if scheduled else [unscheduled])]
    return {"metadata": metadata, "status": {"phase": phase, "conditions": conditions, "containerStatuses": [container]}}


NEW, OLD = pod(), pod("old")


@pytest.mark.parametrize(
    ("found", "pods", "awaited"),
    [
        (deployment(), [NEW, NEW], ""),
        (deployment(), [NEW, NEW, pod("old", going=True)], ""),
        (deployment(), [NEW, NEW, pod("old", phase="Failed")], ""),  # evicted long ago
        ({"metadata": {"generation": 1}}, [], "the cluster has not looked at the Deployment yet"),
        (deployment(observed=2), [NEW, NEW], "the cluster has not looked at the Deployment yet"),
        (deployment(updated=1), [NEW, OLD], "1 of 2 replicas started"),
        (deployment(ready=1), [NEW, pod(ready=False)], "1 of 2 replicas ready"),
        (deployment(available=0), [NEW, NEW], "0 of 2 replicas available"),
        (deployment(), [NEW, pod(going=True)], "1 of 2 replicas ready"),  # drained a moment ago
        (deployment(), [NEW, NEW, OLD], "1 replicas too many"),
    ],
)
def test_what_is_awaited(found, pods, awaited):
    assert rollout.awaited(found, pods, "new", 2) == awaited


def waiting(reason, message=""):
    return pod(ready=False, state={"waiting": {"reason": reason, "message": message}})


def crashed(code, restarts, reason="Error", message=""):
    ended = {"terminated": {"exitCode": code, "reason": reason, "message": message}}
    return pod(ready=False, state={"waiting": {"reason": "CrashLoopBackOff"}}, last=ended, restarts=restarts)


NO_TOKEN = "failed to resolve reference: pull access denied, repository does not exist or may require authorization"
BAD, PASSING = contract.BadInput, contract.Transient


@pytest.mark.parametrize(
    ("found", "error", "is_settling", "what"),
    [
        (waiting("InvalidImageName", "couldn't parse image name"), BAD, False, "SERVING_IMAGE is no name of an image"),
        (waiting("ErrImageNeverPull"), BAD, False, "PULL_POLICY forbids to pull it"),
        (waiting("ErrImagePull", NO_TOKEN), BAD, True, "require authorization; look at SERVING_IMAGE and PULL_SECRET"),
        (waiting("ImagePullBackOff", f"Back-off pulling image: ErrImagePull: {NO_TOKEN}"), BAD, True, "require authorization"),
        (waiting("ErrImagePull", "dial tcp: lookup registry.example: no such host"), BAD, True, "no such host"),
        (waiting("ErrImagePull", "dial tcp 10.0.0.1:443: connect: connection refused"), PASSING, True, "connection refused"),
        (waiting("ErrImagePull", "unexpected status from HEAD request: 503 Service Unavailable"), PASSING, True, "503"),
        (waiting("ErrImagePull", "toomanyrequests: You have reached your pull rate limit"), PASSING, True, "toomanyrequests"),
        (waiting("CreateContainerConfigError", "failed to prepare subPath"), BAD, True, "failed to prepare subPath; look at CLAIM"),
        (crashed(1, 2, message="a b\nno model"), BAD, False, "ended 2 times, last with exit code 1: a b no model"),
        (crashed(139, 5), BAD, False, "ended 5 times, last with exit code 139: it said nothing"),
        (crashed(255, 2, message="Failed to start server"), BAD, False, "exit code 255"),
        (crashed(137, 2), PASSING, False, "exit code 137"),
        (crashed(137, 2, reason="OOMKilled"), BAD, False, "raise SERVING_MEMORY"),
        (
            crashed(128, 2, reason="StartError", message="executable file not found"),
            BAD,
            False,
            "does not start: executable file not found",
        ),
    ],
)
def test_what_is_wrong_with_a_pod(found, error, is_settling, what):
    trouble = rollout.trouble(deployment(), [NEW, found], "new")
    assert (trouble.error, trouble.settle_s > 0, what in trouble.what) == (error, is_settling, True), trouble


@pytest.mark.parametrize(
    "found",
    [
        NEW,
        pod(ready=False),
        waiting("ContainerCreating"),
        crashed(1, 1),  # once may be chance
        pod("old", ready=False, state={"waiting": {"reason": "ImagePullBackOff"}}),  # of the release before: no fault of this one
        pod(going=True, state={"waiting": {"reason": "ImagePullBackOff"}}),
    ],
)
def test_what_is_not_wrong(found):
    assert rollout.trouble(deployment(), [found], "new") is None


def test_a_pod_that_cannot_be_made_is_a_trouble_of_the_deployment():
    message = 'pods "model-1" is forbidden: exceeded quota: small'
    found = deployment(conditions=[condition("Available", "True"), condition("ReplicaFailure", "True", message=message)])
    trouble = rollout.trouble(found, [], "new")
    assert (trouble.error, trouble.what) == (BAD, f"no pod can be made: {message}")
    assert trouble.settle_s > 0


@pytest.mark.parametrize(
    ("pods", "why"),
    [
        ([], "no pod of it is there"),
        ([NEW, pod(ready=False, scheduled=False)], "Unschedulable: 0/1 nodes are available: Insufficient memory."),
        ([waiting("ContainerCreating")], "ContainerCreating: "),
        ([pod(ready=False)], "its server runs, but its model is not loaded yet"),
        ([pod(ready=False, phase="Pending")], "its server has not started"),
    ],
)
def test_why_a_rollout_is_late(pods, why):
    assert rollout.why_late(pods, "new") == why
