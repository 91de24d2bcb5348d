"""Daemon containers: ready before the steps after them, gone with the steps that they are part of."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines import local

ASK = "curl -sf http://{{inputs.parameters.ip}}:PORT/ | head -1"
ROOT = Path(__file__).parents[3]


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _server(port: int, probe: dict[str, Any], **more: Any) -> dict[str, Any]:
    command = ["python", "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    return {"name": "server", "daemon": True, "container": {"command": command, "readinessProbe": probe}, **more}


def _asking(
    shapes: Any, caller: str, server: dict[str, Any], port: int, command: str = "curl -sf http://{{inputs.parameters.ip}}:PORT/ | head -1"
) -> Any:
    prefix = "steps" if caller == "steps" else "tasks"
    first = {"name": "up", "template": "server"}
    then = {"name": "ask", "template": "ask", "arguments": shapes.arguments(ip=f"{{{{{prefix}.up.ip}}}}")}
    inner = shapes.steps("inner", [first], [then]) if caller == "steps" else shapes.dag("inner", first, {**then, "depends": "up"})
    ask = shapes.shell("ask", command.replace("PORT", str(port)), inputs=shapes.inputs("ip"))
    after = shapes.shell("after", f"! curl -s http://127.0.0.1:{port}/")
    main = shapes.steps("main", [{"name": "in", "template": "inner"}], [{"name": "after", "template": "after"}])
    return shapes.workflow(main, inner, server, ask, after)


@pytest.mark.parametrize("caller", ["steps", "dag"])
@pytest.mark.parametrize("kind", ["httpGet", "tcpSocket"])
def test_a_daemon_serves_the_steps_after_it_and_ends_with_them(
    shapes: Any, run: Any, node: Any, log: Any, port: int, caller: str, kind: str
) -> None:
    outcome = run(_asking(shapes, caller, _server(port, {kind: {"port": port, **({"path": "/"} if kind == "httpGet" else {})}}), port))
    first, then = ("[0].in[0].up", "[0].in[1].ask") if caller == "steps" else ("[0].in.up", "[0].in.ask")
    assert outcome.phase == "Succeeded"
    assert log(outcome, node(outcome, then)).startswith("<!DOCTYPE")
    assert (node(outcome, first)["phase"], node(outcome, first)["podIP"], "daemoned" in node(outcome, first)) == (
        "Succeeded",
        "127.0.0.1",
        False,
    )


def test_a_daemon_with_retries(shapes: Any, run: Any, phases: Any, port: int) -> None:
    server = _server(port, {"tcpSocket": {"port": port}}, retryStrategy={"limit": 2})
    found = phases(run(_asking(shapes, "steps", server, port)))
    assert (found["[0].in[0].up"], found["[0].in[0].up(0)"], found[""]) == ("Succeeded", "Succeeded", "Succeeded")


@pytest.mark.parametrize(("command", "message"), [("exit 0", None), ("exit 3", "main: Error (exit code 3)")])
def test_a_daemon_that_ends_before_it_is_ready_has_failed(shapes: Any, run: Any, node: Any, command: str, message: str | None) -> None:
    server = {
        "name": "server",
        "daemon": True,
        "container": {"command": ["sh", "-c", command], "readinessProbe": {"tcpSocket": {"port": 1}}},
    }
    found = node(run(_asking(shapes, "steps", server, 1)), "[0].in[0].up")
    assert (found["phase"], found.get("message")) == ("Failed", message)


def _dying(shapes: Any, caller: str) -> dict[str, Any]:
    """A daemon that ends with 3 while the step after it runs."""
    daemon = {**shapes.shell("server", "until [ -e $MARK ]; do sleep 0.05; done; exit 3"), "daemon": True}
    slow = shapes.shell("slow", "touch $MARK; sleep 1")
    first, a, b = ({"name": name, "template": template} for name, template in (("d", "server"), ("a", "slow"), ("b", "ok")))
    more = [{"name": "c", "template": "ok", "depends": "a && d"}, {"name": "e", "template": "ok", "depends": "a && d.Failed"}]
    graph = shapes.dag("main", first, {**a, "depends": "d"}, {**b, "depends": "a"}, *more)
    main = shapes.steps("main", [first], [a], [b]) if caller == "steps" else graph
    flow: dict[str, Any] = shapes.workflow(main, daemon, slow, shapes.shell("ok", "true"))
    return flow


@pytest.mark.parametrize("caller", ["steps", "dag"])
def test_what_a_daemon_that_dies_later_makes_of_its_steps(
    shapes: Any, run: Any, node: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caller: str
) -> None:
    """As seen on the controller: steps fail at once, with what runs going on to its end; a DAG goes on as its conditions say."""
    monkeypatch.setenv("MARK", str(tmp_path / "mark"))
    outcome = run(_dying(shapes, caller))
    told = {one["name"].removeprefix("wf").lstrip("."): one["phase"] for one in outcome.status["nodes"].values()}
    if caller == "dag":
        assert told == {"": "Failed", "d": "Failed", "a": "Succeeded", "b": "Succeeded", "c": "Omitted", "e": "Succeeded"}
        return
    assert told == {"": "Failed", "[0]": "Failed", "[0].d": "Failed", "[1]": "Running", "[1].a": "Succeeded"}
    daemon = node(outcome, "[0].d")
    assert (daemon["message"], outcome.status["message"]) == ("main: Error (exit code 3)", f"child '{daemon['id']}' failed")


def test_a_probe_that_cannot_be_asked_is_refused(shapes: Any) -> None:
    for probe in ({"exec": {"command": ["true"]}}, {"httpGet": {"port": "web"}}):
        told = [str(problem) for problem in local.problems(shapes.workflow(_server(1, probe)))]
        assert told == [
            "spec.templates[0].container.readinessProbe: of a daemon, only httpGet and tcpSocket with a number as port can be asked"
        ]


def test_an_interrupted_run_stops_its_daemon_and_starts_it_again(shapes: Any, tmp_path: Path, port: int) -> None:
    once = 'test -e "$MARK" || { touch "$MARK"; sleep 600; }; curl -sf http://127.0.0.1:PORT/'
    environment = {**os.environ, "MARK": str(tmp_path / "mark")}
    flow = _asking(shapes, "steps", _server(port, {"tcpSocket": {"port": port}}), port, once)
    (tmp_path / "flow.yaml").write_text(yaml.safe_dump(flow))
    command = [
        sys.executable,
        "-m",
        "pipelines",
        "run",
        str(tmp_path / "flow.yaml"),
        "--workspace",
        str(tmp_path / "w"),
        "--paths",
        "rewrite",
    ]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE) as first:
        until = time.monotonic() + 60
        while not (tmp_path / "mark").exists() and time.monotonic() < until:
            time.sleep(0.05)
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=60)
    assert first.returncode == 130
    with socket.socket() as asking:
        assert asking.connect_ex(("127.0.0.1", port)) != 0
    second = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert second.returncode == 0, second.stderr
