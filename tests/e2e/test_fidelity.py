"""A fresh random sample of workflows ends on the local runner as on the cluster; FIDELITY_SEED names the sample."""

from __future__ import annotations

import os
import random
import uuid
from pathlib import Path

import pytest

from tests.fidelity import generator, outcome, sample
from tests.fidelity.controller import Cluster

pytestmark = pytest.mark.e2e
_COUNT = 12


def test_random_workflows_end_as_on_the_cluster(tmp_path: Path) -> None:
    first = int(os.environ.get("FIDELITY_SEED") or random.SystemRandom().randrange(10**6, 10**9))
    print(f"FIDELITY_SEED={first}")
    workflows = [generator.workflow(first + place, pods=2) for place in range(_COUNT)]
    with Cluster(f"fidelity-{uuid.uuid4().hex[:6]}") as cluster:
        ended = [(workflow, outcome.of(status)) for workflow, status in cluster.run(workflows, timeout_s=75)]
    assert len(ended) == _COUNT
    found = {workflow["metadata"]["name"]: sample.compared(expected, sample.locally(workflow, tmp_path)) for workflow, expected in ended}
    different = {name: lines for name, lines in found.items() if lines}
    assert not different, f"FIDELITY_SEED={first}: controller / local runner: {different}"
