"""Findings as text for people, as JSON for programs, as SARIF 2.1.0 for code review."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from pipelines.check.findings import Finding
from pipelines.check.rules import RULES

_SARIF = "https://json.schemastore.org/sarif-2.1.0.json"


def text(findings: Sequence[Finding]) -> str:
    """One paragraph a finding, and a last line that counts them."""
    lines = [
        f"{one.file}:{one.line}:{one.column}: {one.severity}: {one.message} [{one.rule}]\n    at {one.path or 'the file'}; fix: {one.fix}"
        for one in findings
    ]
    errors = sum(one.severity == "error" for one in findings)
    return "\n".join([*lines, f"{_counted(errors, 'error')}, {_counted(len(findings) - errors, 'warning')}"])


def as_json(findings: Sequence[Finding]) -> str:
    """A list of objects."""
    names = ("rule", "severity", "file", "line", "column", "path", "message", "fix")
    return json.dumps([{name: getattr(one, name) for name in names} for one in findings], indent=1, ensure_ascii=False)


def sarif(findings: Sequence[Finding]) -> str:
    """A log of one run; https://docs.oasis-open.org/sarif/sarif/v2.1.0/."""
    rules = [
        {"id": rule.name, "shortDescription": {"text": rule.summary}, "defaultConfiguration": {"level": rule.severity}}
        for rule in RULES.values()
    ]
    driver = {"name": "tiphys-check", "rules": rules}
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": [_result(one) for one in findings]}
    return json.dumps({"$schema": _SARIF, "version": "2.1.0", "runs": [run]}, indent=1, ensure_ascii=False)


def _result(one: Finding) -> dict[str, Any]:
    place = {
        "artifactLocation": {"uri": quote(PurePath(one.file).as_posix())},
        "region": {"startLine": one.line, "startColumn": one.column},
    }
    return {
        "ruleId": one.rule,
        "ruleIndex": list(RULES).index(one.rule),
        "level": one.severity,
        "message": {"text": f"{one.path or 'the file'}: {one.message}; fix: {one.fix}"},
        "locations": [{"physicalLocation": place, "logicalLocations": [{"fullyQualifiedName": one.path}]}],
    }


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


FORMATS: Mapping[str, Callable[[Sequence[Finding]], str]] = {"text": text, "json": as_json, "sarif": sarif}
