"""A run that is killed and goes on, or that meets its siblings in another order, ends as one that is left alone."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any

import pytest

from pipelines.local import engine, leaves, turns
from pipelines.local.calls import Attempt
from pipelines.local.nodes import Node
from tests.fidelity import generator, outcome, sample

CHECKOUT = Path(__file__).parents[2]
PROGRAM = """
import json, sys
from pathlib import Path
from pipelines import local
local.run(json.loads(Path(sys.argv[1]).read_text()), workspace=Path(sys.argv[2]), display=local.Quiet())
"""
# Workflows with steps and DAGs, loops, retries, hooks and processes; some succeed, some fail, some end in an error.
KILLED = (7026, 7027, 7037, 7055, 7120, 7142, 7143, 7171)
_KILLS = 2
# Workflows in which nothing fails: what begins after a failure, or before it, is a matter of who comes first.
SHUFFLED = (7038, 7041, 7049, 7085, 7111, 7116, 7128, 7150, 7165, 7179, 7181, 7221, 7236, 7238, 7245, 7265)


@pytest.mark.parametrize("seed", KILLED)
def test_a_run_that_is_killed_and_goes_on_ends_as_one_that_is_not(seed: int, tmp_path: Path) -> None:
    workflow = generator.workflow(seed)
    began = time.monotonic()
    expected = sample.locally(workflow, tmp_path / "uninterrupted")
    took_s = time.monotonic() - began
    (tmp_path / "workflow.json").write_text(json.dumps(workflow))
    chance = random.Random(seed)
    for _ in range(_KILLS):
        _begin_and_kill(tmp_path, chance.uniform(0.0, took_s))
    assert not outcome.differences(expected, sample.locally(workflow, tmp_path / "workspace"))


def _begin_and_kill(folder: Path, after_s: float) -> None:
    """Start the run, or go on with it, and kill it some time after it has written something, unless it has ended by then."""
    runs = folder / "workspace" / "runs"
    before = _written(runs)
    command = [sys.executable, "-c", PROGRAM, str(folder / "workflow.json"), str(folder / "workspace")]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(CHECKOUT)}, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while process.poll() is None and _written(runs) == before:
        assert time.monotonic() < deadline, "the run does not begin"
        time.sleep(0.002)
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        process.kill()
    _, text = process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), text


def _written(runs: Path) -> list[tuple[str, int]]:
    """The files of the runs' state, and their sizes."""
    return sorted((str(path), path.stat().st_size) for name in ("status.json", "journal.jsonl") for path in runs.glob(f"*/{name}"))


@pytest.mark.parametrize("seed", SHUFFLED)
def test_the_order_of_siblings_changes_nothing(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workflow = generator.workflow(seed)
    expected = sample.locally(workflow, tmp_path / "in order")
    assert expected["phase"] == "Succeeded"
    for order in range(3):
        with monkeypatch.context() as patched:
            _shuffle(random.Random(order), patched)
            got = sample.locally(workflow, tmp_path / f"order {order}")
        assert not outcome.differences(expected, got), f"order {order}"


def _shuffle(chance: random.Random, patched: pytest.MonkeyPatch) -> None:
    """Have siblings begin in an order of chance, and each leaf take a while of chance, so that it ends in one, too."""
    together, suspend = turns.together, leaves.run_suspend

    async def shuffled(work: Iterable[Coroutine[Any, Any, None]]) -> None:
        listed = list(work)
        chance.shuffle(listed)
        await together(listed)

    async def later(run: engine.Engine, attempt: Attempt) -> Node:
        turns.waits()
        for _ in range(chance.randint(0, 40)):
            await asyncio.sleep(0)
        return await suspend(run, attempt)

    patched.setattr(turns, "together", shuffled)
    patched.setitem(engine._KINDS, "suspend", later)  # type: ignore[arg-type]
