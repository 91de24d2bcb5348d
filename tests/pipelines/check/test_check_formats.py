"""Findings as text, JSON and SARIF 2.1.0, with what each format requires."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines import check
from pipelines.check.findings import Finding

BROKEN = Path(__file__).parent / "broken"


@pytest.fixture(scope="module")
def findings() -> list[Finding]:
    """An error and a warning in two files, and a file that cannot be read."""
    return check.check(check.sources([str(BROKEN / f"{name}.yaml") for name in ("cycle", "host-path", "no-yaml")]))


def test_text_has_a_place_that_editors_understand_and_a_fix(findings: list[Finding]) -> None:
    lines = check.FORMATS["text"](findings).splitlines()
    assert lines[0] == f"{BROKEN / 'cycle.yaml'}:10:9: error: these tasks wait for each other: one -> three -> two -> one [cycle]"
    assert lines[1] == "    at spec.templates[0].dag.tasks[0]; fix: let one of them not wait"
    assert lines[-1] == "2 errors, 1 warning"
    assert check.FORMATS["text"]([]) == "0 errors, 0 warnings"


def test_json_has_every_field(findings: list[Finding]) -> None:
    rows = json.loads(check.FORMATS["json"](findings))
    assert [list(row) for row in rows] == [["rule", "severity", "file", "line", "column", "path", "message", "fix"]] * 3
    assert [(row["rule"], row["severity"], row["line"]) for row in rows] == [
        ("cycle", "error", 10),
        ("host-path", "warning", 8),
        ("no-yaml", "error", 8),
    ]


def test_sarif_has_what_2_1_0_requires(findings: list[Finding]) -> None:
    log: dict[str, Any] = json.loads(check.FORMATS["sarif"](findings))
    assert (log["version"], list(log)) == ("2.1.0", ["$schema", "version", "runs"])
    [run] = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"]
    assert len({rule["id"] for rule in driver["rules"]}) == len(driver["rules"])
    for rule in driver["rules"]:
        assert rule["shortDescription"]["text"]
        assert rule["defaultConfiguration"]["level"] in ("error", "warning")
    for result in run["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("error", "warning")
        assert result["message"]["text"]
        place = result["locations"][0]["physicalLocation"]
        assert "\\" not in place["artifactLocation"]["uri"]
        assert min(place["region"]["startLine"], place["region"]["startColumn"]) >= 1


def test_no_finding_is_an_empty_run() -> None:
    assert json.loads(check.FORMATS["sarif"]([]))["runs"][0]["results"] == []
    assert json.loads(check.FORMATS["json"]([])) == []
