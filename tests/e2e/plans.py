"""Runs whose training program does what a plan says (program.py), on data that takes no time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.e2e.cluster import Site

PROGRAM = Path(__file__).with_name("program.py").read_text()
ROWS = "label,size\n" + "".join(f"{row % 2},{row * 37 % 101}\n" for row in range(400))


def put_rows(site: Site) -> None:
    """The data of every such run, on the site's volume."""
    site.put("incoming/rows.csv", ROWS)


def prepare(site: Site, model: str, plan: dict[str, Any]) -> dict[str, Any]:
    """Put the program and its plan on the volume; the parameters of a run with them."""
    site.put(f"programs/{model}/program.py", PROGRAM)
    site.put(f"programs/{model}/plan.json", json.dumps(plan))
    given = {"MODEL_NAME": model, "MODEL_DIR": f"/nfs/programs/{model}", "MODEL_SCRIPT": "program.py", "STEPS": 20, "TARGET_ACCURACY": 0.8}
    return given | {"DATA_URL": "file:///nfs/incoming/rows.csv", "DATA_FORMAT": "csv"}


def submit(site: Site, model: str, plan: dict[str, Any], **parameters: Any) -> str:
    """A run of the workflow of one pod, with a program that follows a plan."""
    return site.submit("train", **(prepare(site, model, plan) | parameters))
