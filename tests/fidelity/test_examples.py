"""Argo's examples run here to what the controller made of them (outcomes.json, written by tests.fidelity.record)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fidelity import examples, here, outcomes, record, web

# A test may wait for the runs before its own.
pytestmark = pytest.mark.timeout(600)

ROOT = Path(__file__).parents[2]
ENTRIES = record.load()


@pytest.fixture(scope="module")
def every() -> Iterator[dict[str, examples.Example]]:
    root = examples.folder()
    if root is None:
        pytest.skip("ARGO_EXAMPLES does not name the folder of Argo's example workflows")
    with here.no_cluster():
        yield {one.name: one for one in examples.every(root)}


@pytest.fixture(scope="module")
def runs(every: dict[str, examples.Example], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[here.Result]]]:
    """All examples that take no minutes, some at once."""
    folder = tmp_path_factory.mktemp("examples")
    with web.served() as address, ThreadPoolExecutor(4) as pool:
        chosen = [one for name, one in every.items() if name in ENTRIES and name not in here.SLOW]
        yield {one.name: pool.submit(here.judged, one, ENTRIES[one.name], folder / str(n), address) for n, one in enumerate(chosen)}


def test_every_example_has_an_entry(every: dict[str, examples.Example]) -> None:
    assert sorted(ENTRIES) == sorted(every)


@pytest.mark.parametrize("name", sorted(set(ENTRIES) - set(here.SLOW)))
def test_an_example_ends_as_on_a_cluster(runs: dict[str, Future[here.Result]], name: str) -> None:
    result = runs[name].result()
    assert result.kind != here.DIFFERS, "\n".join(result.lines)


def test_the_counts_of_readme_are_true(every: dict[str, examples.Example]) -> None:
    told = re.search(rf"{re.escape(here.BEGIN)}\n(.*?)\n{re.escape(here.END)}", (ROOT / "README.md").read_text(), re.DOTALL)
    assert told is not None
    assert told[1] == here.table(every.values(), ENTRIES), "python -m tests.fidelity.here --write"


@pytest.mark.parametrize(
    ("recorded", "found", "lines"),
    [
        ({"phase": "Failed"}, {"phase": "Failed"}, []),
        ({}, {"phase": "Succeeded"}, []),
        ({"phase": "Failed"}, {}, ["phase: the controller has 'Failed', here has 'Succeeded'"]),
        ({"nodes": {"a": {"message": "x"}}}, {"nodes": {"a": {}}}, ["nodes.a.message: the controller has 'x', here has none"]),
        ({"nodes": {}}, {"nodes": {"a": {}}}, ["nodes.a: the controller has none, here has {}"]),
    ],
)
def test_differences_are_told_by_their_place(recorded: outcomes.Outcome, found: outcomes.Outcome, lines: list[str]) -> None:
    assert list(outcomes.differences(recorded, found)) == lines
