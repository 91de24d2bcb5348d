"""Training as a plain Pod, without Argo: `kustomize build kustomize/single-node | kubectl apply -f -`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.cluster import Site, command, until

pytestmark = pytest.mark.e2e
MODEL = "wide-deep-large-ds-fp32-training"


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Site]) -> Site:
    """The volume is a claim here: the test's cluster need not have an NFS server."""
    made = make_site("single", overlay="single-node", replace={"nfs": "claim"}, VOLUME_ACCESS_MODE="ReadWriteOnce", USER_ID=1000)
    made.set(DATA_URL="generated://criteo?rows=5000&seed=1", STEPS=30, TARGET_ACCURACY=0.7)
    return made


def ended(site: Site) -> dict[str, Any] | None:
    """The pod, when it has ended."""
    pod: dict[str, Any] = json.loads(site.kubectl("get", "pod", "training", "-o", "json"))
    return pod if pod["status"]["phase"] in ("Succeeded", "Failed") else None


def test_it_has_a_table_of_its_own(site: Site) -> None:
    table = command(sys.executable, "-m", "pipelines", "parameters", site.overlay)
    counts = {line.split()[0]: line for line in table.splitlines()[1:] if line and line.split()[0].isupper()}
    assert {"DATASET_DIR", "FS_ID", "GROUP_ID", "GROUP_NAME", "IMAGE_SUFFIX", "MODEL_DIR", "MODEL_NAME", "MODEL_SCRIPT"} <= counts.keys()
    assert {"NFS_PATH", "OUTPUT_DIR", "REGISTRY", "USER_ID", "USER_NAME", "STEPS", "TARGET_ACCURACY"} <= counts.keys()
    assert counts.keys().isdisjoint({"REPLICAS", "TF_SERVING_PORT", "SERVING_IMAGE"})


def test_it_trains_and_leaves_log_checkpoints_and_model_in_the_output_folder(site: Site) -> None:
    site.apply()
    pod = until("the end of the pod", lambda: ended(site), 300)
    log = site.kubectl("logs", "training")
    assert pod["status"]["phase"] == "Succeeded", log
    found = site.shell(
        f"cd /nfs/tiphys/{MODEL}/output && ls training.log {MODEL}/1/saved_model.pb */*.weights.h5 */attempts-*.json; cat training.log"
    )
    assert found.count("No such file") == 0, found
    assert "published as version 1" in found


def test_applied_again_after_its_end_it_changes_nothing_and_a_new_pod_goes_on_from_the_checkpoints(site: Site) -> None:
    version = ("get", "pod", "training", "-o", "jsonpath={.metadata.uid} {.metadata.resourceVersion}")
    before = site.kubectl(*version)
    site.apply()
    assert site.kubectl(*version) == before
    site.kubectl("delete", "pod", "training")
    site.apply()
    until("the end of the second pod", lambda: ended(site), 300)
    assert "continuing from step-" in site.kubectl("logs", "training")
