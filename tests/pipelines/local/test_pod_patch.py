"""A podSpecPatch changes commands, arguments and variables of the containers that it names."""

from __future__ import annotations

from typing import Any

import pytest

_ENV = '{"containers": [{"name": "main", "env": [{"name": "B", "value": "patched {{workflow.parameters.p}}"}]}]}'


@pytest.mark.parametrize(
    ("spec", "template", "expected"),
    [
        (None, None, "a b\n"),
        (None, _ENV, "a patched 1\n"),
        (_ENV, None, "a patched 1\n"),
        (_ENV, "containers: [{name: main, env: [{name: B, value: last}]}]", "a last\n"),
        (None, "containers: [{name: main, args: ['echo $B']}, {name: wait, command: [x]}]", "b\n"),
        (None, "containers: [{name: main, command: [echo]}]", "echo $A $B\n"),
        (None, "containers: [{name: main, env: {{workflow.parameters.env}}}]", "a late\n"),
        ('{"containers": [{"name": "main", "env": {{workflow.parameters.env}}}]}', None, "a late\n"),
    ],
)
@pytest.mark.parametrize("inline", [False, True])
def test_the_patch_of_the_template_comes_last(
    shapes: Any, run: Any, node: Any, log: Any, spec: str | None, template: str | None, expected: str, inline: bool
) -> None:
    work = shapes.shell("work", "echo $A $B")
    work["container"]["env"] = [{"name": "A", "value": "a"}, {"name": "B", "value": "b"}]
    work |= {"podSpecPatch": template} if template else {}
    written = {"inline": {key: value for key, value in work.items() if key != "name"}}
    step = {"name": "s", **(written if inline else {"template": "work"})}
    more = {"podSpecPatch": spec} if spec else {}
    outcome = run(
        shapes.workflow(
            shapes.steps("main", [step]), work, arguments=shapes.arguments(p="1", env='[{"name": "B", "value": "late"}]'), **more
        )
    )
    assert log(outcome, node(outcome, "[0].s")) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [("[", "expected a map in YAML or JSON"), ('{"stdin": true}', "containers main: args, which is not of the form")]
)
def test_a_patch_that_turns_out_wrong_is_an_error(shapes: Any, run: Any, node: Any, value: str, expected: str) -> None:
    work = shapes.shell("work", "true", podSpecPatch="containers: [{name: main, args: {{workflow.parameters.p}}}]")
    outcome = run(shapes.workflow(work, arguments=shapes.arguments(p=value)))
    assert (node(outcome, "")["phase"], expected in node(outcome, "")["message"]) == ("Error", True)
