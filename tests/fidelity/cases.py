"""The smallest workflows in which the local runner once differed from the controller, each with the controller's outcome beside it.

    KUBECONFIG=... python -m tests.fidelity.cases

records the outcomes anew: cases/NAME.json for each cases/NAME.yaml.
"""

from __future__ import annotations

import json
import sys
import uuid
from pathlib import Path

import yaml

from tests.fidelity import outcome
from tests.fidelity.controller import Cluster

FOLDER = Path(__file__).with_name("cases")


def main() -> int:
    """Record."""
    workflows = [yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.yaml"))]
    with Cluster(f"fidelity-{uuid.uuid4().hex[:6]}") as cluster:
        for workflow, status in cluster.run(workflows):
            text = json.dumps(outcome.of(status), indent=1, ensure_ascii=False, sort_keys=True)
            (FOLDER / f"{workflow['metadata']['name']}.json").write_text(f"{text}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
