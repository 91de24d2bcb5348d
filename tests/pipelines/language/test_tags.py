"""Tags in texts: what is replaced, what waits, what is an error."""

from __future__ import annotations

import pytest

from pipelines.language import tags
from pipelines.language.errors import EvaluationError
from pipelines.language.tags import Variables

KNOWN = {
    "workflow.name": "wf",
    "inputs.parameters.n": "3",
    "inputs.parameters.a-b": 'say "hi"\n\\x',
    "inputs.parameters.which": "n",
    "steps.a.outputs.parameters.gone": None,
    "steps.a.outputs.result": '{"k": [1, "z"]}',
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nothing", "nothing"),
        ("{{workflow.name}}", "wf"),
        ("{{ workflow.name }}-{{workflow.name}}", "wf-wf"),
        ("{{inputs.parameters.a-b}}", 'say "hi"\n\\x'),
        ("{{unknown}} stays", "{{unknown}} stays"),
        ("{{=asInt(inputs.parameters.n) + 1}}", "4"),
        ("{{=inputs.parameters['a-b']}}", 'say "hi"\n\\x'),
        ("{{=[1, 'a', {'b': 1.5}]}}", '[1,"a",{"b":1.5}]'),
        ("{{=1 == 1}}", "true"),
        ("{{=jsonpath(steps.a.outputs.result, '$.k[1]')}}", "z"),
        ("{{=steps.a.outputs.parameters.gone ?? 'fallback'}}", "fallback"),
        ("{{=item}} waits for its loop", "{{=item}} waits for its loop"),
        ("{{=lastRetry.status ?? 'x'}}", "{{=lastRetry.status ?? 'x'}}"),
        ("{{=tasks.b.outputs.result}}", "{{=tasks.b.outputs.result}}"),
        ("{{=broken +}}", "{{=broken +}}"),
        ("{{inputs.parameters.{{inputs.parameters.which}}}}", "{{inputs.parameters.n}}"),
        ("}} {{workflow.name}} {", "}} wf {"),
    ],
)
def test_what_a_text_becomes(text: str, expected: str) -> None:
    assert tags.replace(text, Variables(KNOWN)) == expected


@pytest.mark.parametrize(
    ("text", "needed", "message"),
    [
        ("{{steps.b.outputs.result}}", tags.earlier_nodes, "failed to resolve {{steps.b.outputs.result}}"),
        ("{{=tasks.b.outputs.result}}", tags.earlier_nodes, "is missing"),
        ("{{anything}}", tags.everything, "failed to resolve {{anything}}"),
        ("{{=1 + 'a'}}", tags.earlier_nodes, "mismatched types"),
        ("{{=asInt('x')}}", tags.everything, "whole number"),
        ("{{steps.a.outputs.parameters.gone}}", tags.nothing, "with no default"),
        ("{{workflow.name", tags.nothing, "Cannot find end tag"),
    ],
)
def test_what_is_an_error(text: str, needed: tags.Needed, message: str) -> None:
    with pytest.raises(EvaluationError, match=message.replace("{", r"\{").replace("(", r"\(")):
        tags.replace(text, Variables(KNOWN), needed)


def test_artifacts_of_earlier_nodes_are_resolved_apart() -> None:
    text = "{{steps.b.outputs.artifacts.model}}"
    assert tags.replace(text, Variables(KNOWN), tags.earlier_nodes) == text


def test_nested_values_are_copied_not_changed() -> None:
    value = {"a": ["{{workflow.name}}", {"b": "{{workflow.name}}"}], "c": 1, "d": None}
    assert tags.replace(value, Variables(KNOWN)) == {"a": ["wf", {"b": "wf"}], "c": 1, "d": None}
    assert value["a"] == ["{{workflow.name}}", {"b": "{{workflow.name}}"}]
