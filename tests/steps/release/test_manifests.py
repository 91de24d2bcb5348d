"""The objects that a release makes on a cluster, as data."""

import dataclasses
import json
import re
from pathlib import Path

import pytest
from google.protobuf import text_format

from clients.serving import messages
from steps.release import manifests
from steps.release.manifests import Release
from steps.release.settings import Serving

SETTINGS = Serving(
    nfs_path=Path("/nfs"),
    user_name="user",
    model_name="model",
    output_dir="output",
    tf_serving_port=8500,
    tf_serving_rest_port=8501,
    tf_serving_node_port=None,
    replicas=3,
    deploy_timeout_s=601,
    serving_image="docker.io/tensorflow/serving:2.19.1",
    serving_cpu="500m",
    serving_memory="1Gi",
    claim="workspace",
    user_id=1000,
    group_id=1001,
    fs_id=1002,
    pull_policy="IfNotPresent",
    pull_secret="",
)


def release(version=7, **settings):
    return Release(dataclasses.replace(SETTINGS, **settings), version, "place", {"name": "tiphys-deployer", "uid": "u-1"})


def template(made):
    return made["spec"]["template"]


def server(made):
    [container] = template(made)["spec"]["containers"]
    return container


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("wide-deep-large-ds-fp32-training", "wide-deep-large-ds-fp32-training"),
        ("m", "m"),
        ("a" * 56, "a" * 56),
        ("a" * 57, r"a{47}-[0-9a-f]{8}"),
        ("Wide_Deep.v2", r"wide-deep-v2-[0-9a-f]{8}"),
        ("2fast", r"model-2fast-[0-9a-f]{8}"),
        ("___", r"model-[0-9a-f]{8}"),
        ("ends-", r"ends-[0-9a-f]{8}"),
        ("x-canary", r"x-canary-[0-9a-f]{8}"),
    ],
)
def test_the_name_of_the_objects_is_a_dns_label(model, name):
    made = manifests.name_of(model)
    assert re.fullmatch(name, made), made
    for one in (made, manifests.canary_name(made)):
        assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", one), one


def test_models_with_names_alike_have_names_of_their_own():
    assert len({manifests.name_of(model) for model in ("a-b", "a_b", "A-b", "a.b", "a-b-")}) == 5


def test_every_object_says_whose_it_is():
    for made in [*manifests.objects(release()), manifests.canary(release())]:
        metadata = made["metadata"]
        assert metadata["namespace"] == "place"
        assert metadata["annotations"] == {"tiphys/repository": "user/model/output/model"}
        [owner] = metadata["ownerReferences"]
        assert owner == {
            "apiVersion": "v1", "kind": "ServiceAccount", "name": "tiphys-deployer", "uid": "u-1", "controller": False,
            "blockOwnerDeletion": False,
        }  # fmt: skip
        assert metadata["labels"]["app.kubernetes.io/version"] == "7"


def test_the_service_and_the_budget_select_the_live_pods_and_never_the_canary():
    budget, live, service = manifests.objects(release())
    canary = manifests.canary(release())
    for selector in (service["spec"]["selector"], budget["spec"]["selector"]["matchLabels"], live["spec"]["selector"]["matchLabels"]):
        assert selector.items() <= template(live)["metadata"]["labels"].items()
        assert not selector.items() <= template(canary)["metadata"]["labels"].items()
    assert canary["spec"]["selector"]["matchLabels"].items() <= template(canary)["metadata"]["labels"].items()
    assert budget["spec"]["maxUnavailable"] == 1
    assert (live["spec"]["replicas"], canary["spec"]["replicas"]) == (3, 1)
    assert live["spec"]["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


@pytest.mark.parametrize(
    ("settings", "ports"),
    [
        ({}, [("grpc", 8500, 8500, None), ("rest", 8501, 8501, None)]),
        ({"tf_serving_port": 80, "tf_serving_rest_port": 81}, [("grpc", 80, 8500, None), ("rest", 81, 8501, None)]),
        ({"tf_serving_node_port": 31000}, [("grpc", 8500, 8500, 31000), ("rest", 8501, 8501, None)]),
    ],
)
def test_the_ports_of_the_service(settings, ports):
    spec = manifests.service(release(**settings))["spec"]
    assert spec["type"] == "NodePort"
    assert [(port["name"], port["port"], port["targetPort"], port.get("nodePort")) for port in spec["ports"]] == ports


def test_a_server_is_pinned_to_the_version_in_the_folder_that_is_mounted():
    made = manifests.deployment(release(model_name="Wide.Deep"))
    config = text_format.Parse(template(made)["metadata"]["annotations"]["tiphys/model-config"], messages.ModelServerConfig())
    [row] = config.model_config_list.config
    assert (row.name, row.base_path, list(row.model_version_policy.specific.versions)) == ("Wide.Deep", "/models/Wide.Deep", [7])
    mounts = {mount["name"]: mount for mount in server(made)["volumeMounts"]}
    repository = {"name": "workspace", "mountPath": "/models/Wide.Deep", "subPath": "user/Wide.Deep/output/Wide.Deep", "readOnly": True}
    assert mounts["workspace"] == repository
    volumes = {volume["name"]: volume for volume in template(made)["spec"]["volumes"]}
    assert volumes["workspace"]["persistentVolumeClaim"] == {"claimName": "workspace", "readOnly": True}
    assert f"--model_config_file={mounts['config']['mountPath']}/models.config" in server(made)["args"]
    assert server(made)["startupProbe"]["httpGet"]["path"] == "/v1/models/Wide.Deep"


def test_the_model_may_load_for_as_long_as_a_deploy_may_take():
    probe = server(manifests.deployment(release()))["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] == 602


def test_old_connections_come_again_before_their_server_goes():
    made = manifests.deployment(release())
    [age_ms] = [re.search(r"max_connection_age_ms=(\d+)$", argument)[1] for argument in server(made)["args"] if "age_ms" in argument]
    drain_s = int(server(made)["lifecycle"]["preStop"]["exec"]["command"][1])
    assert int(age_ms) * 1.1 / 1000 + 2 < drain_s < template(made)["spec"]["terminationGracePeriodSeconds"]
    canary = manifests.canary(release())
    assert "lifecycle" not in server(canary)
    assert template(canary)["spec"]["terminationGracePeriodSeconds"] == 1


@pytest.mark.parametrize(("user_id", "not_root"), [(1000, True), (0, None)])
def test_pods_are_restricted_unless_root_is_asked_for(user_id, not_root):
    spec = template(manifests.deployment(release(user_id=user_id)))["spec"]
    context = spec["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"], context["fsGroup"]) == (user_id, 1001, 1002)
    assert context.get("runAsNonRoot") is not_root
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True
    }  # fmt: skip
    assert (spec["automountServiceAccountToken"], spec["enableServiceLinks"]) == (False, False)


def test_a_pull_secret_is_there_where_one_is_set():
    assert "imagePullSecrets" not in template(manifests.deployment(release()))["spec"]
    assert template(manifests.deployment(release(pull_secret="key")))["spec"]["imagePullSecrets"] == [{"name": "key"}]


@pytest.mark.parametrize(
    ("change", "is_new"),
    [
        ({"version": 8}, True),
        ({"serving_image": "other"}, True),
        ({"serving_memory": "2Gi"}, True),
        ({"replicas": 5}, False),
        ({"tf_serving_port": 80}, False),
        ({}, False),
    ],
)
def test_pods_are_new_where_their_template_is(change, is_new):
    """The label that tells the pods of a release from those of the one before."""
    of = [template(manifests.deployment(made))["metadata"]["labels"]["tiphys/release"] for made in (release(), release(**change))]
    assert (of[0] != of[1]) is is_new


def test_objects_are_plain_data():
    made = [*manifests.objects(release(tf_serving_node_port=31000, pull_secret="key")), manifests.canary(release())]
    assert json.loads(json.dumps(made)) == made
