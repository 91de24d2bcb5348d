"""What a workflow calls in other objects: their templates see the caller's parameters and volumes, not their own object's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pipelines.check import pods
from pipelines.check.fields import near, texts
from pipelines.check.findings import Path, Problem
from pipelines.check.model import Flow, Library, Target, hooks
from pipelines.check.reading import Document
from pipelines.language import names, tags
from pipelines.language.errors import EvaluationError

_PARAMETER = re.compile(r"workflow\.parameters\.([-\w]+)")


def problems(library: Library) -> Iterator[tuple[Document, Problem]]:
    """Parameters and volumes that the templates which a workflow calls elsewhere need, and that it does not have."""
    for flow in library.flows:
        home = [flow, flow.base] if flow.base else [flow]
        arguments = [*(each.spec.get("arguments", {}) for each in home), *_of_bindings(flow)]
        parameters = {one.get("name", "") for each in arguments for one in each.get("parameters", [])}
        for target in reached(flow):
            if target.flow in home:
                if flow.is_template and target.flow is flow:
                    yield from ((flow.document, problem) for problem in _undeclared(target, parameters))
                continue
            if flow.is_template:
                continue
            for path, name in needed(target):
                if name not in parameters:
                    message = f"the {flow.kind} {flow.name} ({flow.document.file}) calls this template, and has no parameter {name!r}"
                    yield target.flow.document, Problem("undefined-variable", path, message, near(name, parameters))
            known = set().union(*map(pods.of_flow, home)) | pods.of_template(target)
            for path, name in pods.mounted(target):
                if name not in known and "{{" not in name:
                    message = f"the {flow.kind} {flow.name} ({flow.document.file}) calls this template, and has no volume {name!r}"
                    yield target.flow.document, Problem("unknown-volume", path, message, near(name, known))


def _of_bindings(flow: Flow) -> Iterator[Any]:
    """The arguments with which events submit a template."""
    for _, value in flow.library.objects("WorkflowEventBinding"):
        submit = value.get("spec", {}).get("submit", {})
        if submit.get("workflowTemplateRef", {}).get("name") == flow.name:
            yield submit.get("arguments", {})


def _undeclared(target: Target, parameters: set[str]) -> Iterator[Problem]:
    for path, name in needed(target):
        if name not in parameters:
            message = f"workflow.parameters.{name} is not among this object's arguments: only a caller could have it"
            yield Problem("undeclared-parameter", path, message, near(name, parameters) if parameters else "declare it in spec.arguments")


def reached(flow: Flow) -> list[Target]:
    """All templates that a workflow calls, here and in other objects, as far as they are among the files."""
    base = flow.base or flow
    entry = flow.spec.get("entrypoint") or base.spec.get("entrypoint", "")
    pending: list[Any] = [flow.called({"template": entry}, flow.path)]
    pending += [flow.called(hook, path) for _, path, hook in hooks(flow.spec, flow.path)]
    found: dict[int, Target] = {}
    while pending:
        target = pending.pop()
        if not isinstance(target, Target) or id(target.template) in found:
            continue
        found[id(target.template)] = target
        for call in target.calls:
            pending.append(target.flow.called(call.holder, call.path))
            pending += [target.flow.called(hook, path) for _, path, hook in hooks(call.holder, call.path)]
    return list(found.values())


def needed(target: Target) -> Iterator[tuple[Path, str]]:
    """The workflow's parameters that a template names, with the places."""
    for path, text in texts({key: value for key, value in target.template.items() if key not in ("steps", "dag")}, target.path):
        yield from ((path, name) for name in _named(text))
    for call in target.calls:
        for path, text in texts({key: value for key, value in call.holder.items() if key != "inline"}, call.path):
            yield from ((path, name) for name in _named(text))


def _named(text: str) -> Iterator[str]:
    for tag in tags.found(text):
        if tag.startswith("="):
            try:
                found = names.variables(tag[1:])
            except EvaluationError:
                found = []
        else:
            found = [tag.strip()]
        for name in found:
            match = _PARAMETER.fullmatch(name)
            if match and match[1] != "json":
                yield match[1]
