"""Small workflows of shell commands, and runs of them in a folder of the test's own."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines import local

Template = dict[str, Any]


class Shapes:
    """Builds the parts of a workflow."""

    @staticmethod
    def shell(name: str, command: str, **more: Any) -> Template:
        """A container that runs a shell command."""
        return {"name": name, "container": {"image": "none", "command": ["sh", "-c"], "args": [command]}, **more}

    @staticmethod
    def inputs(*names: str, **defaults: str) -> dict[str, Any]:
        """Input parameters."""
        rows = [{"name": name} for name in names]
        return {"parameters": rows + [{"name": name, "default": value} for name, value in defaults.items()]}

    @staticmethod
    def arguments(**values: Any) -> dict[str, Any]:
        """Arguments of a step or a task; _ in a name stands for -."""
        return {"parameters": [{"name": name.replace("_", "-"), "value": value} for name, value in values.items()]}

    @staticmethod
    def output(name: str, path: str, **more: Any) -> dict[str, Any]:
        """One output parameter, read from a file."""
        return {"parameters": [{"name": name, "valueFrom": {"path": path, **more}}]}

    @staticmethod
    def steps(name: str, *groups: list[dict[str, Any]], **more: Any) -> Template:
        """A steps template."""
        return {"name": name, "steps": list(groups), **more}

    @staticmethod
    def dag(name: str, *tasks: dict[str, Any], **more: Any) -> Template:
        """A DAG template."""
        return {"name": name, "dag": {"tasks": list(tasks)}, **more}

    @staticmethod
    def workflow(*templates: Template, **spec: Any) -> dict[str, Any]:
        """A workflow that begins with the first template."""
        full = {"entrypoint": templates[0]["name"], "templates": list(templates), **spec}
        return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "wf"}, "spec": full}


@pytest.fixture
def shapes() -> type[Shapes]:
    return Shapes


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., local.Run]:
    """Runs a workflow in the test's own workspace; its steps may write the test's own folder."""

    def run_it(workflow: dict[str, Any], **options: Any) -> local.Run:
        own = {"workspace": tmp_path / "workspace", "display": local.Quiet(), "paths": {str(tmp_path): tmp_path}}
        return local.run(workflow, **{**own, **options})

    return run_it


@pytest.fixture
def phases() -> Callable[[local.Run], dict[str, str]]:
    """The phases of a run's nodes by their names, without the workflow's own name in front."""

    def phases_of(outcome: local.Run) -> dict[str, str]:
        return {
            node["name"].removeprefix("wf").lstrip("."): node["phase"]
            for node in outcome.status["nodes"].values()
            if node["type"] != "StepGroup"
        }

    return phases_of


@pytest.fixture
def node() -> Callable[[local.Run, str], dict[str, Any]]:
    """One node of a run by its name, without the workflow's own name in front."""

    def node_of(outcome: local.Run, name: str) -> dict[str, Any]:
        return next(node for node in outcome.status["nodes"].values() if node["name"].removeprefix("wf").lstrip(".") == name)

    return node_of


@pytest.fixture
def log() -> Callable[[local.Run, dict[str, Any]], str]:
    """The log of a node."""
    return lambda outcome, found: (outcome.folder / "nodes" / found["id"] / "main.log").read_text()


@pytest.fixture
def running() -> Callable[[int], bool]:
    """Whether a process still runs a moment from now (one that has ended may wait to be reaped)."""

    def is_running(pid: int) -> bool:
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            try:
                state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            except (FileNotFoundError, ProcessLookupError):
                return False
            if state == "Z":
                return False
            time.sleep(0.05)
        return True

    return is_running
