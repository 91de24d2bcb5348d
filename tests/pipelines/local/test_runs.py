"""Workflows run as Argo's controller runs them: real processes, phases, outputs, messages."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest


def test_steps_pass_results_parameters_and_conditions_on(shapes: Any, run: Any, phases: Any, node: Any, log: Any) -> None:
    workflow = shapes.workflow(
        shapes.steps(
            "main",
            [{"name": "flip", "template": "flip"}],
            [
                {
                    "name": "heads",
                    "template": "say",
                    "when": "{{steps.flip.outputs.result}} == heads",
                    "arguments": shapes.arguments(what="a b"),
                },
                {
                    "name": "tails",
                    "template": "say",
                    "when": "{{steps.flip.outputs.result}} == tails",
                    "arguments": shapes.arguments(what="x"),
                },
            ],
            [
                {
                    "name": "both",
                    "template": "say",
                    "arguments": shapes.arguments(
                        what="{{steps.heads.outputs.parameters.said}}/{{=steps.tails.outputs.parameters.said ?? 'skipped'}}"
                    ),
                }
            ],
            outputs={"parameters": [{"name": "all", "valueFrom": {"parameter": "{{steps.both.outputs.parameters.said}}"}}]},
        ),
        shapes.shell("flip", "echo heads"),
        shapes.shell(
            "say",
            "echo 'so: {{inputs.parameters.what}}' | tee /tmp/said",
            inputs=shapes.inputs("what"),
            outputs=shapes.output("said", "/tmp/said"),
        ),
    )
    outcome = run(workflow)
    assert outcome.phase == "Succeeded"
    assert outcome.exit_code == 0
    assert phases(outcome) == {
        "": "Succeeded",
        "[0].flip": "Succeeded",
        "[1].heads": "Succeeded",
        "[1].tails": "Skipped",
        "[2].both": "Succeeded",
    }
    assert node(outcome, "[1].tails")["message"] == "when 'heads == tails' evaluated false"
    assert node(outcome, "[2].both")["outputs"]["parameters"] == [{"name": "said", "value": "so: so: a b/skipped"}]
    assert node(outcome, "")["outputs"]["parameters"] == [{"name": "all", "value": "so: so: a b/skipped"}]
    assert log(outcome, node(outcome, "[1].heads")) == "so: a b\n"
    assert node(outcome, "[0].flip")["boundaryID"] == "wf"
    assert node(outcome, "[2].both")["id"] in {child for found in outcome.status["nodes"].values() for child in found.get("children", ())}


def test_the_state_on_the_disk_is_the_status(shapes: Any, run: Any) -> None:
    outcome = run(shapes.workflow(shapes.shell("main", "true")))
    status = json.loads((outcome.folder / "status.json").read_text())
    assert status == json.loads(json.dumps(outcome.status))
    assert sorted(path.name for path in outcome.folder.iterdir()) == ["nodes", "run.json", "status.json", "workflow.yaml"]
    assert outcome.folder.parent.name == "runs"
    assert outcome.folder.name.startswith("wf-")
    assert set(status) >= {"phase", "startedAt", "finishedAt", "nodes"}


def test_one_newline_at_the_end_of_a_result_is_cut_no_more(shapes: Any, run: Any, node: Any) -> None:
    step = {"name": "b", "template": "b", "arguments": shapes.arguments(x="{{steps.a.outputs.result}}")}
    workflow = shapes.workflow(
        shapes.steps("main", [{"name": "a", "template": "a"}], [step]),
        shapes.shell("a", r"printf 'a\\b  \n\n'; echo on the error side >&2", outputs=shapes.output("o", "/tmp/none", default="d\n")),
        shapes.shell("b", "true", inputs=shapes.inputs("x")),
    )
    found = node(run(workflow), "[0].a")["outputs"]
    assert found == {"exitCode": "0", "result": "a\\b  \n", "parameters": [{"name": "o", "value": "d"}]}


def test_a_result_that_nobody_names_is_not_kept(shapes: Any, run: Any, node: Any) -> None:
    outcome = run(shapes.workflow(shapes.steps("main", [{"name": "a", "template": "a"}]), shapes.shell("a", "echo hello")))
    assert node(outcome, "[0].a")["outputs"] == {"exitCode": "0"}


@pytest.mark.parametrize(
    ("command", "phase", "code", "message"),
    [
        ("exit 0", "Succeeded", "0", None),
        ("exit 3", "Failed", "3", "main: Error (exit code 3)"),
        ("kill -KILL $$", "Failed", "137", "main: Error (exit code 137)"),
        ("kill -TERM $$", "Failed", "143", "main: Error (exit code 143)"),
    ],
)
def test_how_a_pod_ends(shapes: Any, run: Any, command: str, phase: str, code: str, message: str | None) -> None:
    outcome = run(shapes.workflow(shapes.shell("main", command)))
    (found,) = outcome.status["nodes"].values()
    assert (found["phase"], found["outputs"]["exitCode"], found.get("message")) == (phase, code, message)
    assert (outcome.phase, outcome.exit_code) == (phase, 0 if phase == "Succeeded" else 1)


def test_an_output_that_nobody_wrote_is_an_error_and_keeps_the_exit_code(shapes: Any, run: Any) -> None:
    outcome = run(shapes.workflow(shapes.shell("main", "true", outputs=shapes.output("o", "/tmp/o"))))
    (found,) = outcome.status["nodes"].values()
    assert (found["phase"], found["outputs"]["exitCode"]) == ("Error", "0")
    assert found["message"].startswith("wait: Error (exit code 64): open ")


def test_a_failed_step_stops_the_steps_after_it_unless_it_may_fail(shapes: Any, run: Any, phases: Any) -> None:
    def workflow(**more: Any) -> dict[str, Any]:
        return shapes.workflow(
            shapes.steps(
                "main", [{"name": "a", "template": "fail", **more}, {"name": "b", "template": "ok"}], [{"name": "c", "template": "ok"}]
            ),
            shapes.shell("fail", "exit 1"),
            shapes.shell("ok", "true"),
        )

    assert phases(run(workflow())) == {"": "Failed", "[0].a": "Failed", "[0].b": "Succeeded"}
    assert phases(run(workflow(continueOn={"failed": True})))["[1].c"] == "Succeeded"


def test_a_diamond_with_depends_and_omitted_tasks(shapes: Any, run: Any, phases: Any) -> None:
    workflow = shapes.workflow(
        shapes.dag(
            "main",
            {"name": "a", "template": "ok"},
            {"name": "b", "template": "fail", "depends": "a"},
            {"name": "c", "template": "ok", "depends": "a"},
            {"name": "d", "template": "ok", "depends": "b.Failed && c.Succeeded"},
            {"name": "e", "template": "ok", "depends": "b.Succeeded"},
            {"name": "f", "template": "ok", "depends": "d"},
        ),
        shapes.shell("ok", "true"),
        shapes.shell("fail", "exit 1"),
    )
    outcome = run(workflow)
    found = phases(outcome)
    assert {name: found[name] for name in "abcdef"} == {
        "a": "Succeeded",
        "b": "Failed",
        "c": "Succeeded",
        "d": "Succeeded",
        "e": "Omitted",
        "f": "Succeeded",
    }
    assert outcome.phase == "Failed", "an omitted target counts as what came before it"


def test_a_dag_runs_only_what_its_target_needs_and_gives_outputs(shapes: Any, run: Any, phases: Any, node: Any) -> None:
    main = shapes.dag(
        "main",
        {"name": "a", "template": "say", "arguments": shapes.arguments(x="1")},
        {"name": "b", "template": "say", "dependencies": ["a"], "arguments": shapes.arguments(x="{{tasks.a.outputs.parameters.o}}2")},
        {"name": "c", "template": "say", "arguments": shapes.arguments(x="3")},
        outputs={"parameters": [{"name": "o", "valueFrom": {"expression": "asInt(tasks.b.outputs.parameters.o) + 1"}}]},
    )
    main["dag"]["target"] = "b"
    say = shapes.shell("say", "printf {{inputs.parameters.x}} > /tmp/o", inputs=shapes.inputs("x"), outputs=shapes.output("o", "/tmp/o"))
    outcome = run(shapes.workflow(main, say))
    assert set(phases(outcome)) == {"", "a", "b"}
    assert node(outcome, "")["outputs"]["parameters"] == [{"name": "o", "value": "13"}]


@pytest.mark.parametrize("kind", ["steps", "dag"])
def test_loops_put_their_outputs_together_in_order(shapes: Any, run: Any, phases: Any, node: Any, kind: str) -> None:
    prefix = "steps" if kind == "steps" else "tasks"
    loop = {"name": "loop", "template": "work", "withSequence": {"count": 4}, "arguments": shapes.arguments(n="{{item}}")}
    after = {
        "name": "after",
        "template": "say",
        "arguments": shapes.arguments(
            r=f"{{{{{prefix}.loop.outputs.result}}}}",
            p=f"{{{{{prefix}.loop.outputs.parameters}}}}",
            o=f"{{{{{prefix}.loop.outputs.parameters.o}}}}",
        ),
    }
    again = {
        "name": "again",
        "template": "id",
        "withParam": f"{{{{{prefix}.loop.outputs.result}}}}",
        "arguments": shapes.arguments(n="{{item.n}}"),
    }
    empty = {"name": "empty", "template": "id", "withParam": "[]", "arguments": shapes.arguments(n="{{item}}")}
    if kind == "steps":
        main = shapes.steps("main", [loop], [after, again, empty])
    else:
        main = shapes.dag("main", loop, *({**task, "dependencies": ["loop"]} for task in (after, again, empty)))
    workflow = shapes.workflow(
        main,
        shapes.shell(
            "work",
            "sleep 0.$((4 - {{inputs.parameters.n}})); echo '{\"n\": {{inputs.parameters.n}}}'; echo {{inputs.parameters.n}} > /tmp/o",
            inputs=shapes.inputs("n"),
            outputs=shapes.output("o", "/tmp/o"),
        ),
        shapes.shell("say", "true", inputs=shapes.inputs("r", "p", "o")),
        shapes.shell("id", "true", inputs=shapes.inputs("n")),
    )
    outcome = run(workflow)
    at = "[1]." if kind == "steps" else ""
    values = {parameter["name"]: parameter["value"] for parameter in node(outcome, f"{at}after")["inputs"]["parameters"]}
    assert values == {
        "r": '[{"n":0},{"n":1},{"n":2},{"n":3}]',
        "p": '[{"o":"0"},{"o":"1"},{"o":"2"},{"o":"3"}]',
        "o": '["0","1","2","3"]',
    }
    found = phases(outcome)
    assert found[f"{at}again(2:n:2)"] == "Succeeded"
    assert found[f"{at}empty"] == "Skipped"
    assert outcome.phase == "Succeeded"


def test_the_result_of_a_loop_that_is_no_json_is_an_error(shapes: Any, run: Any) -> None:
    workflow = shapes.workflow(
        shapes.steps(
            "main",
            [{"name": "loop", "template": "say", "withItems": ["a", "b"]}],
            [{"name": "after", "template": "say", "when": "'{{steps.loop.outputs.result}}' == x"}],
        ),
        shapes.shell("say", "echo no json"),
    )
    outcome = run(workflow)
    assert outcome.phase == "Error"
    assert "JSON" in outcome.status["message"]


def test_retries_end_with_the_attempt_that_succeeds(shapes: Any, run: Any, phases: Any, node: Any, log: Any) -> None:
    command = "echo try {{retries}} after {{lastRetry.exitCode}} {{lastRetry.status}}; test {{retries}} = 2 || exit 3; echo done > /tmp/o"
    strategy = {
        "limit": "{{=asInt(workflow.parameters['A']) + asInt(workflow.parameters['B'])}}",
        "retryPolicy": "Always",
        "expression": "lastRetry.exitCode == '3'",
        "backoff": {"duration": "0"},
    }
    workflow = shapes.workflow(
        shapes.steps("main", [{"name": "a", "template": "try"}], [{"name": "b", "template": "use"}]),
        shapes.shell("try", command, retryStrategy=strategy, outputs=shapes.output("o", "/tmp/o", default="none")),
        shapes.shell("use", "true"),
        arguments=shapes.arguments(A="1", B="2"),
    )
    outcome = run(workflow)
    assert phases(outcome) == {
        "": "Succeeded",
        "[0].a": "Succeeded",
        "[0].a(0)": "Failed",
        "[0].a(1)": "Failed",
        "[0].a(2)": "Succeeded",
        "[1].b": "Succeeded",
    }
    assert node(outcome, "[0].a")["type"] == "Retry"
    assert node(outcome, "[0].a")["outputs"] == {"exitCode": "0", "parameters": [{"name": "o", "value": "done"}]}
    assert [log(outcome, node(outcome, f"[0].a({n})")) for n in range(3)] == [
        "try 0 after 0\n",
        "try 1 after 3 Failed\n",
        "try 2 after 3 Failed\n",
    ]


def test_retries_end_at_their_limit_with_the_last_phase(shapes: Any, run: Any, phases: Any) -> None:
    outcome = run(shapes.workflow(shapes.shell("main", "exit 7", retryStrategy={"limit": 1})))
    assert phases(outcome) == {"": "Failed", "(0)": "Failed", "(1)": "Failed"}
    assert outcome.status["message"] == "No more retries left"


def test_a_steps_template_is_retried_as_a_whole(shapes: Any, run: Any, phases: Any, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    workflow = shapes.workflow(
        shapes.steps("main", [{"name": "a", "template": "flaky"}], retryStrategy={"limit": 2, "expression": "lastRetry.exitCode == '-1'"}),
        shapes.shell("flaky", "test -e {{workflow.parameters.mark}} || { touch {{workflow.parameters.mark}}; exit 1; }"),
        arguments=shapes.arguments(mark=""),
    )
    found = phases(run(workflow, parameters={"mark": str(mark)}))
    assert (found[""], found["(0)"], found["(1)"]) == ("Succeeded", "Failed", "Succeeded")


def test_the_exit_handler_knows_how_it_went(shapes: Any, run: Any, node: Any, log: Any) -> None:
    workflow = shapes.workflow(
        shapes.shell("main", "exit 5"),
        shapes.shell("bye", "cat <<'END'\n{{workflow.status}} {{workflow.name}} {{workflow.failures}}\nEND"),
        onExit="bye",
    )
    outcome = run(workflow)
    assert (outcome.phase, outcome.status["message"]) == ("Failed", "main: Error (exit code 5)")
    text = log(outcome, node(outcome, "onExit"))
    assert text.startswith("Failed wf ")
    failures = json.loads(json.loads(text.split(" ", 2)[2]))
    assert [(failure["displayName"], failure["phase"]) for failure in failures] == [("wf", "Failed")]


def test_a_failing_exit_handler_fails_a_workflow_that_succeeded(shapes: Any, run: Any) -> None:
    outcome = run(shapes.workflow(shapes.shell("main", "true"), shapes.shell("bye", "exit 1"), onExit="bye"))
    assert (outcome.phase, outcome.status["message"]) == ("Failed", "main: Error (exit code 1)")


@pytest.mark.parametrize("kind", ["steps", "dag"])
def test_a_step_s_own_exit_handler_gets_its_outputs(shapes: Any, run: Any, node: Any, kind: str) -> None:
    prefix = "steps" if kind == "steps" else "tasks"
    hook = {"template": "bye", "arguments": shapes.arguments(o=f"{{{{{prefix}.a.outputs.parameters.o}}}} {{{{{prefix}.a.status}}}}")}
    step = {"name": "a", "template": "say", "hooks": {"exit": hook}}
    main = shapes.steps("main", [step]) if kind == "steps" else shapes.dag("main", step)
    workflow = shapes.workflow(
        main,
        shapes.shell("say", "echo hi > /tmp/o; exit 1", outputs=shapes.output("o", "/tmp/o")),
        shapes.shell("bye", "true", inputs=shapes.inputs("o")),
    )
    outcome = run(workflow)
    name = "[0].a.onExit" if kind == "steps" else "a.onExit"
    assert node(outcome, name)["inputs"]["parameters"] == [{"name": "o", "value": "hi Failed"}]
    assert outcome.phase == "Failed"


def test_recursion_ends_by_a_condition_and_by_its_limit(shapes: Any, run: Any, phases: Any) -> None:
    def workflow(condition: str) -> dict[str, Any]:
        step = {
            "name": "next",
            "template": "main",
            "when": condition,
            "arguments": shapes.arguments(n="{{=asInt(inputs.parameters.n) + 1}}"),
        }
        return shapes.workflow(
            shapes.steps("main", [{"name": "pod", "template": "ok"}], [step], inputs=shapes.inputs("n")),
            shapes.shell("ok", "true"),
            arguments=shapes.arguments(n="0"),
        )

    outcome = run(workflow("{{inputs.parameters.n}} < 3"))
    assert outcome.phase == "Succeeded"
    assert sum(name.endswith(".pod") for name in phases(outcome)) == 4
    deep = run(workflow("1 == 1"))
    assert deep.phase == "Failed"
    assert any("recursion depth" in found.get("message", "") for found in deep.status["nodes"].values())


def test_parallelism_of_workflow_and_template(shapes: Any, run: Any, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    command = "cd {{workflow.parameters.marks}}; touch $$; ls | wc -l; sleep 0.2; rm $$"
    for more_template, more_spec in (({"parallelism": 2}, {}), ({}, {"parallelism": 2})):
        workflow = shapes.workflow(
            shapes.steps(
                "main",
                [{"name": "a", "template": "pod", "withSequence": {"count": 6}}],
                [{"name": "z", "template": "use"}],
                **more_template,
            ),
            shapes.shell("pod", command),
            shapes.shell("use", "true"),
            arguments=shapes.arguments(marks=""),
            **more_spec,
        )
        workflow["spec"]["templates"][0]["steps"][1][0]["when"] = "'{{steps.a.outputs.result}}' != ''"
        outcome = run(workflow, parameters={"marks": str(marks)})
        counts = [int(found["outputs"]["result"]) for found in outcome.status["nodes"].values() if "result" in found.get("outputs", {})]
        assert len(counts) == 6
        assert max(counts) == 2


def test_fail_fast_starts_no_more(shapes: Any, run: Any, phases: Any) -> None:
    loop = {"name": "a", "template": "pod", "withItems": [0, 1, 0], "arguments": shapes.arguments(code="{{item}}")}
    workflow = shapes.workflow(
        shapes.steps("main", [loop], parallelism=1, failFast=True),
        shapes.shell("pod", "exit {{inputs.parameters.code}}", inputs=shapes.inputs("code")),
    )
    outcome = run(workflow)
    assert phases(outcome) == {"": "Failed", "[0].a(0:0)": "Succeeded", "[0].a(1:1)": "Failed"}
    assert outcome.status["message"] == "template has failed or errored children and failFast enabled"


@pytest.mark.parametrize(
    ("template", "spec", "message"),
    [
        ({"activeDeadlineSeconds": 1}, {}, "Pod was active on the node longer than the specified deadline"),
        ({"timeout": "1s"}, {}, "Pod was active on the node longer than the specified deadline"),
        ({}, {"activeDeadlineSeconds": 1}, "Pod was active on the node longer than the specified deadline"),
        ({"retryStrategy": {"limit": 3, "backoff": {"duration": "1s", "maxDuration": "1s"}}}, {"activeDeadlineSeconds": 1}, None),
    ],
)
def test_deadlines(shapes: Any, run: Any, template: dict[str, Any], spec: dict[str, Any], message: str | None) -> None:
    outcome = run(
        shapes.workflow(shapes.shell("main", "sleep 60 & sleep 60", **template), shapes.shell("bye", "true"), onExit="bye", **spec)
    )
    assert outcome.phase == "Failed"
    if message:
        assert outcome.status["message"] == message
    assert any(found["name"] == "wf.onExit" and found["phase"] == "Succeeded" for found in outcome.status["nodes"].values())


def test_a_pod_s_leftovers_end_with_it(shapes: Any, run: Any, running: Any, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    command = "sleep 300 & echo $! > {{workflow.parameters.pid}}"
    workflow = shapes.workflow(shapes.shell("main", command), arguments=shapes.arguments(pid=""))
    assert run(workflow, parameters={"pid": str(pid)}).phase == "Succeeded"
    assert not running(int(pid.read_text()))


def test_waiting_for_a_time(shapes: Any, run: Any, node: Any) -> None:
    wait = {
        "name": "wait",
        "suspend": {"duration": 0},
        "outputs": {"parameters": [{"name": "o", "valueFrom": {"supplied": {}, "default": "d"}}]},
    }
    outcome = run(shapes.workflow(shapes.steps("main", [{"name": "w", "template": "wait"}]), wait))
    assert (node(outcome, "[0].w")["type"], node(outcome, "[0].w")["outputs"]) == ("Suspend", {"parameters": [{"name": "o", "value": "d"}]})


def test_global_variables_and_global_outputs(shapes: Any, run: Any, node: Any, log: Any) -> None:
    workflow = shapes.workflow(
        shapes.steps("main", [{"name": "a", "template": "make"}], [{"name": "b", "template": "use"}]),
        shapes.shell(
            "make", "echo made > /tmp/o", outputs={"parameters": [{"name": "o", "valueFrom": {"path": "/tmp/o"}, "globalName": "shared"}]}
        ),
        shapes.shell(
            "use",
            "echo '{{workflow.outputs.parameters.shared}} {{workflow.parameters.P}} {{workflow.parameters}} {{workflow.labels.l}} "
            "{{workflow.mainEntrypoint}} {{node.name}} {{steps.name}} {{pod.name}} {{workflow.uid}}'",
        ),
        arguments=shapes.arguments(P=1.5),
    )
    workflow["metadata"]["labels"] = {"l": "lab"}
    outcome = run(workflow, parameters={"P": "given"})
    words = log(outcome, node(outcome, "[1].b")).split()
    assert words[:2] == ["made", "given"]
    assert json.loads(words[2]) == [{"name": "P", "value": "given"}]
    assert words[3:7] == ["lab", "main", "wf[1].b", "b"]
    assert words[7].startswith("wf-use-")
    assert words[8] == json.loads((outcome.folder / "run.json").read_text())["uid"] == outcome.uid
    assert outcome.status["outputs"]["parameters"] == [{"name": "shared", "value": "made"}]


def test_scripts_environment_and_references(shapes: Any, run: Any, log: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_CALLER", "inherited")
    script = {
        "image": "none",
        "command": ["python"],
        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)2$$(A)$(UNKNOWN)"}],
        "source": "import os, sys\nprint(sys.executable, os.environ['B'], os.environ['FROM_CALLER'], '{{workflow.name}}', os.getcwd())",
    }
    outcome = run(shapes.workflow({"name": "main", "script": script}))
    (found,) = outcome.status["nodes"].values()
    python, b, inherited, name, folder = log(outcome, found).split()
    assert Path(python).parent == Path(sys.executable).parent
    assert (b, inherited, name) == ("12$(A)$(UNKNOWN)", "inherited", "wf")
    assert folder == "/"


def test_volumes_are_folders(shapes: Any, run: Any, tmp_path: Path) -> None:
    def pod(name: str, command: str) -> dict[str, Any]:
        template = shapes.shell(name, command)
        mounts = {"claim": "/data", "scratch": "/scratch", "own": "/own"}
        template["container"]["volumeMounts"] = [{"name": volume, "mountPath": path} for volume, path in mounts.items()]
        template["container"]["workingDir"] = "/code"
        return template

    given, code = tmp_path / "given", tmp_path / "code"
    given.mkdir()
    code.mkdir()
    workflow = shapes.workflow(
        shapes.steps("main", [{"name": "a", "template": "write"}], [{"name": "b", "template": "read"}]),
        pod("write", "echo x > /data/x; echo y > /scratch/y; echo z > /own/z; pwd > /data/pwd"),
        pod("read", "cat /data/x /own/z && test ! -e /scratch/y"),
        volumes=[
            {"name": "claim", "persistentVolumeClaim": {"claimName": "c"}},
            {"name": "scratch", "emptyDir": {}},
            {"name": "own", "persistentVolumeClaim": {"claimName": "unknown"}},
        ],
    )
    outcome = run(workflow, volumes={"c": given}, paths={"/code": code})
    assert outcome.phase == "Succeeded"
    assert (given / "x").read_text() == "x\n"
    assert (given / "pwd").read_text() == "/code\n"
    assert (outcome.folder / "volumes" / "unknown" / "z").exists()


def test_values_from_outside_are_paths_of_this_machine(shapes: Any, run: Any, log: Any, tmp_path: Path) -> None:
    workflow = shapes.workflow(
        shapes.shell("main", "echo {{workflow.parameters.given}} {{workflow.parameters.own}}"),
        arguments=shapes.arguments(given="/code/x", own="/code/y"),
    )
    outcome = run(workflow, parameters={"given": "/code/z"}, paths={"/code": tmp_path}, path_means="rewrite")
    (found,) = outcome.status["nodes"].values()
    assert log(outcome, found) == f"/code/z {tmp_path}/y\n"


def test_artifacts_are_handed_on(shapes: Any, run: Any, node: Any, log: Any) -> None:
    make = shapes.shell(
        "make",
        "mkdir -p /tmp/folder/in; echo deep > /tmp/folder/in/f; echo flat > /tmp/file",
        outputs={
            "artifacts": [
                {"name": "folder", "path": "/tmp/folder"},
                {"name": "file", "path": "/tmp/file"},
                {"name": "gone", "path": "/tmp/gone", "optional": True},
            ]
        },
    )
    use = shapes.shell(
        "use",
        "cat {{inputs.artifacts.folder.path}}/in/f /in/file /in/raw; test ! -e /in/gone; test -x /in/raw",
        inputs={
            "artifacts": [
                {"name": "folder", "path": "/in/folder"},
                {"name": "file", "path": "/in/file"},
                {"name": "gone", "path": "/in/gone", "optional": True},
                {"name": "raw", "path": "/in/raw", "raw": {"data": "written out\n"}, "mode": 0o755},
            ]
        },
    )
    arguments = {
        "artifacts": [
            {"name": name, "from": f"{{{{steps.a.outputs.artifacts.{name}}}}}", **({"optional": True} if name == "gone" else {})}
            for name in ("folder", "file", "gone")
        ]
    }
    outcome = run(
        shapes.workflow(
            shapes.steps("main", [{"name": "a", "template": "make"}], [{"name": "b", "template": "use", "arguments": arguments}]), make, use
        )
    )
    assert outcome.phase == "Succeeded", outcome.status
    assert log(outcome, node(outcome, "[1].b")) == "deep\nflat\nwritten out\n"


def test_templates_take_defaults_and_may_be_written_in_place(shapes: Any, run: Any, node: Any, log: Any) -> None:
    inline = {"container": {"image": "none", "command": ["sh", "-c"], "args": ["echo $WHO"]}}
    workflow = shapes.workflow(
        shapes.steps("main", [{"name": "a", "inline": inline}, {"name": "b", "template": "own"}]),
        shapes.shell("own", "echo $WHO"),
        templateDefaults={"container": {"env": [{"name": "WHO", "value": "default"}]}},
    )
    workflow["spec"]["templates"][1]["container"]["env"] = [{"name": "WHO", "value": "own"}]
    outcome = run(workflow)
    assert [log(outcome, node(outcome, f"[0].{name}")) for name in "ab"] == ["default\n", "own\n"]


@pytest.mark.parametrize(
    ("step", "phase", "message"),
    [
        ({"when": "{{steps.a.outputs.parameters.o}} == x"}, "Error", "put texts in quotes"),
        ({"withParam": "{{steps.a.outputs.parameters.o}}"}, "Error", "JSON list"),
        ({"arguments": {"parameters": [{"name": "x", "value": "{{=asInt(steps.a.outputs.parameters.o)}}"}]}}, "Error", "whole number"),
    ],
)
def test_what_cannot_be_evaluated_ends_in_error(shapes: Any, run: Any, step: dict[str, Any], phase: str, message: str) -> None:
    workflow = shapes.workflow(
        shapes.steps("main", [{"name": "a", "template": "make"}], [{"name": "b", "template": "use", **step}]),
        shapes.shell("make", "echo no number > /tmp/o", outputs=shapes.output("o", "/tmp/o")),
        shapes.shell("use", "true", inputs=shapes.inputs(x="")),
    )
    outcome = run(workflow)
    group = next(found for found in outcome.status["nodes"].values() if found["name"] == "wf[1]")
    assert (outcome.phase, group["phase"]) == ("Failed", phase)
    assert message in outcome.status["message"]


def test_a_skipped_output_without_a_default_is_an_error_and_with_one_is_not(shapes: Any, run: Any, node: Any) -> None:
    def workflow(**default: str) -> dict[str, Any]:
        return shapes.workflow(
            shapes.dag(
                "main",
                {"name": "a", "template": "make", "when": "1 == 2"},
                {
                    "name": "b",
                    "template": "use",
                    "dependencies": ["a"],
                    "arguments": shapes.arguments(x="{{tasks.a.outputs.parameters.o}}"),
                },
            ),
            shapes.shell("make", "true", outputs=shapes.output("o", "/tmp/o", **default)),
            shapes.shell("use", "true", inputs=shapes.inputs("x")),
        )

    assert node(run(workflow(default="d")), "b")["inputs"]["parameters"][0]["value"] == "d"
    outcome = run(workflow())
    assert outcome.phase == "Error"
    assert "no default" in node(outcome, "b")["message"]
