"""Releases that fail on a cluster: each says why, and leaves the version before, or nothing."""

import functools

import pytest

from steps import contract

pytestmark = pytest.mark.e2e

NODE_PORT = "TF_SERVING_NODE_PORT: expected a port of the cluster's range that is free"
# What is at fault -> exit code, settings, a part of the message.
FAULTS = {
    "no-load": (2, {}, "ended 2 times, last with exit code 1: version 2 of {model} does not load: DATA_LOSS: made not to load"),
    "crash": (2, {}, "ended 2 times, last with exit code 139: a crash, on purpose"),
    "hang": (138, {"DEPLOY_TIMEOUT_S": 8}, "within 8 s (DEPLOY_TIMEOUT_S), got"),
    "pull": (2, {"SERVING_IMAGE": "nowhere.invalid/none:1"}, "image nowhere.invalid/none:1"),
    "absent": (2, {"SERVING_IMAGE": "nowhere.invalid/none:1", "PULL_POLICY": "Never"}, "PULL_POLICY forbids to pull it"),
    "misspelt": (2, {"SERVING_IMAGE": "docker.io/Tensorflow/serving"}, "SERVING_IMAGE is no name of an image"),
    "no-program": (2, {"SERVING_IMAGE": "docker.io/library/busybox:latest"}, "it must have tensorflow_model_server on its PATH"),
    "huge": (138, {"SERVING_MEMORY": "9000Gi", "DEPLOY_TIMEOUT_S": 5}, "Insufficient memory"),
    "no-claim": (138, {"CLAIM": "nothing", "DEPLOY_TIMEOUT_S": 5}, 'persistentvolumeclaim "nothing" not found'),
    "taken": (
        2,
        {"TF_SERVING_NODE_PORT": "{taken}"},
        "TF_SERVING_NODE_PORT: expected a port of the cluster's range that is free, got {taken}",
    ),
    "range": (2, {"TF_SERVING_NODE_PORT": 80}, "TF_SERVING_NODE_PORT: expected a port of the cluster's range that is free, got 80"),
    "wrong": (2, {}, "version 2 answers it: expected [0.25, 0.75] in row 0, got [0.26, 0.74]"),
    "same-port": (2, {"TF_SERVING_PORT": 8501}, "TF_SERVING_REST_PORT: expected another port than TF_SERVING_PORT"),
}


def test_a_failed_release_says_why_and_leaves_the_old_version_or_nothing(serving, namespace, at_once):
    """Each fault hits the first release of a model of its own; a bad model also hits the second release of one that serves."""
    before = serving.state()
    taken = serving.way_in().rpartition(":")[2]

    def fail(fault):
        code, settings, message = FAULTS[fault]
        model = f"first-{fault}"
        given = {name: str(value).format(taken=taken) for name, value in settings.items()}
        serving.publish(2, fault, model=model)
        got, log = serving.deploy(2, MODEL_NAME=model, **given)
        assert (got, message.format(taken=taken, model=model) in log) == (code, True), f"{fault}: {log}"
        assert "Nothing serves, and nothing was left half-made" in log or fault == "same-port", log
        assert "failed as well" not in log, log
        assert "Traceback" not in log, log

    def fail_by_quota(namespace):
        namespace.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}, "spec": {"hard": {"pods": 1}}})
        namespace.publish(1)
        code, log = namespace.deploy(1)
        assert (code, "no pod can be made" in log, "exceeded quota: small" in log) == (contract.BAD_INPUT, True, True), log
        namespace.assert_nothing_is_left()

    with serving.client() as seen:
        at_once(lambda job: job(), [lambda: fail_by_quota(namespace), *(functools.partial(fail, fault) for fault in FAULTS)])
        serving.publish(2, "wrong")
        code, log = serving.deploy(2)
        assert (code, "Version 1 goes on serving" in log) == (contract.BAD_INPUT, True), log
    assert serving.state() == before
    assert (seen["failed"], seen["versions"]) == ([], [1])


def test_another_models_objects_are_never_taken_over(serving):
    before = serving.state()
    serving.publish(1, output="elsewhere")
    code, log = serving.deploy(1, OUTPUT_DIR="elsewhere")
    assert (code, "Deployment model: expected no such object" in log) == (contract.BAD_INPUT, True), log
    assert "it serves user/model/output/model; choose another MODEL_NAME or namespace" in log
    assert serving.state() == before

    foreign = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "foreign"}, "spec": {"ports": [{"port": 80}]}}
    serving.apply(foreign)
    serving.publish(1, model="foreign")
    code, log = serving.deploy(1, MODEL_NAME="foreign")
    assert (code, "Service foreign: expected no such object" in log, "made by somebody else" in log) == (contract.BAD_INPUT, True, True), (
        log
    )
    assert serving.get("service", "foreign")
    assert serving.get("deployment", "foreign") is None
