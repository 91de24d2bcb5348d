"""The commands of many runs: --sweep and --find-rate."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from clients.benchmark import find_rate as finding
from clients.benchmark import sweep as sweeping
from clients.benchmark.errors import DONE, INTERRUPTED, NOT_MET, Interrupted
from clients.benchmark.progress import Bar
from clients.benchmark.report.outputs import Outputs, print_result
from clients.benchmark.settings import Settings


class _Telling:
    """Says which run it is, in a log or over the bar, and shows how far it is."""

    def __init__(self) -> None:
        self._bar: Bar | None = None

    def __call__(self, settings: Settings, said: str) -> Callable[[int], None]:
        self.clear()
        print(f"run {said}", file=sys.stderr, flush=True)
        self._bar = Bar(settings)
        return self._bar.tell

    def clear(self) -> None:
        if self._bar:
            self._bar.clear()


def sweep(base: Settings, axes: Sequence[str], outputs: Outputs) -> int:
    """Measure all combinations, write and print them. Returns the exit code."""
    wanted = sweeping.combinations(base, axes)
    telling = _Telling()
    try:
        cells = list(sweeping.sweep(wanted, telling))
    finally:
        telling.clear()
    if not cells:
        raise Interrupted(f"interrupted in the first run of {len(wanted)}, before one was measured")
    record = sweeping.as_record(cells, axes=list(axes))
    try:
        outputs.write(record)
    finally:
        print_result(sweeping.text(cells))
    return DONE if len(cells) == len(wanted) and not (cells[-1].result and cells[-1].result.interrupted) else INTERRUPTED


def find(base: Settings, objectives: Sequence[str], outputs: Outputs) -> int:
    """Search for the highest rate, write and print it. Returns the exit code: NOT_MET where no rate holds the objectives."""
    telling = _Telling()
    try:
        found = finding.find_rate(base, objectives, telling)
    finally:
        telling.clear()
    if found.interrupted and not any(trial.result for trial in found.trials):
        raise Interrupted("interrupted before a rate was measured")
    record = sweeping.as_record(finding.cells(found), "find-rate", objectives=list(objectives), rate=found.rate, limit=found.limit)
    try:
        outputs.write(record)
    finally:
        print_result(finding.text(found, objectives))
    if found.interrupted:
        return INTERRUPTED
    return NOT_MET if found.rate is None else DONE
