"""The flagship on a cluster, as README tells it: installed, run on the census data, released again, broken, rolled back, removed.

The tests of this file build on each other, in their order. No image of TensorFlow Serving can be had where these tests were
written: the embedded server stands in for it under the same name and flags (serving_stand_in).
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.clients import Loop, version
from tests.e2e.cluster import NODE, ROOT, Site, command, nodes, outputs, until

pytestmark = pytest.mark.e2e
MODEL = "census"
STEPS = ["download", "prepare", "train", "export", "validate", "deploy", "benchmark"]
RUN = {"TARGET_ACCURACY": 0.84, "DATA_FORMAT": "census", "MODEL_NAME": MODEL, "REPLICAS": 2, "STEPS": 200, "TF_SERVING_PORT": 9500}


@pytest.fixture(scope="module")
def bucket(census_zip: Path) -> Iterator[str]:
    """A bucket of the S3 server with the census data in it."""
    if "TEST_S3_ENDPOINT" not in os.environ:
        pytest.skip("TEST_S3_ENDPOINT, TEST_S3_KEY and TEST_S3_SECRET name no S3 server")
    import boto3
    from botocore.config import Config

    key, secret, config = os.environ["TEST_S3_KEY"], os.environ["TEST_S3_SECRET"], Config(s3={"addressing_style": "path"})
    client = boto3.session.Session().client(
        "s3",
        endpoint_url=os.environ["TEST_S3_ENDPOINT"],
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        region_name="us-east-1",
        config=config,
    )
    name = f"tiphys-e2e-{uuid.uuid4().hex[:8]}"
    client.create_bucket(Bucket=name)
    client.upload_file(str(census_zip), name, "census/adult.zip")
    yield name
    client.delete_object(Bucket=name, Key="census/adult.zip")
    client.delete_bucket(Bucket=name)
    client.close()


def s3_settings(endpoint: str) -> dict[str, str]:
    """What a download reads of the S3 server, whose address is in the variable `endpoint`."""
    names = {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "TEST_S3_KEY", "AWS_SECRET_ACCESS_KEY": "TEST_S3_SECRET"}
    return {name: os.environ.get(source, "") for name, source in names.items()} | {"AWS_REGION": "us-east-1"}


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Site]) -> Site:
    """The overlay `laptop` with what S3 needs, installed once."""
    made = make_site("whole", components=("s3",))
    data = {name: base64.b64encode(value.encode()).decode() for name, value in s3_settings("TEST_S3_ENDPOINT_IN_PODS").items()}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s3-credentials"}, "data": data}
    made.kubectl("apply", "-f", "-", give=json.dumps(secret))
    made.apply()
    return made


@pytest.fixture(scope="module")
def first(site: Site, bucket: str) -> dict[str, Any]:
    """The status of the first run: data from S3."""
    return site.wait(site.submit("train-and-serve", DATA_URL=f"s3://{bucket}/census/adult.zip", **RUN), timeout_s=600)


@pytest.fixture(scope="module")
def eval_csv(site: Site, first: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rows that the run has put aside for evaluation."""
    path = tmp_path_factory.mktemp("data") / "eval.csv"
    path.write_text(site.shell(f"cat /nfs/{outputs(first, 'prepare')['prepared']}/eval.csv"))
    return path


def address(site: Site) -> str:
    """Where the served model is reached from outside the cluster."""
    service = json.loads(site.kubectl("get", "service", MODEL, "-o", "json"))
    port = next(row["nodePort"] for row in service["spec"]["ports"] if row["name"] == "grpc")
    return f"{NODE}:{port}"


def served_version(site: Site) -> int:
    """The version that answers a client without a wish."""
    return version(address(site), MODEL)


def test_the_run_goes_through_every_step(site: Site, first: dict[str, Any]) -> None:
    assert first["phase"] == "Succeeded", site.log_of(first)
    assert [name for name in STEPS if nodes(first)[name]["phase"] == "Succeeded"] == STEPS
    assert float(outputs(first, "train")["accuracy"]) >= 0.84
    assert outputs(first, "validate") == {"version": "1"}
    assert outputs(first, "deploy") == {"address": f"{MODEL}.{site.namespace}.svc:9500"}
    assert float(outputs(first, "benchmark")["throughput"]) > 0


def test_when_the_run_has_succeeded_every_replica_is_ready(site: Site, first: dict[str, Any]) -> None:
    deployment = json.loads(site.kubectl("get", "deployment", MODEL, "-o", "json"))
    assert {deployment["status"][name] for name in ("replicas", "readyReplicas", "updatedReplicas", "availableReplicas")} == {2}
    service = json.loads(site.kubectl("get", "service", MODEL, "-o", "json"))
    assert service["spec"]["type"] == "NodePort"
    assert {row["name"]: row["port"] for row in service["spec"]["ports"]} == {"grpc": 9500, "rest": 8501}


def test_the_client_measures_it_from_outside(site: Site, first: dict[str, Any], eval_csv: Path) -> None:
    words = ("-s", address(site), "-d", eval_csv, "-b", "128", "-n", "200", "-w", "20", "--model", MODEL)
    said = command(sys.executable, "-m", "clients.benchmark", *words)
    accuracy = re.search(r"accuracy\D*(0\.\d+)", said)
    assert accuracy, said
    assert float(accuracy[1]) == pytest.approx(float(outputs(first, "train")["accuracy"]), abs=0.01)


def test_the_volume_holds_validated_models_only_and_servers_cannot_write_it(site: Site, first: dict[str, Any]) -> None:
    assert site.shell(f"ls /nfs/tiphys/{MODEL}/output/{MODEL}").split() == ["1"]
    pod = site.kubectl("get", "pods", "-l", f"app.kubernetes.io/instance={MODEL}", "-o", "jsonpath={.items[0].metadata.name}")
    refused = site.kubectl("exec", pod, "--", "touch", f"/models/{MODEL}/mine", check=False)
    assert "Read-only file system" in refused


def test_a_second_release_from_a_file_loses_no_request(site: Site, first: dict[str, Any], census_zip: Path) -> None:
    site.put_file(census_zip, "incoming/adult.zip")
    with Loop(address(site), MODEL) as loop:
        status = site.wait(site.submit("train-and-serve", DATA_URL="file:///nfs/incoming/adult.zip", **RUN), timeout_s=600)
        until("an answer of version 2", lambda: 2 in loop.versions)
    assert status["phase"] == "Succeeded", site.log_of(status)
    assert outputs(status, "validate") == {"version": "2"}
    assert (loop.failed, loop.succeeded > 100, served_version(site)) == ([], True, 2)


def test_a_model_that_breaks_after_validation_never_serves(site: Site, first: dict[str, Any]) -> None:
    with Loop(address(site), MODEL) as loop:
        workflow = site.submit("train-and-serve", DATA_URL="file:///nfs/incoming/adult.zip", **RUN)
        until("validate", lambda: "validate" in nodes(site.workflow(workflow).get("status", {})), 400)
        command("argo", "suspend", "-n", site.namespace, workflow)
        version = f"/nfs/tiphys/{MODEL}/output/{MODEL}/3"
        until("a validated version", lambda: "saved_model.pb" in site.shell(f"ls {version} || true"))
        site.shell(f"truncate -s 100 {version}/variables/variables.data-00000-of-00001")
        command("argo", "resume", "-n", site.namespace, workflow)
        status = site.wait(workflow, timeout_s=600)
    assert status["phase"] == "Failed", site.log_of(status)
    assert {name: nodes(status)[name]["phase"] for name in ("validate", "deploy")} == {"validate": "Succeeded", "deploy": "Failed"}
    assert "benchmark" not in nodes(status)
    assert (loop.failed, set(loop.versions), served_version(site)) == ([], {2}, 2)
    records = [json.loads(line) for line in site.shell(f"cat /nfs/tiphys/{MODEL}/output/releases.jsonl").splitlines()]
    assert (records[-1]["action"], records[-1]["version"], records[-1]["previous"]) == ("deploy-failed", 3, 2)


def test_rollback_goes_back_to_the_version_before(site: Site, first: dict[str, Any]) -> None:
    with Loop(address(site), MODEL) as loop:
        command(sys.executable, "-m", "pipelines", "rollback", site.overlay, "-p", f"MODEL_NAME={MODEL}", timeout_s=300)
        until("an answer of version 1", lambda: 1 in loop.versions)
    assert (loop.failed, served_version(site)) == ([], 1)


def test_the_service_outlives_its_workflows(site: Site, first: dict[str, Any]) -> None:
    site.kubectl("delete", "workflows", "--all")
    assert served_version(site) == 1


def test_the_same_workflow_on_one_machine_ends_with_the_same_outputs(
    site: Site, first: dict[str, Any], bucket: str, tmp_path: Path
) -> None:
    from steps.release import ports

    grpc, rest = ports.free(2)
    here = RUN | {"DATA_URL": f"s3://{bucket}/census/adult.zip", "TF_SERVING_PORT": grpc, "TF_SERVING_REST_PORT": rest}
    given = [word for name, value in here.items() for word in ("-p", f"{name}={value}")]
    compiled = command(sys.executable, "-m", "pipelines", "compile", "train-and-serve")
    (tmp_path / "workflow.yaml").write_text(compiled)
    words = (
        sys.executable,
        "-m",
        "pipelines",
        "run",
        str(tmp_path / "workflow.yaml"),
        "--workspace",
        str(tmp_path / "w"),
        "--json",
        *given,
    )
    environ = os.environ | s3_settings("TEST_S3_ENDPOINT")
    done = subprocess.run(words, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    local = json.loads(done.stdout)["status"]
    assert phases(local) == phases(first)
    measured = ("address", "throughput", "latency_p50_ms", "latency_p99_ms", "evidence", "candidate", "result", "data")
    for step in STEPS:
        here_and_there = [
            {name: value for name, value in outputs(status, step).items() if name not in measured} for status in (local, first)
        ]
        assert here_and_there[0] == here_and_there[1], step


def phases(status: dict[str, Any]) -> dict[str, str]:
    """The phase of each step."""
    return {name: nodes(status)[name]["phase"] for name in STEPS}


def test_delete_takes_everything_away(site: Site, first: dict[str, Any]) -> None:
    site.kubectl("delete", "pod", "inspector", "--now", "--ignore-not-found")
    site.kubectl("delete", "--ignore-not-found", "-f", "-", give=site.build())
    kinds = "deployments,services,poddisruptionbudgets,workflowtemplates,serviceaccounts,roles,rolebindings,pods,persistentvolumeclaims"
    until("an empty namespace", lambda: left(site, kinds) == ["serviceaccount/default"])


def left(site: Site, kinds: str) -> list[str]:
    """What is in the namespace still."""
    return site.kubectl("get", kinds, "-o", "name").split()
