"""No input ends in a stack trace: YAML changed by chance, as text and as a tree, gives findings with a place, or none."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import check

HERE = Path(__file__).parent
TEXTS = {path.name: path.read_text() for path in sorted([*(HERE / "valid").glob("*.yaml"), *(HERE / "broken").glob("*.yaml")])}
_PIECES = [*"[]{}!#'\"\t\x00én", "{{", "}}", "{{=", "\n", "  ", "- ", ": ", "|\n", "&a ", "*a", "<<: ", "---\n"]
_VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False),
        st.text(max_size=8),
        st.sampled_from(["main", "{{=", "{{=1 +}}", "{{x}}", "{{item.a}}", "{{steps.a.outputs.result}}", "", "a.b", "1e5", "a && (", "-1"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["name", "template", "value", "steps", "valueFrom", "spec", "x"]), inner, max_size=3),
    ),
    max_leaves=6,
)


def _look(text: str) -> None:
    for finding in check.check([check.Source("fuzz.yaml", text)]):
        assert finding.line >= 1
        assert finding.message
        assert finding.fix


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, one in inner for place in _places(one, (*path, key)))]


def _changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    changed = copy.deepcopy(value)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    if path:
        inner[path[-1]] = new
    return changed if path else new


@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.data())
def test_no_change_of_the_text_gives_a_stack_trace(data: st.DataObject) -> None:
    text = TEXTS[data.draw(st.sampled_from(sorted(TEXTS)))]
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 12)))
        text = text[:start] + data.draw(st.one_of(st.sampled_from(_PIECES), st.text(max_size=4))) + text[end:]
    _look(text)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.data())
def test_no_value_of_another_type_gives_a_stack_trace(data: st.DataObject) -> None:
    values = list(yaml.safe_load_all(TEXTS[data.draw(st.sampled_from([name for name in sorted(TEXTS) if name != "no-yaml.yaml"]))]))
    for _ in range(data.draw(st.integers(1, 3))):
        values = _changed(values, data.draw(st.sampled_from(_places(values)[1:])), data.draw(_VALUES))
        values = values if isinstance(values, list) and values else [values]
    _look("\n---\n".join(json.dumps(value) for value in values))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.one_of(st.text(max_size=60), st.text("abn01.()[]{}'\"+-*/%<>=!&|?:;,# \\in", max_size=40)))
def test_no_text_in_a_field_gives_a_stack_trace(text: str) -> None:
    step = {"name": "a", "template": "main", "when": text, "withParam": text, "depends": text, "hooks": {"x": {"expression": text}}}
    retry = {"limit": text, "expression": text, "backoff": {"duration": text}}
    body = {"image": text, "args": [f"{{{{={text}}}}}", f"{{{{{text}}}}}", text]}
    templates = [
        {"name": "main", "dag": {"tasks": [step]}, "podSpecPatch": text, "timeout": text},
        {"name": text, "container": body, "retryStrategy": retry, "outputs": {"parameters": [{"name": "o", "valueFrom": {"path": text}}]}},
        {"name": "r", "resource": {"action": "create", "manifest": text}},
    ]
    spec = {"entrypoint": "main", "templates": templates, "arguments": {"parameters": [{"name": "token", "value": text}]}}
    cron = {"schedules": [text], "timezone": text, "when": text, "workflowSpec": spec}
    for kind, held in (("Workflow", spec), ("CronWorkflow", cron)):
        _look(json.dumps({"apiVersion": "argoproj.io/v1alpha1", "kind": kind, "metadata": {"name": text}, "spec": held}))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: b: c", "no YAML"),
        ("kind: Workflow\nspec: !!python/name:os.system x\n", "the tag .* is not known"),
        ("kind: Workflow\nspec: *nobody\n", "names nothing"),
        ("kind: Workflow\nspec: &a {inner: *a}\n", "names nothing that is complete"),
        ("? [a, b]\n: c\n", "a key must be text"),
        ("spec: \x00\n", "no YAML"),
        ("spec: 1e999\n", "too large a number"),
        ("spec: " + "[" * 900 + "]" * 900, "nested more than"),
        ("spec: " + "[" * 100_000, "no YAML|nested more than"),
        (
            "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)),
            "more than 300000 values",
        ),
    ],
)
def test_hostile_yaml_is_a_finding(text: str, expected: str) -> None:
    [finding] = check.check([check.Source("hostile.yaml", text)])
    assert finding.rule == "no-yaml"
    assert re.search(expected, finding.message)


@pytest.mark.parametrize("spec", ["templates:\n  - name: a\n  templates:", "<<: {templates: [{name: a}]}\n  templates:"])
def test_a_key_that_is_there_again_with_nothing_is_looked_at(spec: str) -> None:
    _look(f"apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {{name: a}}\nspec:\n  {spec}\n")
