"""The command `tiphys-bench compare before.json after.json`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clients.benchmark.errors import DONE, NOT_MET, BadInput
from clients.benchmark.parsing import Parser
from clients.benchmark.report.files import check_writable, write
from clients.benchmark.report.outputs import print_result
from clients.benchmark.report.record import FORMAT
from clients.benchmark.report.words import between, figure
from clients.benchmark.statistics.comparison import Change, Comparison, compare
from clients.benchmark.statistics.histogram import Histogram

_DESCRIPTION = "Compare the records (--json) of two runs: better, worse or no difference, and by which factor, with its 95 %% interval."
_EPILOG = "Exit codes: 0 compared, 2 bad input, 11 with --fail-on-worse where something is worse."


def main(arguments: Sequence[str]) -> int:
    """Compare two records and print what changed. Returns the exit code; raises BadInput for a file that holds no record."""
    parser = Parser("tiphys-bench compare", description=_DESCRIPTION, epilog=_EPILOG, allow_abbrev=False)
    parser.add_argument("before", type=Path, help="the record of a run")
    parser.add_argument("after", type=Path, help="that of a later one")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write a page there, with charts")
    parser.add_argument("--fail-on-worse", action="store_true", help="exit code 11 where a figure is worse")
    options = parser.parse_args(arguments)
    if options.html:
        check_writable("--html", options.html)
    before, after = read(options.before), read(options.after)
    compared = compare(before, after)
    try:
        if options.html:
            from clients.benchmark.report.comparison_page import as_html

            write("--html", options.html, as_html(before, after, compared))
    finally:
        print_result(text(compared))
    worse = any(change.verdict == "worse" for change in compared.changes)
    return NOT_MET if worse and options.fail_on_worse else DONE


def read(path: Path) -> dict[str, Any]:
    """The record of one run. Raises BadInput where the file holds none."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record, dict) or record.get("format") != FORMAT or record.get("kind") != "run":
            raise ValueError(f"expected the record of one run in format {FORMAT}, as --json writes it")
        Histogram.from_record(record["latency_counts"])
        compare(record, record)
    except OSError as error:
        raise BadInput(f"{path}: expected a record that can be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        why = "it is not JSON" if isinstance(error, json.JSONDecodeError | UnicodeDecodeError) else error
        raise BadInput(f"{path}: it holds no record of a run: {why if str(why) else 'a part is missing'}") from None
    return record


def text(compared: Comparison) -> str:
    """The changes in lines; what makes them doubtful first."""
    lines = [f"MIND        {doubt}" for doubt in compared.doubts]
    return "\n".join([*lines, *(f"{change.name:<12}{_line(change)}" for change in compared.changes)])


def _line(change: Change) -> str:
    if change.ratio is None:
        return f"cannot be said: {change.why}"
    values = f"{figure(change.before or 0)} {change.unit}, then {figure(change.after or 0)}"
    return f"{change.verdict}: {values}, x {change.ratio:.3g} {between(change.low, change.high)}"
