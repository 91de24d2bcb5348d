"""What a workflow would run, as lines of text: its templates from the entrypoint on, with every condition that is already decided."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.language import gotext, tags, when
from pipelines.language.errors import EvaluationError
from pipelines.language.tags import Variables
from pipelines.local import depends, loops, templates

Known = Mapping[str, str]


def lines(workflow: Mapping[str, Any], known: Known) -> Iterator[str]:
    """The lines; `known` are the workflow's variables that have a value before the start."""
    spec = workflow["spec"]
    entry = {"name": spec["entrypoint"], "template": spec["entrypoint"], "arguments": spec.get("arguments") or {}}
    yield from _holder(spec, entry, known, (), "")
    if spec.get("onExit"):
        yield from _holder(spec, {"name": "at the end", "template": spec["onExit"], "arguments": entry["arguments"]}, known, (), "")
    for name, hook in (spec.get("hooks") or {}).items():
        yield from _holder(spec, {**hook, "name": f"hook {name}"}, known, (), "")


def _holder(spec: Mapping[str, Any], holder: Mapping[str, Any], known: Known, around: tuple[str, ...], more: str) -> Iterator[str]:
    """A step, a task or the workflow's own call, with what is inside it."""
    indent = "  " * len(around)
    try:
        template = templates.find(spec, holder)
    except EvaluationError:  # its name is known when the step begins: what is wrong before that has been refused
        yield f"{indent}{holder['name']} -> {holder.get('template')} (the template is known when the step begins)"
        return
    name = str(template.get("name", ""))
    called = f" -> {name.rpartition('/')[2]}" if name not in ("", holder["name"]) else ""
    decided = _condition(holder, known)
    notes = [templates.kind(template), *_loop(holder), *([more] if more else []), *([decided[1]] if decided[1] else [])]
    yield f"{indent}{holder['name']}{called} ({', '.join(notes)})"
    if decided[0] is False:
        return
    if name and name in around:
        yield f"{indent}  ... and so on: {name} calls itself"
        return
    inner = {**{key: value for key, value in known.items() if key.startswith("workflow.")}, **_inputs(template, holder, known)}
    yield from _inside(spec, template, inner, (*around, name))


def _inside(spec: Mapping[str, Any], template: Mapping[str, Any], known: Known, around: tuple[str, ...]) -> Iterator[str]:
    for place, group in enumerate(template.get("steps") or []):
        for step in group:
            yield from _holder(spec, step, known, around, f"group {place + 1}")
    for task in (template.get("dag") or {}).get("tasks") or []:
        before = depends.names(task)
        yield from _holder(spec, task, known, around, f"after {task.get('depends') or ', '.join(before)}" if before else "")


def _condition(holder: Mapping[str, Any], known: Known) -> tuple[bool | None, str]:
    """Whether a step runs, None where that is not known yet; and that in words."""
    if not holder.get("when"):
        return None, ""
    text = str(holder["when"])
    try:
        replaced = tags.replace_text(text, Variables(known))
        if "{{" in replaced:
            return None, f"when {text}"
        runs = when.truth(replaced)
    except EvaluationError as error:
        return None, f"when {text}: {error}"
    return runs, f"{'runs' if runs else 'skipped'}: {replaced} is {'true' if runs else 'false'}"


def _loop(holder: Mapping[str, Any]) -> list[str]:
    if holder.get("withItems"):
        return [f"{len(holder['withItems'])} times"]
    if holder.get("withParam"):
        return [f"for each of {holder['withParam']}"]
    if holder.get("withSequence") is None:
        return []
    try:
        return [f"{len(loops.sequence(holder['withSequence']))} times"]
    except EvaluationError:
        return ["for a sequence"]


def _inputs(template: Mapping[str, Any], holder: Mapping[str, Any], known: Known) -> dict[str, str]:
    """The inputs of a template that have a value before the start."""
    given = {one["name"]: one.get("value") for one in (holder.get("arguments") or {}).get("parameters") or []}
    found = {}
    for one in (template.get("inputs") or {}).get("parameters") or []:
        value = given.get(one["name"], one.get("value", one.get("default")))
        try:
            text = tags.replace_text(gotext.any_string(value), Variables(known))
        except EvaluationError:
            continue
        if value is not None and "{{" not in text:
            found[f"inputs.parameters.{one['name']}"] = text
    return found
