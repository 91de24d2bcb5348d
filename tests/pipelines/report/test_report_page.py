"""The page of a run, read back from its HTML."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from pipelines import report

VOID = {"meta", "br"}
Element = tuple[str, dict[str, str | None], list[str]]


class Page(HTMLParser):
    """Every element with its attributes and the text inside it; fails where tags are not balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found: Element = (tag, dict(attrs), [])
        self.elements.append(found)
        if tag not in VOID:
            self._open.append(found)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        for _, _, texts in self._open:
            texts.append(data)

    def texts(self, tag: str, kind: str | None = None) -> list[str]:
        """The text of each element of a tag and class."""
        return [
            "".join(texts) for name, attributes, texts in self.elements if name == tag and (kind is None or attributes.get("class") == kind)
        ]

    def attributes(self, name: str) -> Iterator[str]:
        """The values of an attribute, wherever it stands."""
        return (value for _, attributes, _ in self.elements if (value := attributes.get(name)))


def page(run_folder: Path, workspace: Path) -> Page:
    """Write a run's page, and read it."""
    return Page(report.write(run_folder, workspace).read_text())


def change(run_folder: Path, **fields: Any) -> None:
    """Change fields of a run's status."""
    file = run_folder / "status.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def test_the_head_tells_how_the_run_went(sample: tuple[Path, Path]) -> None:
    found = page(*sample)
    assert found.texts("h1") == ["run-abc"]
    assert found.texts("header")[0].startswith("run-abcSucceeded1 min 14 s, 2026-11-23 16:00:05 to 2026-11-23 16:01:19 UTC")
    assert found.texts("div", "tile") == [
        "Accuracy, 95 % interval0.76310.7573 to 0.7689target 0.76: passed",
        "Attempts32 below the target",
        "Version3served",
        "Throughput18,234 rows/s128 rows in a request",
        "Latency, p505.02 msp99 28.4 ms",
    ]


def test_synthetic_data_is_called_so_first(sample: tuple[Path, Path]) -> None:
    notices = page(*sample).texts("p", "notice")
    assert len(notices) == 1
    assert notices[0].startswith("Synthetic data. It was generated")
    assert "0.847" in notices[0]


def test_each_step_is_a_row_and_each_start_a_bar(sample: tuple[Path, Path]) -> None:
    text = report.write(*sample).read_text()
    found = Page(text)
    labels = ["download", "prepare", "train4 starts", "export", "validate", "deploy", "benchmark"]
    assert found.texts("div", "label") == labels
    tracks = [part.partition('<div class="spent">')[0] for part in text.split('<div class="track">')[1:]]
    assert [track.count("<span") for track in tracks] == [1, 1, 4, 1, 1, 1, 1]
    assert [part.partition('"')[0] for part in tracks[2].split('class="')[1:]] == ["again", "again", "again", "good"]
    assert "left:14.865%;width:16.216%" in tracks[2]
    assert "train(1): Failed, exit code 137, 4.0 s, OOMKilled (exit code 137)" in found.attributes("title")


def test_the_charts_show_target_attempts_and_latencies(sample: tuple[Path, Path]) -> None:
    text = report.write(*sample).read_text()
    found = Page(text)
    assert [title.partition(" with")[0] for title in found.texts("figcaption")][:2] == ["Accuracy by step", "Loss by step"]
    assert found.texts("span", "across target") == ["target 0.76"]
    assert found.texts("span", "down") == ["attempt 1", "2", "3", "attempt 1", "2", "3", "p50", "p90", "p99"]
    kinds = list(found.attributes("class"))
    assert (kinds.count("dot"), kinds.count("hollow"), kinds.count("bar")) == (3, 2, 20)
    assert "attempt 2: missed, accuracy 0.7572 at step 1,000" in found.texts("title")


def test_the_figures_of_serving_have_their_intervals(sample: tuple[Path, Path]) -> None:
    """As far as they can be told; a client that tells none is shown without."""
    found = page(*sample).texts("dl")[-1]
    assert "p505.02 ms [4.81, 5.32]p908.70 msp9928.4 ms [21.0, ?]" in found
    assert "rows/s18,234 [17,911, 18,558]requests/s142 [140, 145]in brackets95 % intervals" in found


def test_nodes_name_their_logs_and_outputs_their_values(sample: tuple[Path, Path]) -> None:
    run_folder, workspace = sample
    log = run_folder / "nodes" / "id-run-abc[1].prepare" / "main.log"
    log.parent.mkdir(parents=True)
    log.write_text("prepared\n")
    found = page(run_folder, workspace)
    assert list(found.attributes("href")) == ["./nodes/id-run-abc%5B1%5D.prepare/main.log"]
    assert found.texts("a") == ["main.log"]
    rows = found.texts("tr")
    assert "benchmarkthroughput18234.2" in rows
    assert rows.count("trainaccuracy0.7631") == 1


def test_the_workflows_arguments_are_its_parameters(sample: tuple[Path, Path]) -> None:
    run_folder, workspace = sample
    rows = "[{name: TARGET_ACCURACY, value: '0.76'}, {name: DATA_SHA256}]"
    (run_folder / "workflow.yaml").write_text(f"spec: {{arguments: {{parameters: {rows}}}}}\n")
    found = page(run_folder, workspace)
    assert "Parameters" in found.texts("h2")
    assert {"TARGET_ACCURACY0.76", "DATA_SHA256"} <= set(found.texts("tr"))


def test_evidence_may_be_named_by_a_file_or_by_the_caller(sample: tuple[Path, Path]) -> None:
    run_folder, workspace = sample
    file = run_folder / "status.json"
    whole = file.read_text()
    file.write_text(whole.replace(f'"{EVIDENCE}"', f'"{EVIDENCE}/attempt-3.json"'))
    assert page(run_folder, workspace).texts("div", "tile")[1].startswith("Attempts3")
    file.write_text(whole.replace(f'"{EVIDENCE}"', "null"))
    assert "Training" not in page(run_folder, workspace).texts("h2")
    found = Page(report.write(run_folder, workspace, workspace / EVIDENCE).read_text())
    assert found.texts("div", "tile")[1].startswith("Attempts3")


def test_any_workflow_has_a_timeline(tmp_path: Path, make_node: Any) -> None:
    nodes = [
        make_node("w", 0, 4, type="DAG", boundaryID=""),
        make_node("w.a", 0, 2, boundaryID="id-w"),
        make_node("w.inner", 2, 4, boundaryID="id-w", type="Steps"),
        make_node("w.inner[0].b", 2, 4, boundaryID="id-w.inner"),
        make_node("w.c", 4, 4, "Omitted", boundaryID="id-w", type="Skipped"),
    ]
    status = {"phase": "Running", "startedAt": nodes[0]["startedAt"], "nodes": {node["id"]: node for node in nodes}}
    (tmp_path / "status.json").write_text(json.dumps(status))
    found = page(tmp_path, tmp_path)
    assert found.texts("h2") == ["Timeline", "Nodes"]
    assert found.texts("div", "label") == ["a", "inner / b", "c"]
    assert found.texts("div", "spent") == ["2.0 s", "2.0 s", "omitted"]


def test_a_single_pod_is_a_row(tmp_path: Path, make_node: Any) -> None:
    alone = make_node("w", 0, 4, boundaryID="")
    (tmp_path / "status.json").write_text(json.dumps({"phase": "Succeeded", "startedAt": alone["startedAt"], "nodes": {"w": alone}}))
    assert page(tmp_path, tmp_path).texts("div", "label") == ["w"]


def test_a_run_that_never_started_has_a_page(tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text('{"phase": "Error", "message": "refused"}')
    found = page(tmp_path, tmp_path)
    assert found.texts("p", "notice bad") == ["refused"]
    assert found.texts("h2") == []


HOSTILE = "</style><script>alert(1)</script><img src=http://x onerror=alert(1)>\"'&\ud800"


def poisoned(value: Any) -> Any:
    """The same data with hostile text in the place of each text that is neither a time, a phase, a type nor a reference."""
    kept = {"id", "type", "phase", "startedAt", "finishedAt", "boundaryID", "name"}
    if isinstance(value, dict):
        return {key: inner if key in kept or inner in (EVIDENCE, RESULT) else poisoned(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [poisoned(inner) for inner in value]
    return HOSTILE if isinstance(value, str) else value


EVIDENCE, RESULT = "ada/wide-deep/output/evidence/7e57", "ada/wide-deep/output/benchmark/7e57.json"


def test_hostile_text_stays_text(sample: tuple[Path, Path]) -> None:
    run_folder, workspace = sample
    clean = [name for name, _, _ in page(run_folder, workspace).elements]
    for file in (run_folder / "status.json", *workspace.rglob("*.json")):
        file.write_text(json.dumps(poisoned(json.loads(file.read_text()))))
    (run_folder / "workflow.yaml").write_text(json.dumps({"spec": {"arguments": {"parameters": [{"name": HOSTILE, "value": HOSTILE}]}}}))
    found = page(run_folder, workspace)
    assert set(clean) >= {name for name, _, _ in found.elements}
    assert any("<script>alert(1)</script>" in text for text in found.texts("td"))


def test_the_page_needs_no_network_and_no_script(sample: tuple[Path, Path]) -> None:
    text = report.write(*sample).read_text()
    found = Page(text)
    assert "script" not in {name for name, _, _ in found.elements}
    assert not any("//" in value for name in ("src", "href", "style", "xlink:href") for value in found.attributes(name))
    assert "url(" not in text
    assert "@import" not in text


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        '{"step": NaN, "accuracy": Infinity, "interval": 3, "history": 7}',
        '{"attempt": {}, "history": [1, {"step": "a"}]}',
    ],
)
def test_evidence_and_results_that_hold_something_else_tell_nothing(sample: tuple[Path, Path], content: str) -> None:
    run_folder, workspace = sample
    for file in workspace.rglob("*.json"):
        file.write_text(content)
    assert page(run_folder, workspace).texts("div", "label")[0] == "download"


def test_what_lies_outside_the_workspace_is_not_read(sample: tuple[Path, Path]) -> None:
    run_folder, workspace = sample
    assert "Training" not in page(run_folder, workspace / "datasets").texts("h2")


def test_a_status_that_cannot_be_read_leaves_no_page(tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text("{")
    with pytest.raises(ValueError, match="Expecting"):
        report.write(tmp_path, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["status.json"]


def test_it_is_small_and_quick_to_import(sample: tuple[Path, Path]) -> None:
    code = "import sys; from pathlib import Path; from pipelines import report; print(report.write(*map(Path, sys.argv[1:])), *sys.modules)"
    output = subprocess.run([sys.executable, "-c", code, *map(str, sample)], capture_output=True, text=True, check=True).stdout.split()
    assert Path(output[0]).stat().st_size < 60_000
    ours = {name for name in output if name.partition(".")[0] in ("pipelines", "steps", "clients", "hera", "numpy")}
    assert {name for name in ours if not name.startswith("pipelines.report")} == {"pipelines"}
