"""What is wrong in a workflow's texts: tags that name nothing, and expressions that are none."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pipelines.language import names, tags
from pipelines.language.errors import EvaluationError
from pipelines.local import variables
from pipelines.local.errors import Problem


def of_texts(workflow: Mapping[str, Any], path_of: Callable[[int], str]) -> Iterator[Problem]:
    """Tags and expressions in every text of the templates; `path_of` tells where the template of a place stands."""
    spec = workflow["spec"]
    known = variables.of_workflow(workflow, "name", "uid", 0.0)
    for place, template in enumerate(spec.get("templates") or []):
        inputs = {f"inputs.parameters.{parameter['name']}" for parameter in (template.get("inputs") or {}).get("parameters") or []}
        callers = _callers(template)
        for path, text in _all_texts(template, path_of(place)):
            if "{{" in text.rpartition("}}")[2]:
                yield Problem(path, f"{text[text.rindex('{{') :][:60]!r}: a tag begins here, and has no end")
            for tag in tags.found(text):
                yield from _tag(tag.strip(), path, known, inputs)
                yield from _caller(tag.strip(), path, callers)
            if path.endswith(".valueFrom.expression"):
                yield from expression(text, path)


def _callers(template: Mapping[str, Any]) -> list[str]:
    """The steps and tasks that a template's texts may name."""
    steps = [step for group in template.get("steps") or [] for step in group]
    tasks = (template.get("dag") or {}).get("tasks") or []
    inner = [name for holder in [*steps, *tasks] if "inline" in holder for name in _callers(holder["inline"])]
    return [*(f"steps.{step.get('name')}" for step in steps), *(f"tasks.{task.get('name')}" for task in tasks), *inner]


def _caller(tag: str, path: str, callers: list[str]) -> Iterator[Problem]:
    named = re.match(r"((?:steps|tasks)\.[-\w]+)\.", tag)
    if callers and named and named[1] not in callers:
        near = difflib.get_close_matches(named[1], callers, n=1, cutoff=0.7)
        yield Problem(path, f"{{{{{tag}}}}}: there is no {named[1]} in this template" + (f"; did you mean {near[0]}?" if near else ""))


def _tag(tag: str, path: str, known: Mapping[str, str], inputs: set[str]) -> Iterator[Problem]:
    if tag.startswith("="):
        yield from expression(tag[1:], path)
    elif tag.startswith("workflow.") and not variables.is_known(tag, known):
        near = difflib.get_close_matches(tag, known, n=1, cutoff=0.7)
        yield Problem(path, f"{{{{{tag}}}}}: the workflow has no such variable" + (f"; did you mean {near[0]}?" if near else ""))
    elif tag.startswith("inputs.parameters.") and tag not in inputs and "{{" not in tag:
        near = difflib.get_close_matches(tag, inputs, n=1, cutoff=0.7)
        yield Problem(path, f"{{{{{tag}}}}}: the template has no such input" + (f"; did you mean {near[0]}?" if near else ""))


def _all_texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _all_texts(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _all_texts(inner, f"{path}[{place}]")


def expression(text: str, path: str) -> Iterator[Problem]:
    """The problems of an expression."""
    if "{{" in text:
        return
    yield from evaluated(path, _parsed, text)


def _parsed(text: str) -> None:
    missing = names.missing_functions(text)
    if missing:
        raise EvaluationError(f"{text!r}: the function {missing[0]} is not supported here")


def evaluated(path: str, function: Callable[[Any], Any], text: Any) -> Iterator[Problem]:
    """The problem that a function has with a text."""
    try:
        function(text)
    except EvaluationError as error:
        yield Problem(path, str(error))
