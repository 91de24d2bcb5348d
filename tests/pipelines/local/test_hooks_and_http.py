"""Lifecycle hooks with expressions, and HTTP templates against a real server."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


class _Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer(b"hello " + self.headers.get("X-Key", "nobody").encode())

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body: bytes) -> None:
        self.send_response(int(self.path.strip("/")))
        self.send_header("x-kind", "test")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Server) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


SECRET = {"kind": "Secret", "metadata": {"name": "secret"}, "stringData": {"key": "friend"}}


@pytest.mark.parametrize(
    ("request_", "phase", "message", "result"),
    [
        ({"url": "/200"}, "Succeeded", None, "hello nobody"),
        ({"url": "/404"}, "Failed", "received non-2xx response code: 404", "hello nobody"),
        ({"url": "/201", "successCondition": "response.statusCode == 201"}, "Succeeded", None, "hello nobody"),
        ({"url": "/404", "successCondition": "response.headers['X-Kind'][0] == 'test'"}, "Succeeded", None, "hello nobody"),
        ({"url": "/200", "successCondition": "1 == 2"}, "Failed", "successCondition '1 == 2' evaluated false", None),
        ({"url": "/200", "method": "POST", "body": "sent"}, "Succeeded", None, "sent"),
        ({"url": "/200", "timeoutSeconds": 20, "insecureSkipVerify": True}, "Succeeded", None, "hello nobody"),
        ({"url": "/200", "method": "POST", "bodyFrom": {"bytes": "c2VudA=="}}, "Succeeded", None, "sent"),
        ({"url": "/200", "headers": [{"name": "x-key", "value": "me"}]}, "Succeeded", None, "hello me"),
        (
            {"url": "/200", "headers": [{"name": "x-key", "valueFrom": {"secretKeyRef": {"name": "secret", "key": "key"}}}]},
            "Succeeded",
            None,
            "hello friend",
        ),
    ],
)
def test_an_http_template_is_judged_by_its_answer(
    shapes: Any, run: Any, node: Any, server: str, request_: dict[str, Any], phase: str, message: str | None, result: str | None
) -> None:
    flow = shapes.workflow({"name": "main", "http": {**request_, "url": server + request_["url"]}})
    found = node(run(flow, objects=[SECRET]), "")
    assert (found["type"], found["phase"], found.get("message")) == ("HTTP", phase, message)
    assert result is None or found["outputs"]["result"] == result


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "file:///etc/passwd"])
def test_no_answer_is_an_error(shapes: Any, run: Any, node: Any, url: str) -> None:
    found = node(run(shapes.workflow({"name": "main", "http": {"url": url}})), "")
    assert (found["phase"], found["message"].startswith(f"GET {url}: ")) == ("Error", True)


def _hook(expression: str, **more: Any) -> dict[str, Any]:
    return {"template": "say", "expression": expression, **more}


@pytest.mark.parametrize("caller", ["steps", "dag"])
def test_hooks_run_once_when_their_expression_comes_true(shapes: Any, run: Any, node: Any, phases: Any, caller: str) -> None:
    prefix, name = ("steps", "[0].") if caller == "steps" else ("tasks", "")
    hooks = {
        "running": _hook(f"{prefix}['a-b'].status == 'Running'"),
        "always": _hook("true"),
        "failed": _hook(f"{prefix}['a-b'].status == 'Failed'", arguments=shapes.arguments(x=f"{{{{{prefix}.a-b.outputs.parameters.o}}}}")),
        "success": _hook(f"{prefix}['a-b'].status == 'Succeeded'"),
        # With an exit handler, Argo lets the other hooks of a step name its outputs too.
        "exit": {"template": "say"},
    }
    one = {"name": "a-b", "template": "work", "hooks": hooks, "continueOn": {"failed": True}}
    main = shapes.steps("main", [one]) if caller == "steps" else shapes.dag("main", one)
    work = shapes.shell("work", "sleep 0.2; echo left > /tmp/o; exit 3", outputs=shapes.output("o", "/tmp/o"))
    outcome = run(shapes.workflow(main, work, shapes.shell("say", "echo {{inputs.parameters.x}}", inputs=shapes.inputs(x="none"))))
    assert phases(outcome) == {
        "": "Succeeded",
        f"{name}a-b": "Failed",
        **{f"{name}a-b.hooks.{hook}": "Succeeded" for hook in ("running", "always", "failed")},
        f"{name}a-b.onExit": "Succeeded",
    }
    failed = node(outcome, f"{name}a-b.hooks.failed")
    assert failed["inputs"]["parameters"][0]["value"] == "left"
    assert failed["nodeFlag"] == {"hooked": True}
    assert failed["id"] in node(outcome, f"{name}a-b")["children"]


def test_hooks_of_the_workflow(shapes: Any, run: Any, node: Any, phases: Any) -> None:
    hooks = {
        "exit": {"template": "say"},
        "running": _hook("workflow.status == 'Running'"),
        "failed": _hook("workflow.status == 'Failed'"),
    }
    say = shapes.shell("say", "echo {{workflow.status}}")
    outcome = run(shapes.workflow(shapes.steps("main", [{"name": "a", "template": "ok"}]), shapes.shell("ok", "true"), say, hooks=hooks))
    assert phases(outcome) == dict.fromkeys(["", "[0].a", "hooks.running", "onExit"], "Succeeded")


def test_a_hook_runs_when_an_output_of_a_later_step_makes_it_true(
    shapes: Any, run: Any, phases: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The slow step ends only when a hook has run, which it does while the step runs."""
    monkeypatch.setenv("MARK", str(tmp_path / "mark"))
    left = shapes.shell(
        "left", "echo 1 > /out/g", outputs={"parameters": [{"name": "g", "globalName": "g", "valueFrom": {"path": "/out/g"}}]}
    )
    waits = {"name": "b", "template": "slow", "hooks": {"g": _hook("workflow.outputs?.parameters?.g == '1'")}}
    flow = shapes.workflow(
        shapes.steps("main", [{"name": "a", "template": "say"}], [waits, {"name": "c", "template": "left"}]),
        left,
        shapes.shell("slow", "until [ -e $MARK ]; do sleep 0.05; done"),
        shapes.shell("say", "touch $MARK"),
        hooks={"g": _hook("workflow.outputs?.parameters?.g == '1'"), "never": _hook("workflow.status == 'Failed'")},
    )
    flow["spec"]["templates"][0]["steps"][0][0]["template"] = "ok"
    flow["spec"]["templates"].append(shapes.shell("ok", "true"))
    outcome = run(flow)
    assert phases(outcome) == dict.fromkeys(["", "[0].a", "[1].b", "[1].c", "hooks.g", "[1].b.hooks.g"], "Succeeded")


def test_the_failure_of_a_hook_is_not_its_node_s(shapes: Any, run: Any, phases: Any) -> None:
    step = {"name": "a", "template": "ok", "hooks": {"bad": {"template": "bad", "expression": "true"}}}
    outcome = run(shapes.workflow(shapes.steps("main", [step]), shapes.shell("ok", "true"), shapes.shell("bad", "exit 1")))
    assert phases(outcome) == {"": "Succeeded", "[0].a": "Succeeded", "[0].a.hooks.bad": "Failed"}


def test_a_hook_of_the_workflow_that_cannot_be_evaluated_ends_it_in_error(shapes: Any, run: Any, node: Any, phases: Any) -> None:
    flow = shapes.workflow(
        shapes.shell("main", "true"), shapes.shell("say", "true"), onExit="say", hooks={"bad": _hook("workflow.no.x == 1")}
    )
    outcome = run(flow)
    assert (outcome.phase, phases(outcome)) == ("Error", {"": "Error", "onExit": "Succeeded"})
    assert outcome.status["message"] == node(outcome, "")["message"]
