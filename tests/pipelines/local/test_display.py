"""How a run shows: lines for a pipe, a tree for a terminal."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines import local
from pipelines.local import display

CHECKOUT = Path(__file__).parents[3]


def test_lines_tell_starts_ends_times_and_the_log_of_a_failure(shapes: Any, run: Any) -> None:
    workflow = shapes.workflow(
        shapes.steps(
            "main",
            [{"name": "good", "template": "good"}, {"name": "not", "template": "good", "when": "1 == 2"}],
            [{"name": "inner", "template": "inner"}],
        ),
        shapes.steps("inner", [{"name": "bad", "template": "bad"}]),
        shapes.shell("good", "true"),
        shapes.shell("bad", "for n in $(seq 20); do echo line $n; done; echo the reason >&2; exit 4", retryStrategy={"limit": 1}),
    )
    stream = io.StringIO()
    outcome = run(workflow, display=local.Lines(stream))
    text = stream.getvalue()
    assert re.search(r"^wf: started in .*/runs/wf-\w{5}$", text, re.MULTILINE)
    assert text.count("images are not used") == 1
    for line in (
        r"good: started",
        r"good: done in \d+\.\d s",
        r"not: skipped: when '1 == 2' evaluated false",
        r"inner/bad: started",
        r"inner/bad: failed in \d+\.\d s: main: Error \(exit code 4\): the reason",
        r"inner/bad, attempt 2: failed in \d+\.\d s: main: Error \(exit code 4\): the reason",
        r"inner/bad: failed in \d+\.\d s: No more retries left",
        r"    line 12",
        r"    the reason",
        rf"    log: {outcome.folder}/nodes/\S+/main.log",
        rf"Failed: child '\S+' failed \({outcome.folder}\)",
    ):
        assert re.search(f"^{line}$", text, re.MULTILINE), f"{line!r} is not in\n{text}"
    assert "line 11\n" not in text, "only the end of the log"
    assert text.count("line 12") == 1, "attempts before the last are told in a line"


def test_progress_is_the_last_state_of_the_last_line(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for content, expected in (
        (b"", ""),
        (b"one\ntwo\n", "two"),
        (b"one\ntwo\n\n  \n", "two"),
        (b"step 1\rstep 2\rstep 3", "step 3"),
        (b"done\r\n", "done"),
        (b"\x1b[2K\x1b[31mred\x1b[0m 5/10\r", "red 5/10"),
        (b"x" * 10_000 + b"\nlast", "last"),
        (b"\xff\xfe bytes", "\ufffd\ufffd bytes"),
    ):
        log.write_bytes(content)
        assert display.last_line(log) == expected
    assert display.last_line(tmp_path / "none") == ""


def test_progress_is_told_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    lines = local.Lines(stream)
    lines.started("wf", tmp_path, False, ())
    node = {"id": "wf", "name": "wf", "displayName": "train", "type": "Pod", "phase": "Running", "startedAt": "2026-01-01T00:00:00.000Z"}
    lines.changed(node)
    log = tmp_path / "nodes" / "wf" / "main.log"
    log.parent.mkdir(parents=True)
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    told = []
    for at, content in ((1e9, "10/100"), (1e9 + 5, "20/100"), (1e9 + 12, "30/100"), (1e9 + 30, "30/100"), (1e9 + 50, "40/100")):
        now[0] = at
        log.write_text(content)
        before = len(stream.getvalue())
        lines.tick()
        told.append(stream.getvalue()[before:])
    assert told == ["train: 10/100\n", "", "train: 30/100\n", "", "train: 40/100\n"]


def test_a_terminal_shows_a_tree(shapes: Any, tmp_path: Path) -> None:
    workflow = shapes.workflow(
        shapes.steps(
            "main",
            [{"name": "first", "template": "ok"}],
            [{"name": "many", "template": "ok", "withSequence": {"count": 60}}],
            [{"name": "bad", "template": "bad"}],
        ),
        shapes.shell("ok", "true"),
        shapes.shell("bad", "echo progress 1/2 >&2; sleep 0.5; echo broke; exit 2", retryStrategy={"limit": 1}),
    )
    (tmp_path / "workflow.yaml").write_text(yaml.safe_dump(workflow))
    program = (
        "import sys; from pathlib import Path; from pipelines import local\n"
        "sys.exit(local.run(local.load(Path(sys.argv[1])), workspace=Path(sys.argv[2])).exit_code)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "workflow.yaml"), str(tmp_path / "workspace")]
    terminal, side = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30", "PYTHONPATH": str(CHECKOUT)}
    process = subprocess.Popen(command, stdin=side, stdout=side, stderr=side, env=environment)
    os.close(side)
    text = _all_of(terminal)
    assert process.wait(30) == 1
    parts = (
        "wf started in",
        "✔",
        "first",
        "many(59:59)",
        "progress 1/2",
        "bad, attempt 2",
        "✖",
        "No more retries left",
        "broke",
        "Failed: child",
    )
    for part in parts:
        assert part in text, f"{part!r} is not in\n{text}"
    assert re.search(r"… \d+ more: \d+ succeeded", text), "60 nodes do not fit on the screen"
    assert re.search(r"first.*\n(.*\n)*.*many\(59:59\)", text[text.rindex("more:") - 4000 :]), "what is no loop stays in the picture"


def _all_of(terminal: int) -> str:
    content = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            break
        if not piece:
            break
        content += piece
    os.close(terminal)
    return content.decode(errors="replace")
