"""Which of Argo's example workflows the local runner accepts, and by which field it refuses the others. Nothing is run.

Each may refer to the templates and the other objects of all examples, as on a cluster where these are installed.

ARGO_EXAMPLES=.../argo-workflows/examples python -m tests.fidelity.accepted
"""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from pathlib import Path

from pipelines import local


def reasons(path: Path, others: list[Path]) -> list[str]:
    """Why a file is refused: one line for each problem; none where it is accepted."""
    try:
        workflow, objects = local.load_with(path, *others)
    except local.RunnerError as error:
        return [str(error).removeprefix(f"{path}: ")]
    return [str(problem) for problem in local.problems(workflow, objects=objects)]


def libraries(folder: Path) -> list[Path]:
    """The files that hold what workflows refer to."""
    kinds = r"^kind: (ClusterWorkflowTemplate|WorkflowTemplate|ConfigMap|Secret)"
    return [path for path in sorted(folder.rglob("*.yaml")) if re.search(kinds, path.read_text(), re.MULTILINE)]


def main() -> int:
    """Print a line for each example that is refused, how often each field is the reason, and the counts."""
    folder = Path(os.environ["ARGO_EXAMPLES"])
    others = libraries(folder)
    told = {path.relative_to(folder): reasons(path, others) for path in sorted(folder.rglob("*.yaml"))}
    refused = {path: lines for path, lines in told.items() if lines}
    for path, lines in refused.items():
        print(f"{path}: {lines[0]}" + (f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""))
    counts = Counter(field for lines in refused.values() for field in {_field(line) for line in lines})
    for field, count in counts.most_common():
        print(f"{count:4} {field}")
    print(f"{len(told) - len(refused)} of {len(told)} examples are accepted")
    return 0


def _field(line: str) -> str:
    """A problem without what differs from file to file: places and names."""
    path, _, message = line.partition(": ")
    return re.sub(r"\[\d+\]", "[]", path) + ": " + re.sub(r"'[^']*'", "'...'", message)[:60]


if __name__ == "__main__":
    sys.exit(main())
