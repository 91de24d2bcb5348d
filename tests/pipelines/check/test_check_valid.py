"""No false alarm: on workflows of our own, on what we compile, and on Argo's examples, where each alarm is justified."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipelines import build, check

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
VALID = sorted((HERE / "valid").glob("*.yaml"))
EXAMPLES = os.environ.get("ARGO_EXAMPLES", "")

# Argo's examples (v4.0.7) in which something is found: the rules, and why they are right.
JUSTIFIED = {
    "fibonacci-seq-conditional-param.yaml": (
        {"skipped-output", "unused-template"},
        "that no caller hands over 1 or 2 cannot be seen; return-1 is called by nobody",
    ),
    "fun-with-gifs.yaml": ({"missing-field", "bad-name"}, "its generateName is among the labels: the API server refuses it"),
    "http-success-condition.yaml": ({"unused-template"}, "http-headers-contains-cloudflare is called by nobody"),
    "k8s-jobs.yaml": ({"missing-field"}, "its name is inside an annotation's text: the API server refuses it"),
    "k8s-patch-json-workflow.yaml": ({"duplicate-key"}, "annotations are there twice, and the first are lost"),
    "sidecar-dind.yaml": ({"root-user"}, "its sidecar is privileged"),
    "synchronization-db-mutex-tmpl-level.yaml": ({"unknown-argument"}, "acquire-lock takes no seconds"),
    "synchronization-db-tmpl-level.yaml": ({"unknown-argument"}, "acquire-lock takes no seconds"),
    "synchronization-mutex-tmpl-level.yaml": ({"unknown-argument"}, "acquire-lock takes no seconds"),
    "synchronization-tmpl-level.yaml": ({"unknown-argument"}, "acquire-lock takes no seconds"),
    "workflow-event-binding/event-consumer-workflowtemplate.yaml": (
        {"undeclared-parameter"},
        "only the event binding, another file, supplies appellation",
    ),
}
# What is found besides where all of them are looked at together, and what is not found then: the reason lies in another file.
TOGETHER = {
    ("cluster-workflow-template/mixed-cluster-namespaced-wftmpl-steps.yaml", "unknown-argument"),  # inner-steps has no inputs
    ("workflow-template/steps.yaml", "unknown-argument"),  # the same
}
ALONE = {("workflow-event-binding/event-consumer-workflowtemplate.yaml", "undeclared-parameter")}


def _told(*sources: check.Source) -> list[str]:
    return [f"{one.file}:{one.line}: {one.message} [{one.rule}]" for one in check.check(sources)]


@pytest.mark.parametrize("file", VALID, ids=[file.stem for file in VALID])
def test_a_valid_workflow_is_clean(file: Path) -> None:
    assert _told(*check.sources([str(file)])) == []


@pytest.mark.parametrize("kind", ["Workflow", "WorkflowTemplate"])
@pytest.mark.parametrize("name", list(build.registry()))
def test_what_we_compile_is_clean(name: str, kind: str) -> None:
    assert _told(check.Source(name, build.compile_named(name, "Workflow" if kind == "Workflow" else "WorkflowTemplate"))) == []


@pytest.mark.parametrize("folder", ["kustomize/base", "kustomize"])
def test_what_kustomize_builds_of_is_clean(folder: str) -> None:
    assert _told(*check.sources([str(ROOT / folder)])) == []


@pytest.mark.skipif(not EXAMPLES, reason="ARGO_EXAMPLES names no folder of Argo's examples")
def test_argo_s_examples_give_no_alarm_that_is_not_justified() -> None:
    folder = Path(EXAMPLES)
    files = sorted(path for path in folder.rglob("*.yaml"))
    found = {str(file.relative_to(folder)): {one.rule for one in check.check(check.sources([str(file)]))} for file in files}
    assert {name: rules for name, rules in found.items() if rules} == {name: rules for name, (rules, _) in JUSTIFIED.items()}
    assert f"on the {len(files)} examples of Argo, {len(JUSTIFIED)} have a finding" in " ".join((ROOT / "README.md").read_text().split())


@pytest.mark.skipif(not EXAMPLES, reason="ARGO_EXAMPLES names no folder of Argo's examples")
def test_argo_s_examples_together_give_what_they_give_alone_but_for_references() -> None:
    alarms = {(Path(one.file).relative_to(EXAMPLES).as_posix(), one.rule) for one in check.check(check.sources([EXAMPLES]))}
    justified = {(name, rule) for name, (rules, _) in JUSTIFIED.items() for rule in rules}
    assert alarms == justified - ALONE | TOGETHER
