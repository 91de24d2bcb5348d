"""Many runs in one: every combination of some settings, and which of them are worth choosing."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from clients.benchmark.errors import BadInput, Interrupted, NothingSucceeded
from clients.benchmark.report.record import FORMAT, machine, record
from clients.benchmark.report.words import between, figure, ms
from clients.benchmark.running import run
from clients.benchmark.settings import Settings
from clients.benchmark.summary import Result

# What can be swept: the word on the command line, the setting, and how a value is read.
AXES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "batch": ("batch_size", int),
    "concurrency": ("concurrency", int),
    "rate": ("rate", float),
    "connections": ("connections", int),
    "processes": ("processes", int),
    "transport": ("transport", str),
}
# The length of each run where none was asked for, after a warm-up.
DURATION_S, WARM_UP_S = 5.0, 0.5
_MOST = 200


@dataclass(frozen=True)
class Cell:
    """One combination: `setting` as it was asked for, and its result, or why there is none."""

    setting: dict[str, Any]
    result: Result | None
    why: str = ""


def combinations(base: Settings, axes: Sequence[str]) -> list[tuple[dict[str, Any], Settings]]:
    """The product of axes such as 'batch=1,8,64', with the settings of each. Raises BadInput where one makes no sense."""
    named = [_axis(text) for text in axes]
    names = [name for name, _ in named]
    if len(set(names)) < len(names):
        raise BadInput(f"--sweep: expected each of {', '.join(names)} once")
    if base.num_iteration is None and base.duration_s is None:
        base = replace(base, duration_s=DURATION_S, warm_up_s=base.warm_up_s or WARM_UP_S)
    found = [dict(zip(names, values, strict=True)) for values in itertools.product(*(values for _, values in named))]
    if len(found) > _MOST:
        raise BadInput(f"--sweep: expected at most {_MOST} combinations, got {len(found)}")
    return [(setting, replace(base, **{AXES[name][0]: value for name, value in setting.items()})) for setting in found]


def _axis(text: str) -> tuple[str, list[Any]]:
    name, equals, values = text.partition("=")
    if name not in AXES or not equals or not values:
        raise BadInput(f"--sweep {text}: expected NAME=VALUE,VALUE,... with NAME one of {', '.join(AXES)}; such as batch=1,8,64")
    try:
        return name, list(dict.fromkeys(AXES[name][1](value) for value in values.split(",")))
    except ValueError:
        raise BadInput(f"--sweep {text}: expected numbers, with commas between") from None


def sweep(cells: Sequence[tuple[dict[str, Any], Settings]], tell: Callable[[Settings, str], Callable[[int], None]]) -> Iterator[Cell]:
    """Run them one after another; `tell` is told before each, and gives what hears how far it is. Ends early after Ctrl-C."""
    for number, (setting, settings) in enumerate(cells, 1):
        try:
            result = run(settings, tell(settings, f"{number} of {len(cells)}: {words(setting)}"))
        except NothingSucceeded as error:
            yield Cell(setting, None, str(error))
            continue
        except (KeyboardInterrupt, Interrupted):
            return
        yield Cell(setting, result)
        if result.interrupted:
            return


def words(setting: dict[str, Any]) -> str:
    """batch 8, concurrency 32."""
    return ", ".join(f"{name} {value:,}" if not isinstance(value, str) else f"{name} {value}" for name, value in setting.items())


def front(cells: Sequence[Cell]) -> list[int]:
    """The places of the cells that no other beats: more rows/s with a smaller p99 (Pareto's front), in the order of rows/s."""
    points = [(place, *point) for place, cell in enumerate(cells) if (point := _point(cell)) is not None]
    best = [
        (rate, place)
        for place, rate, p99 in points
        if not any(other >= rate and slow <= p99 and (other, slow) != (rate, p99) for _, other, slow in points)
    ]
    return [place for _, place in sorted(best)]


def _point(cell: Cell) -> tuple[float, float] | None:
    if cell.result is None or cell.result.figures.failed:
        return None
    p99 = cell.result.latency_ms.percentiles[99]
    return None if p99 is None else (cell.result.throughput_rows_per_s, p99)


def text(cells: Sequence[Cell]) -> str:
    """A table, a line for each cell; those on the front are marked."""
    chosen = set(front(cells))
    names = list(cells[0].setting)
    head = [*names, "rows/s", "95 % interval", "p50", "p99", "failed", ""]
    rows = [_line(cell, names, place in chosen) for place, cell in enumerate(cells)]
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = ["  ".join(part.rjust(width) for part, width in zip(row, widths, strict=True)).rstrip() for row in [head, *rows]]
    doubtful = [(words(cell.setting), cell.result.warnings) for cell in cells if cell.result and cell.result.warnings]
    warned = [f"NOT TO BE TRUSTED ({setting}): {'; '.join(warnings)}" for setting, warnings in doubtful]
    missing = [f"not measured ({words(cell.setting)}): {cell.why}" for cell in cells if cell.result is None]
    explained = ["* no other combination has more rows/s and a smaller p99"] if chosen else []
    return "\n".join([*warned, *missing, *lines, *explained])


def _line(cell: Cell, names: Sequence[str], chosen: bool) -> list[str]:
    setting = [str(cell.setting[name]) for name in names]
    if cell.result is None:
        return [*setting, "-", "-", "-", "-", "-", ""]
    rows, latency = cell.result.figures.rows_per_s, cell.result.latency_ms.percentiles
    told = ["too few" if (value := latency[level]) is None else ms(value) for level in (50, 99)]
    return [*setting, figure(rows.value), between(rows.low, rows.high), *told, str(cell.result.figures.failed), "*" if chosen else ""]


def as_record(cells: Sequence[Cell], kind: str = "sweep", **more: Any) -> dict[str, Any]:
    """All runs in one record. Raises NothingSucceeded where there is none."""
    measured = [cell for cell in cells if cell.result]
    if not measured:
        raise NothingSucceeded(f"no run of {len(cells)} was measured: {cells[0].why if cells else 'interrupted before the first'}")
    return {
        "format": FORMAT,
        "kind": kind,
        **more,
        "front": front(measured),
        "unmeasured": [{"setting": cell.setting, "why": cell.why} for cell in cells if cell.result is None],
        "machine": machine(),
        "runs": [{"setting": cell.setting, **record(cell.result)} for cell in measured if cell.result],
    }
