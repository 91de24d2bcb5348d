"""The command: what it reads, how it ends, and that it starts fast."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent
VALID, BROKEN = HERE / "valid", HERE / "broken"


COMMAND = [sys.executable, "-m", "pipelines", "check"]


def _run(*arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, arguments)], cwd=ROOT, input=stdin, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "expected"),
    [
        ([VALID / "steps.yaml"], "", 0, "0 errors, 0 warnings"),
        ([BROKEN / "unused-volume.yaml"], "", 0, "0 errors, 1 warning"),
        ([BROKEN / "cycle.yaml", BROKEN / "host-path.yaml"], "", 1, "1 error, 1 warning"),
        ([BROKEN], "", 2, "errors"),
        (["-"], (BROKEN / "cycle.yaml").read_text(), 1, "stdin:10:9: error: these tasks wait"),
        (["-"], "", 2, "there is no object in it"),
        ([BROKEN / "no-yaml.yaml"], "", 2, "no-yaml.yaml:8:1: error: no YAML"),
        (["no/such/file.yaml"], "", 2, "cannot be read: No such file or directory"),
        (["train"], "", 0, "0 errors, 0 warnings"),
        (["trian"], "", 2, "there is no such file, and no such pipeline ("),
    ],
)
def test_how_it_ends(arguments: list[str | Path], stdin: str, code: int, expected: str) -> None:
    done = _run(*arguments, stdin=stdin)
    assert (done.returncode, done.stderr) == (code, "")
    assert expected in done.stdout


def test_other_things_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"kind: \xff\xfe")
    (tmp_path / "empty").mkdir()
    for source, expected in ((tmp_path / "binary.yaml", "is no text in UTF-8"), (tmp_path / "empty", "holds no YAML files")):
        done = _run(source)
        assert (done.returncode, done.stderr) == (2, "")
        assert expected in done.stdout


def test_parts_of_a_kustomization_are_no_workflows(tmp_path: Path) -> None:
    (tmp_path / "flow.yaml").write_text((VALID / "dag.yaml").read_text())
    (tmp_path / "patch.yaml").write_text(
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: x}\nspec: {entrypoint: other}\n"
    )
    (tmp_path / "kustomization.yaml").write_text("resources: [flow.yaml]\npatches:\n- path: patch.yaml\n")
    assert _run(tmp_path).returncode == 0
    assert _run(tmp_path / "patch.yaml").returncode == 1


def test_sarif_on_stdout_is_json_also_where_there_are_errors() -> None:
    done = _run("--format", "sarif", BROKEN)
    assert done.returncode == 2
    assert len(json.loads(done.stdout)["runs"][0]["results"]) > 100


def test_it_starts_without_what_takes_long_to_load() -> None:
    """How long it takes is measured by benchmarks/check.py."""
    heavy = ("hera", "pydantic", "kubernetes", "tensorflow", "pyarrow", "boto3", "grpc", "pipelines.local", "pipelines.site")
    code = f"import sys; from pipelines.__main__ import main; main(sys.argv[1:]); print([name for name in {heavy} if name in sys.modules])"
    words = [sys.executable, "-c", code, "check", str(VALID / "steps.yaml")]
    assert subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()[-1] == "[]"
