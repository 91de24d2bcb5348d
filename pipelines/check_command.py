"""The command `check`, in a file of its own: it starts without the runner and all else that the other commands load."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from pipelines import check
from steps import contract


def check_workflows(options: argparse.Namespace) -> int:
    """Print what is wrong with workflows: 1 where something would fail, 2 where something cannot be read."""
    findings = check.check([source for name in options.source for source in _sources(name)])
    print(check.FORMATS[options.format](findings))
    errors = {one.rule for one in findings if one.severity == "error"}
    return contract.BadInput.exit_code if "no-yaml" in errors else contract.UNEXPECTED if errors else contract.DONE


def _sources(name: str) -> Sequence[check.Source]:
    if name == "-" or Path(name).exists() or not re.fullmatch("[a-z0-9-]+", name):
        return check.sources([name])
    from pipelines import build

    if name in build.registry():
        return [check.Source(name, build.compile_named(name))]
    return [check.Source(name, "", f"there is no such file, and no such pipeline ({', '.join(build.registry())})")]
