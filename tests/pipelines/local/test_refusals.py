"""What cannot run is refused before anything starts: by the path of the field, all of it at once, never with a stack trace."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines import local


def _told(workflow: Any, **options: Any) -> list[str]:
    return [str(problem) for problem in local.problems(workflow, **options)]


def _changed(workflow: dict[str, Any], path: list[Any], value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(workflow)
    inner: Any = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return changed


@pytest.fixture
def base(shapes: Any) -> dict[str, Any]:
    """A workflow without problems, with a bit of everything."""
    flow: dict[str, Any] = shapes.workflow(
        shapes.steps(
            "main",
            [{"name": "a", "template": "work", "arguments": shapes.arguments(x="{{workflow.parameters.P}}")}],
            [{"name": "b", "template": "graph", "when": "{{steps.a.outputs.result}} == 1"}],
        ),
        shapes.dag("graph", {"name": "one", "template": "ok"}, {"name": "two", "template": "ok", "dependencies": ["one"]}),
        shapes.shell("work", "echo {{inputs.parameters.x}}", inputs=shapes.inputs("x"), retryStrategy={"limit": 2, "expression": "true"}),
        shapes.shell("ok", "true"),
        arguments=shapes.arguments(P="1"),
    )
    return flow


TEMPLATES = ["spec", "templates"]
WORK = [*TEMPLATES, 2]
STEP = [*TEMPLATES, 0, "steps", 0, 0]
TASK = [*TEMPLATES, 1, "dag", "tasks", 1]


def test_the_base_has_no_problems(base: dict[str, Any]) -> None:
    assert _told(base) == []


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ([*WORK, "container", "lifecycle"], {"preStop": {}}, "spec.templates[2].container.lifecycle: not supported on one machine"),
        ([*WORK, "plugin"], {"x": {}}, "spec.templates[2].plugin: not supported"),
        ([*WORK, "sidecars"], [{"name": "s"}], "spec.templates[2].sidecars[0].command: the image's own command is not known"),
        ([*WORK, "initContainers"], [{"command": ["true"]}], "spec.templates[2].initContainers[0].name: it is missing"),
        ([*STEP, "templateRef"], {"name": "a", "template": "b"}, "steps[0][0].templateRef: there is no WorkflowTemplate 'a' among the"),
        ([*WORK, "containers"], [], "spec.templates[2].containers: unknown field; did you mean container?"),
        (["spec", "entryPoint"], "main", "spec.entryPoint: unknown field; did you mean entrypoint?"),
        ([*WORK, "container", "comand"], ["x"], "spec.templates[2].container.comand: unknown field; did you mean command?"),
        (["spec", "entrypoint"], "mian", "spec.entrypoint: there is no template 'mian'; did you mean main?"),
        (["spec", "entrypoint"], True, "spec.entrypoint: expected text, got the boolean true; write it in quotes"),
        (["spec", "templates"], "x", "spec.templates: expected a list, got the text 'x'"),
        (["spec", "templates", 3], 5, "spec.templates[3]: expected a map, got the number 5"),
        (["spec"], [], "spec: expected a map, got a list"),
        (["spec", "onExit"], "nobody", "spec.onExit: there is no template 'nobody'"),
        (["spec", "parallelism"], "2", "spec.parallelism: expected a whole number, got the text '2'"),
        ([*WORK, "name"], "ok", "spec.templates[3].name: there are 2 of the template 'ok'"),
        ([*WORK, "script"], {"source": "x", "command": ["sh"]}, "spec.templates[2]: a template is one of"),
        ([*WORK, "container", "command"], [], "spec.templates[2].container.command: the image's own command is not known"),
        ([*WORK, "container", "command"], ["no-such-command"], "container.command[0]: 'no-such-command' is no command"),
        ([*WORK, "container", "env"], [{"value": "x"}], "spec.templates[2].container.env[0].name: it is missing"),
        ([*WORK, "container", "env"], [{"name": "A", "value": 5}], "container.env[0].value: expected text, got the number 5"),
        ([*WORK, "container", "volumeMounts"], [{"name": "v", "mountPath": "/v"}], "volumeMounts[0].name: there is no volume 'v'"),
        ([*WORK, "retryStrategy", "retryPolicy"], "Sometimes", "spec.templates[2].retryStrategy.retryPolicy: expected one of Always"),
        ([*WORK, "retryStrategy", "expression"], "lastRetry.exitCode ==", "spec.templates[2].retryStrategy.expression: "),
        ([*WORK, "retryStrategy", "expression"], "sprig.nosuch(1)", "the function sprig.nosuch is not supported"),
        ([*WORK, "retryStrategy", "backoff"], {"factor": 2}, "spec.templates[2].retryStrategy.backoff: it has no duration"),
        ([*WORK, "retryStrategy", "backoff"], {"duration": "soon"}, "spec.templates[2].retryStrategy.backoff.duration: "),
        ([*WORK, "outputs"], {"parameters": [{"name": "o"}]}, "outputs.parameters[0]: an output parameter needs a valueFrom"),
        ([*WORK, "outputs"], {"artifacts": [{"name": "o", "path": "/etc"}]}, "outputs.artifacts[0].path: /etc is part of the image"),
        ([*WORK, "outputs"], {"artifacts": [{"name": "o", "path": "/x", "s3": {"roleARN": "k"}}]}, "artifacts[0].s3.roleARN: not"),
        ([*WORK, "container", "args"], ["{{inputs.parameters.y}}"], "container.args[0]: {{inputs.parameters.y}}: the template has no"),
        ([*WORK, "container", "args"], ["{{workflow.parameters.Q}}"], "args[0]: {{workflow.parameters.Q}}: the workflow has no"),
        ([*WORK, "container", "args"], ["{{=1 +}}"], "spec.templates[2].container.args[0]: "),
        ([*WORK, "podSpecPatch"], "containers: [{name: main, args: x}]", "containers main: args, which is not of the form"),
        ([*WORK, "podSpecPatch"], "containers: [{name: [], args: [x]}]", "containers: expected a name that is text, got []"),
        ([*WORK, "podSpecPatch"], "containers: [{name: main, stdin: true}]", "podSpecPatch changes containers main: stdin"),
        ([*STEP, "arguments"], {}, "spec.templates[0].steps[0][0].arguments: the template 'work' needs the input parameter 'x'"),
        ([*STEP, "name"], "a b", "spec.templates[0].steps[0][0].name: expected a name"),
        ([*STEP, "template"], "wrok", "spec.templates[0].steps[0][0].template: there is no template 'wrok'; did you mean work?"),
        ([*STEP, "withItems"], "x", "spec.templates[0].steps[0][0].withItems: expected a list"),
        ([*STEP, "hooks"], {"running": {"template": "ok"}}, "steps[0][0].hooks.running: a hook needs an expression"),
        ([*STEP, "hooks"], {"running": {"template": "ko", "expression": "1 +"}}, "hooks.running.template: there is no template 'ko'"),
        (["spec", "hooks"], {"running": {"template": "ok", "expression": "1 +"}}, "spec.hooks.running.expression: "),
        ([*TASK, "dependencies"], ["tow"], "spec.templates[1].dag.tasks[1].dependencies: there is no task 'tow'; did you mean two?"),
        ([*TASK, "dependencies"], ["two"], "spec.templates[1].dag.tasks: these tasks wait for each other: two -> two"),
        ([*TASK, "depends"], "one", "spec.templates[1].dag.tasks: the tasks of a DAG have depends or dependencies, not both"),
        ([*TEMPLATES, 1, "dag", "target"], "three", "spec.templates[1].dag.target: there is no task 'three'"),
        (["spec", "arguments", "parameters"], [{"name": "P"}], "spec.arguments.parameters[0]: P has no value; give one with -p P=VALUE"),
        (["spec", "arguments", "parameters", 0, "enum"], ["2", "3"], "spec.arguments.parameters[0]: P: expected one of 2, 3, got '1'"),
        (["metadata"], {}, "metadata.name: a workflow needs a name"),
    ],
)  # fmt: skip
def test_a_problem_is_told_by_its_path(base: dict[str, Any], path: list[Any], value: Any, expected: str) -> None:
    told = _told(_changed(base, path, value))
    assert any(expected in line for line in told), told


def test_all_problems_at_once_and_nothing_is_written(base: dict[str, Any], run: Any, tmp_path: Path) -> None:
    broken = _changed(_changed(base, [*WORK, "plugin"], {"x": {}}), ["spec", "templatess"], [])
    broken = _changed(broken, [*WORK, "container", "stdin"], True)
    with pytest.raises(local.RefusedWorkflow) as refused:
        run(broken)
    assert {problem.path for problem in refused.value.problems} == {
        "spec.templates[2].plugin",
        "spec.templatess",
        "spec.templates[2].container.stdin",
    }
    assert refused.value.exit_code == 2
    assert not (tmp_path / "workspace").exists()


def test_what_changes_nothing_here_is_accepted(base: dict[str, Any]) -> None:
    spec = {
        "securityContext": {"runAsUser": 5},
        "ttlStrategy": {"secondsAfterCompletion": 1},
        "podSpecPatch": "terminationGracePeriodSeconds: 120\n"
        "initContainers: [{name: init, securityContext: {}}]\ncontainers: [{name: wait, env: []}]",
    }
    assert _told({**base, "spec": {**base["spec"], **spec}}) == []


def test_a_volume_of_another_kind_needs_a_folder(base: dict[str, Any], tmp_path: Path) -> None:
    flow = _changed(base, [*WORK, "container", "volumeMounts"], [{"name": "v", "mountPath": "/v"}])
    flow["spec"]["volumes"] = [{"name": "v", "nfs": {"server": "s", "path": "/"}}]
    assert "give a folder for it" in _told(flow)[0]
    assert _told(flow, volumes={"v": tmp_path}) == []


def test_given_parameters_supply_what_is_missing(base: dict[str, Any]) -> None:
    flow = _changed(base, ["spec", "arguments", "parameters"], [{"name": "P"}])
    assert _told(flow, parameters={"P": "1"}) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "expected one object of kind Workflow"),
        ("a: b: c", "no YAML"),
        ("kind: Pod\nmetadata: {name: x}", "expected one object of kind .*, got Pod"),
        ("kind: Workflow\n---\nkind: Workflow\n", "got Workflow, Workflow"),
        ("- a\n- b\n", "no object"),
        ("kind: Workflow\nkind: Workflow\n", ":2: kind: the key is there twice"),
        ("kind: Workflow\nspec: !!python/name:os.system x\n", "the tag .*os.system is not known"),
        ("kind: Workflow\nspec: !mine x\n", "the tag !mine is not known"),
        ("kind: Workflow\nspec: *nobody\n", r"the alias \*nobody names nothing"),
        ("kind: Workflow\nspec: &a {inner: *a}\n", r"the alias \*a names nothing that is complete"),
        ("kind: Workflow\n? [a, b]\n: c\n", "a key must be text"),
        ("kind: Workflow\nspec: \x00\n", "no YAML"),
        ("kind: Workflow\nspec: 1e999\n", "too large a number"),
        ("kind: Workflow\nspec: " + "[" * 900 + "]" * 900, "nested more than"),
        ("kind: Workflow\nspec: " + "[" * 100_000, "no YAML|nested more than"),
        (
            "kind: Workflow\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
            + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)),
            "more than 1000000 values",
        ),
    ],
)
def test_hostile_yaml_gives_a_clear_error(text: str, expected: str) -> None:
    with pytest.raises(local.UnreadableWorkflow, match=expected):
        local.load(text if "\n" in text or ":" in text else text + "\n")


def test_yaml_is_read_as_kubernetes_reads_it() -> None:
    scalars = "y, n, on, Off, 1.5, 1e3, 017, 0x1F, 2001-01-01, '5', ~, 1:30, .5, +3, NULL, abc"
    flow = local.load(f"kind: Workflow\na: [{scalars}]\nb: &x {{c: 1}}\nd: {{<<: *x, e: 2}}\n")
    assert flow["a"] == [True, False, True, False, 1.5, 1000.0, 15, 31, "2001-01-01", "5", None, "1:30", 0.5, 3, None, "abc"]
    assert flow["d"] == {"c": 1, "e": 2}


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(local.UnreadableWorkflow, match=r"nothing\.yaml: cannot be read"):
        local.load(tmp_path / "nothing.yaml")


_VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8), st.sampled_from(["main", "{{=", "{{x}}"])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["name", "template", "value", "steps", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, one in inner for place in _places(one, (*path, key)))]


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_wrong_type_anywhere_gives_a_stack_trace(base: dict[str, Any], data: st.DataObject) -> None:
    broken = base
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(_places(broken)[1:]))
        broken = _changed(broken, list(place), data.draw(_VALUES))
    for problem in local.problems(broken):
        assert problem.path
        assert problem.message
