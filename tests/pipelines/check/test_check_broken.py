"""Each broken workflow has one mistake, found on its line by its rule and nothing else; what others find of them is recorded beside."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pipelines import check

HERE = Path(__file__).parent
BROKEN = sorted((HERE / "broken").glob("*.yaml"))
PEERS = json.loads((HERE / "peers.json").read_text())
_MARK = re.compile(r"#! ([a-z-]+)$")
_HEAD = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: large-}\nspec:\n  entrypoint: main\n  templates:\n"


def _marked(text: str) -> list[tuple[int, str]]:
    return [(number, match[1]) for number, line in enumerate(text.splitlines(), 1) if (match := _MARK.search(line))]


def _with_argument(length: int) -> str:
    return f"{_HEAD}  - name: main\n    container:\n      image: busybox\n      args:\n      - {'x' * length}\n"


def _with_lines(count: int) -> str:
    lines = f"        : {'x' * 90}\n" * count
    return f"{_HEAD}  - name: main\n    script:\n      image: busybox\n      command: [sh]\n      source: |\n{lines}"


def _with_copies(count: int, length: int) -> str:
    argument = f"arguments: {{parameters: [{{name: text, value: {'x' * length}}}]}}"
    loop = f"    - - name: one\n        template: print\n        {argument}\n        withSequence: {{count: {count}}}\n"
    return (
        f"{_HEAD}  - name: main\n    steps:\n{loop}"
        + "  - name: print\n    inputs: {parameters: [{name: text}]}\n    container: {image: busybox}\n"
    )


@pytest.mark.parametrize("file", BROKEN, ids=[file.stem for file in BROKEN])
def test_the_mistake_is_found_on_its_line_and_nothing_else(file: Path) -> None:
    findings = check.check(check.sources([str(file)]))
    assert [(one.line, one.rule) for one in findings] == _marked(file.read_text())
    assert [one.rule for one in findings if not (one.message and one.fix and (one.path or one.rule == "no-yaml"))] == []


@pytest.mark.parametrize(
    ("text", "rule", "line", "expected"),
    [
        (_with_argument(140_000), "argument-size", 11, "Linux takes at most 131,071"),
        (_with_lines(12_000), "object-size", 2, "1.1 MiB: Argo ends a workflow"),
        (_with_copies(600, 20_000), "run-size", 5, "602 nodes"),
        (_with_lines(18_000), "object-size", 2, "1.6 MiB: the API server takes at most 1.5 MiB"),
    ],
)
def test_what_is_too_large(text: str, rule: str, line: int, expected: str) -> None:
    [finding] = check.check([check.Source("large.yaml", text)])
    assert (finding.rule, finding.line) == (rule, line)
    assert expected in finding.message


def test_every_rule_has_a_broken_workflow() -> None:
    marked = {rule for file in BROKEN for _, rule in _marked(file.read_text())}
    assert marked | {"argument-size", "object-size"} == set(check.RULES)


def test_the_record_of_the_peers_is_of_these_workflows() -> None:
    assert set(PEERS["reported"]) == {file.stem for file in BROKEN}, "stale: record/make_peers.py writes it"
    assert len(BROKEN) >= 60
    counts = {peer: sum(peer in said for said in PEERS["reported"].values()) for peer in PEERS["versions"]}
    readme = " ".join((HERE.parents[2] / "README.md").read_text().split())
    assert (
        f"Of {len(BROKEN)} workflows with one mistake each, `argo lint --offline` reports {counts['argo']} and Hera {counts['hera']}"
        in readme
    )
