"""How long `make run` takes after installation, from the start to the printed benchmark: `python benchmarks/make_run.py`.

The limit is 75 s on two cores, for 200,000 + 20,000 generated rows. Prints the whole time beside the limit, and the time of each step.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LIMIT_S = 75.0


def main() -> None:
    """Run it in a workspace of its own and print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        ports = [
            item
            for name, port in zip(("TF_SERVING_PORT", "TF_SERVING_REST_PORT"), _free_ports(), strict=True)
            for item in ("-p", f"{name}={port}")
        ]
        start = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "pipelines", "run", "train-and-serve", "--workspace", folder, *ports],
            cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        took = time.monotonic() - start
        status = json.loads(next(Path(folder).glob("runs/*/status.json")).read_text())
    print(f"make run on {os.cpu_count()} cores: {took:.1f} s, {took / LIMIT_S:.2f} of the limit of {LIMIT_S:.0f} s")
    for node in status["nodes"].values():
        if node["type"] == "Pod":
            print(f"  {node['templateName']:<10} {_seconds(node):5.1f} s")
    print(done.stdout, end="")


def _seconds(node: dict[str, Any]) -> float:
    start, end = (datetime.fromisoformat(node[name]) for name in ("startedAt", "finishedAt"))
    return (end - start).total_seconds()


def _free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]


if __name__ == "__main__":
    main()
