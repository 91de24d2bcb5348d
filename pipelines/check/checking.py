"""The whole check: texts become documents, documents objects, objects findings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pipelines.check import (
    containers,
    cron,
    fields,
    graph,
    manifests,
    metrics,
    outputs,
    pods,
    reach,
    retries,
    rights,
    secrets,
    sizes,
    structure,
    supplies,
    texts,
)
from pipelines.check.fields import near
from pipelines.check.findings import Finding, Problem, UnreadableInput, shown
from pipelines.check.model import SPECS, Flow, Library
from pipelines.check.reading import Document, documents, line_and_column
from pipelines.check.rules import RULES
from pipelines.check.sources import Source

_GROUP, _VERSION = "argoproj.io/", "v1alpha1"
# Kinds of Argo's whose fields are looked at, and no more.
_FIELDS_ONLY = ("WorkflowEventBinding",)
_OF_FLOWS = (structure, supplies, graph, texts, outputs, retries, pods, containers, secrets, manifests, metrics, cron, sizes)
_OF_LIBRARIES = (rights, reach)


def check(given: Iterable[Source]) -> list[Finding]:
    """All findings, by file and line. References between the documents are resolved among all of them."""
    found: list[Finding] = []
    library = Library()
    fielded: list[tuple[Document, list[Problem]]] = []
    for source in given:
        try:
            if source.unreadable:
                raise UnreadableInput(source.name, 1, source.unreadable)
            fielded.extend((document, [*document.problems, *_enter(document, library)]) for document in documents(source.text, source.name))
        except UnreadableInput as error:
            fix = "give a YAML file, a folder of them, or - for standard input"
            found.append(Finding(error.file, error.line, 1, "no-yaml", "", error.message, fix, RULES["no-yaml"].severity))
    if not found and all(document.value is None for document, _ in fielded):
        found.append(Finding("the input", 1, 1, "no-yaml", "", "there is no object in it", "give YAML that holds workflows", "error"))
    for document, problems in fielded:
        found += _findings(document, problems)
    for flow in library.flows:
        found += _findings(flow.document, (problem for part in _OF_FLOWS for problem in part.problems(flow)))
    for part in _OF_LIBRARIES:
        for document, problem in part.problems(library):
            found += _findings(document, [problem])
    return sorted(set(found))


def _enter(document: Document, library: Library) -> Iterator[Problem]:
    """Know an object, and say what is wrong with its fields."""
    value = document.value
    if not isinstance(value, dict):
        return
    kind, group = str(value.get("kind", "")), str(value.get("apiVersion", ""))
    if kind in SPECS or kind in _FIELDS_ONLY:
        clean, problems = fields.checked(value, document.place, kind, document.prefix)
        if kind in SPECS:
            library.add(Flow(document, kind, clean, library, flawed=bool(problems)))
        else:
            library.others.setdefault(kind, []).append((document, clean))
        if group != f"{_GROUP}{_VERSION}":
            message = f"no {kind} is of {group or 'no group'}"
            problems.append(Problem("unknown-kind", (*document.prefix, "apiVersion"), message, f"write {_GROUP}{_VERSION}"))
        yield from problems
    elif group.startswith(_GROUP) and _looks_like_a_workflow(value):
        known = [*SPECS, *_FIELDS_ONLY]
        yield Problem("unknown-kind", (*document.prefix, "kind"), f"Argo has no kind {kind!r}", near(kind, known))
    else:
        library.others.setdefault(kind, []).append((document, value))


def _looks_like_a_workflow(value: dict[str, Any]) -> bool:
    spec = value.get("spec")
    return isinstance(spec, dict) and any(field in spec for field in ("entrypoint", "templates", "workflowSpec", "workflowTemplateRef"))


def _findings(document: Document, problems: Iterable[Problem]) -> Iterator[Finding]:
    for problem in problems:
        line, column = line_and_column(document, problem.path, problem.offset)
        severity = RULES[problem.rule].severity
        yield Finding(document.file, line, column, problem.rule, shown(problem.path), problem.message, problem.fix, severity)
