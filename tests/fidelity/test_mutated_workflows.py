"""Random workflows, damaged at random, are outlined or refused with a clear error: no input ends in a stack trace."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
import yaml

from pipelines import local
from tests.fidelity import generator

_VALUES: tuple[Any, ...] = (
    None,
    "",
    "{{",
    "}}",
    "{{=",
    "{{item}}",
    0,
    -1,
    1.5,
    True,
    [],
    {},
    [None],
    {"name": None},
    "a" * 300,
    "é\x00",
    [[]],
)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every place inside a value: what holds it, and its key."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [(value, key) for key in keys] + [place for key in keys for place in _places(value[key])]


def _damaged(chance: random.Random, workflow: dict[str, Any]) -> dict[str, Any]:
    damaged = copy.deepcopy(workflow)
    for _ in range(chance.randint(1, 3)):
        holder, key = chance.choice(_places(damaged))
        kind = chance.random()
        if kind < 0.2:
            del holder[key]
        elif kind < 0.4:
            other, name = chance.choice(_places(workflow))
            holder[key] = copy.deepcopy(other[name])
        elif kind < 0.5 and isinstance(holder, dict):
            holder[f"{key}x"] = holder.pop(key)
        else:
            holder[key] = copy.deepcopy(chance.choice(_VALUES))
    return damaged


def _look(workflow: dict[str, Any] | str) -> str:
    """What is said of a workflow, or of a text."""
    try:
        return "\n".join(local.outline(local.load(workflow) if isinstance(workflow, str) else workflow))
    except local.RunnerError as error:
        return str(error)


@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_tree_is_outlined_or_refused(seed: int) -> None:
    chance = random.Random(seed)
    for place in range(25):
        damaged = _damaged(chance, generator.workflow(seed * 100 + place))
        assert _look(damaged)


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_text_is_read_or_refused(seed: int) -> None:
    chance = random.Random(seed)
    for place in range(25):
        text = list(yaml.safe_dump(generator.workflow(seed * 100 + place), sort_keys=False))
        for _ in range(chance.randint(1, 6)):
            text[chance.randrange(len(text))] = chance.choice(
                ("", "\n", ":", "-", "{", "}", "'", '"', "&a", "*a", "#", "\t", "é", "|", "!")
            )
        assert _look("\n" + "".join(text))
