"""Record which of the broken workflows `argo lint --offline` and Hera report: tests/pipelines/check/peers.json.

    python tests/pipelines/check/record/make_peers.py          # needs argo (v4.0.7) on PATH, and Hera

Argo reports a file when it ends with another code than 0; Hera when reading it (`from_dict`) or building it raises an error.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from hera import workflows

CHECKS = Path(__file__).parents[1]
KINDS = ("Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow")


def argo(file: Path) -> str | None:
    """What `argo lint --offline` says of a file, None when it finds nothing. It does not stop at SIGTERM at once."""
    command = ["timeout", "-k", "1", "60", "argo", "lint", "--offline", "--no-color", file.name]
    done = subprocess.run(command, cwd=file.parent, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else first_line(done.stdout + done.stderr, "✖ in|Error:|error=|✖")


def hera(file: Path) -> str | None:
    """What Hera says of a file, None when it reads and builds it."""
    try:
        for value in yaml.safe_load_all(file.read_text()):
            if value.get("kind") in KINDS:
                getattr(workflows, value["kind"]).from_dict(value).build()
    except Exception as error:  # whatever it is, it is a report
        return f"{type(error).__name__}: {first_line(str(error), '.')}"
    return None


def first_line(text: str, pattern: str) -> str:
    """The first line in which something is said, without the time."""
    for part in pattern.split("|"):
        for line in text.splitlines():
            if re.search(part, line):
                return re.sub(r"^time=\S+ level=ERROR msg=", "", " ".join(line.split()))[:300]
    return text.strip()[:300]


def main() -> None:
    """Write the record."""
    if shutil.which("argo") is None:
        sys.exit("argo is not on PATH")
    peers: dict[str, Callable[[Path], Any]] = {"argo": argo, "hera": hera}
    found = {
        file.stem: {name: said for name, ask in peers.items() if (said := ask(file)) is not None}
        for file in sorted((CHECKS / "broken").glob("*.yaml"))
    }
    said = subprocess.run(["argo", "version", "--short"], capture_output=True, text=True, check=True).stdout
    versions = {"argo": said.split(":")[-1].strip(), "hera": version("hera")}
    text = json.dumps({"versions": versions, "reported": found}, indent=1, ensure_ascii=False, sort_keys=True)
    (CHECKS / "peers.json").write_text(f"{text}\n")
    for name in peers:
        print(f"{name} {versions[name]} reports {sum(name in one for one in found.values())} of {len(found)}")


if __name__ == "__main__":
    main()
