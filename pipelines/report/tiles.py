"""The key figures of a run, those that a person opens the page for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipelines.report import serving, training
from pipelines.report.markup import Markup, element
from pipelines.report.reading import Json, Run
from pipelines.report.values import number, significant


@dataclass(frozen=True)
class Tile:
    """One figure, its unit, and lines of what else is to be known of it."""

    name: str
    value: str
    unit: str = ""
    lines: Sequence[str] = ()


def draw(run: Run) -> Markup | None:
    """The figures beside each other; None where the run has none."""
    found = [*_of_training(run.attempts), *_of_release(run), *_of_serving(run.benchmark)]
    return element("div", *(_draw(tile) for tile in found), class_="tiles") if found else None


def _draw(tile: Tile) -> Markup:
    value = element("b", tile.value, element("i", f" {tile.unit}") if tile.unit else None)
    return element("div", element("small", tile.name), value, *(element("span", line) for line in tile.lines), class_="tile")


def _of_training(attempts: Sequence[Json]) -> Iterator[Tile]:
    if not attempts:
        return
    last = attempts[-1]
    accuracy, ends, target = number(last.get("accuracy")), training.interval(last), number(last.get("target"))
    if accuracy is not None:
        bounds = [f"{training.fraction(ends[0])} to {training.fraction(ends[1])}"] if ends else []
        aim = f"target {target:g}: {last.get('verdict')}" if target is not None else "no target"
        yield Tile("Accuracy, 95 % interval" if ends else "Accuracy", training.fraction(accuracy), lines=[*bounds, aim])
    missed = sum(evidence.get("verdict") == "missed" for evidence in attempts)
    yield Tile("Attempts", str(last.get("attempt", len(attempts))), lines=[f"{missed} below the target"] if missed else [])


def _of_release(run: Run) -> Iterator[Tile]:
    versions = [value for _, name, value in run.outputs if name == "version"]
    served = any(name == "address" for _, name, _ in run.outputs)
    if versions:
        yield Tile("Version", versions[-1], lines=["served" if served else "published"])


def _of_serving(benchmark: Json | None) -> Iterator[Tile]:
    if benchmark is None:
        return
    rate, failed = number(benchmark.get("throughput_rows_per_s")), serving.failures(benchmark)
    if rate is not None:
        lines = [f"{benchmark.get('batch_size')} rows in a request", *([f"{failed:,} requests failed"] if failed else [])]
        yield Tile("Throughput", significant(rate), "rows/s", lines)
    p50, p99 = serving.latency(benchmark, "p50"), serving.latency(benchmark, "p99")
    if p50 is not None:
        yield Tile(
            "Latency, p50", significant(p50), "ms", [f"p99 {significant(p99)} ms" if p99 is not None else "too few requests for p99"]
        )
