"""Workflows damaged at random are outlined or refused with a clear error, and checked: no input ends in a stack trace."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines import check, local
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

CHECKOUT = Path(__file__).parents[2]
# The project's own: what it compiles, and what its tests have for the checker, most of it with one mistake already.
OWN = sorted([*(CHECKOUT / "kustomize" / "base").glob("*.yaml"), *(CHECKOUT / "tests" / "pipelines").rglob("*.yaml")])
_TEXTS = ("", "{{item}}", "{{=1 +}}", "- a", "x: ", "[", "null", "{{steps.a.outputs.result}}", "&a", "0", "true", '"{{"')


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


@pytest.mark.parametrize("seed", range(6))
def test_damaged_lines_of_the_project_s_own_files_are_checked_and_outlined_or_refused(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    for _ in range(40):
        path = chance.choice(OWN)
        lines = path.read_text().splitlines()
        for _ in range(chance.randint(1, 3)):
            _damage(chance, lines)
        text = "\n".join(lines)
        (tmp_path / "damaged.yaml").write_text(text)
        for finding in check.check([check.Source("damaged.yaml", text)]):
            assert finding.message
        assert _outlined(tmp_path / "damaged.yaml")


def _outlined(file: Path) -> str:
    """What is said of a file's workflow."""
    try:
        workflow, objects = local.load_with(file)
        return "\n".join(local.outline(workflow, objects=objects))
    except local.RunnerError as error:
        return str(error)


def _damage(chance: random.Random, lines: list[str]) -> None:
    """Change one line: another value, another depth, gone, or in another's place."""
    place, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    line = lines[place]
    kind = chance.randrange(5)
    if kind == 0 and len(lines) > 1:
        del lines[place]
    elif kind == 1:
        lines[place] = lines[other]
    elif kind == 2:
        lines[place] = line[2:] if line.startswith("  ") and chance.random() < 0.5 else f"  {line}"
    elif kind == 3:
        lines[place] = f"{line.partition(':')[0]}: {lines[other].partition(':')[2].strip()}"
    else:
        lines[place] = f"{line.partition(':')[0]}: {chance.choice(_TEXTS)}"


def test_a_template_that_is_known_only_later_is_outlined() -> None:
    call = {"name": "a", "template": "{{item}}", "withItems": ["plain"]}
    templates = [{"name": "main", "steps": [[call]]}, {"name": "plain", "suspend": {"duration": "0"}}]
    spec = {"entrypoint": "main", "templates": templates}
    workflow = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "w"}, "spec": spec}
    assert "a -> {{item}} (the template is known when the step begins)" in _look(workflow)
