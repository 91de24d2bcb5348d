"""How long the check of a workflow with 1,000 templates takes, beside PyYAML's C parser alone on it, and `argo lint` where there is one.

    python benchmarks/check.py [TEMPLATES]

Each template but the first has inputs, an output, a retry, environment and a mount; the first calls all of them, each with an
output of the one before. A process of its own is measured too: from the command to the answer.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from pipelines import check

ROOT = Path(__file__).parents[1]
T = TypeVar("T")
ROUNDS = 5
HEAD = """apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: large-}
spec:
  entrypoint: main
  arguments: {parameters: [{name: mode, value: fast}]}
  volumes: [{name: data, emptyDir: {}}]
  templates:
  - name: main
    steps:
"""
CALL = """    - - name: step-{number}
        template: work-{number}
        when: "{{{{workflow.parameters.mode}}}} == fast"
        arguments:
          parameters:
          - name: before
            value: {before}
"""
TEMPLATE = """  - name: work-{number}
    inputs:
      parameters:
      - name: before
      - {{name: size, value: "3"}}
    outputs:
      parameters:
      - name: made
        valueFrom: {{path: /tmp/made, default: ""}}
    retryStrategy:
      limit: 3
      expression: asInt(lastRetry.exitCode) >= 128 || lastRetry.status == 'Error'
    container:
      image: busybox
      command: [sh, -c]
      args: ["echo {{{{inputs.parameters.before}}}} {{{{=asInt(inputs.parameters.size) * 2}}}} > /tmp/made"]
      env:
      - {{name: RUN, value: "{{{{workflow.uid}}}}"}}
      volumeMounts: [{{name: data, mountPath: /data}}]
"""


def workflow(count: int) -> str:
    """The YAML of a workflow with so many templates besides the first."""
    before = ["first", *(f'"{{{{steps.step-{number}.outputs.parameters.made}}}}"' for number in range(count - 1))]
    calls = "".join(CALL.format(number=number, before=before[number]) for number in range(count))
    return HEAD + calls + "".join(TEMPLATE.format(number=number) for number in range(count))


def best(work: Callable[[], T]) -> tuple[float, T]:
    """The shortest of several rounds, in seconds, and what the work returned."""
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - started)
    return min(times), result


def parsed(text: str) -> int:
    """How many events PyYAML's C parser makes of a text."""
    return sum(1 for _ in yaml.parse(text, Loader=yaml.CSafeLoader))


def run(command: list[str]) -> int:
    """A process's exit code."""
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=False).returncode


def main(count: int) -> None:
    """Print the figures."""
    text = workflow(count)
    checked_s, findings = best(lambda: check.check([check.Source("large.yaml", text)]))
    parsed_s, _ = best(lambda: parsed(text))
    loaded_s, _ = best(lambda: yaml.load(text, yaml.CSafeLoader))
    print(
        f"check {count:,} templates: {checked_s:.2f} s, {len(text) / 1e6:.1f} MB of YAML, {len(findings)} findings, best of {ROUNDS} rounds"
    )
    print(f"PyYAML's C parser alone: {parsed_s:.2f} s, its C loader {loaded_s:.2f} s")
    print(f"ratio, checking to loading: {checked_s / loaded_s:.2f}")
    with tempfile.TemporaryDirectory() as folder:
        large, small = Path(folder, "large.yaml"), ROOT / "tests" / "pipelines" / "check" / "valid" / "steps.yaml"
        large.write_text(text)
        for name, file in ((f"of {count:,} templates", large), ("of a small file", small)):
            took_s, code = best(lambda file=file: run([sys.executable, "-m", "pipelines", "check", str(file)]))
            print(f"the command, {name}: {took_s:.2f} s, exit code {code}")
            if argo := shutil.which("argo"):
                took_s, code = best(lambda file=file, argo=argo: run(["timeout", "-k", "1", "60", argo, "lint", "--offline", str(file)]))
                print(f"argo lint --offline, {name}: {took_s:.2f} s, exit code {code}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
