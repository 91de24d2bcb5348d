"""Artifacts that come from elsewhere, go under a key, or are chosen by an expression."""

from __future__ import annotations

import functools
import http.server
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """A server of a text, a tar with one folder, a tar with two files, and a zip."""
    root = tmp_path / "site"
    (root / "folder").mkdir(parents=True)
    for name in ("text", "folder/a", "folder/b"):
        (root / name).write_text(f"{name}\n")
    with tarfile.open(root / "one.tgz", "w:gz") as packed:
        packed.add(root / "folder", "folder")
    with tarfile.open(root / "two.tar", "w") as packed:
        packed.add(root / "folder" / "a", "a")
        packed.add(root / "folder" / "b", "b")
    with tarfile.open(root / "evil.tar", "w") as packed:
        packed.add(root / "text", "../../escaped")
    with zipfile.ZipFile(root / "z.zip", "w") as zipped:
        zipped.write(root / "text", "text")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(root))) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def _reading(shapes: Any, artifact: dict[str, Any], command: str) -> dict[str, Any]:
    main = shapes.shell("main", command, inputs={"artifacts": [{"name": "f", "path": "/in/f", **artifact}]})
    flow: dict[str, Any] = shapes.workflow(main)
    return flow


@pytest.mark.parametrize(
    ("path", "more", "command", "expected"),
    [
        ("text", {"mode": 0o755}, "cat /in/f; [ -x /in/f ] && echo x", "text\nx\n"),
        ("one.tgz", {}, "ls /in/f", "a\nb\n"),
        ("two.tar", {}, "ls /in/f", "a\nb\n"),
        ("two.tar", {"archive": {"none": {}}}, "tar -tf /in/f", "a\nb\n"),
        ("z.zip", {"archive": {"zip": {}}}, "cat /in/f", "text\n"),
    ],
)
def test_an_artifact_is_downloaded(
    shapes: Any, run: Any, node: Any, log: Any, site: str, path: str, more: dict[str, Any], command: str, expected: str
) -> None:
    outcome = run(_reading(shapes, {"http": {"url": f"{site}/{path}"}, **more}, command))
    assert log(outcome, node(outcome, "")) == expected


@pytest.mark.parametrize(
    ("artifact", "expected"),
    [
        ({"http": {"url": "SITE/nothing"}}, "GET SITE/nothing: the server answers 404"),
        ({"http": {"url": "SITE/evil.tar"}}, "inputs.artifacts.f: SITE/evil.tar cannot be unpacked: "),
        ({"http": {"url": "SITE/text"}, "archive": {"zip": {}}}, "inputs.artifacts.f: SITE/text cannot be unpacked: "),
        ({"s3": {"key": "no/such"}}, "inputs.artifacts.f: the workspace keeps nothing under the key 'no/such'"),
        ({"s3": {"key": "../../etc"}}, "s3.key: expected a path without .., got '../../etc'"),
    ],
)
def test_what_cannot_be_had_is_an_error(shapes: Any, run: Any, node: Any, site: str, artifact: dict[str, Any], expected: str) -> None:
    if "http" in artifact:
        artifact = {**artifact, "http": {"url": artifact["http"]["url"].replace("SITE", site)}}
    found = node(run(_reading(shapes, artifact, "true")), "")
    assert (found["phase"], found["message"].startswith(expected.replace("SITE", site))) == ("Error", True), found["message"]


def test_a_step_that_makes_the_folder_of_its_output_makes_one_of_its_own(shapes: Any, run: Any, node: Any) -> None:
    left = {"artifacts": [{"name": "f", "path": "/nowhere/out/f"}]}
    make = shapes.shell("make", "mkdir /nowhere/out && echo x > /nowhere/out/f", outputs=left)
    assert run(shapes.workflow(shapes.steps("main", [{"name": "a", "template": "make", "withItems": [1, 2]}]), make)).phase == "Succeeded"
    assert not Path("/nowhere").exists()


def test_a_key_outlives_the_run(shapes: Any, run: Any, node: Any, log: Any) -> None:
    kept = {"artifacts": [{"name": "f", "path": "/out", "s3": {"key": "kept/{{workflow.name}}"}}]}
    assert run(shapes.workflow(shapes.shell("main", "mkdir /out; echo kept > /out/x", outputs=kept))).phase == "Succeeded"
    outcome = run(_reading(shapes, {"s3": {"key": "kept/wf"}}, "cat /in/f/x"))
    assert log(outcome, node(outcome, "")) == "kept\n"


@pytest.mark.parametrize("face", ["heads", "tails"])
def test_an_expression_chooses_an_artifact_and_a_path_a_part_of_it(shapes: Any, run: Any, node: Any, log: Any, face: str) -> None:
    left = {"artifacts": [{"name": "f", "path": "/out"}]}
    chosen = "steps['flip-it'].outputs.result == 'heads' ? steps.heads.outputs.artifacts.f : steps.tails.outputs.artifacts.f"
    sides = [{"name": side, "template": side, "when": f"{{{{steps.flip-it.outputs.result}}}} == {side}"} for side in ("heads", "tails")]
    inner = shapes.steps("inner", [{"name": "flip-it", "template": "flip"}], sides)
    inner["outputs"] = {"artifacts": [{"name": "f", "fromExpression": chosen}]}
    taken = {"artifacts": [{"name": "f", "from": "{{steps.in.outputs.artifacts.f}}", "subPath": "deep/x"}]}
    read = shapes.shell("read", "cat /in", inputs={"artifacts": [{"name": "f", "path": "/in"}]})
    outcome = run(
        shapes.workflow(
            shapes.steps("main", [{"name": "in", "template": "inner"}], [{"name": "read", "template": "read", "arguments": taken}]),
            inner,
            shapes.shell("flip", f"echo {face}"),
            *(shapes.shell(side, f"mkdir -p /out/deep; echo {side} > /out/deep/x", outputs=left) for side in ("heads", "tails")),
            read,
        )
    )
    assert log(outcome, node(outcome, "[1].read")) == f"{face}\n"
