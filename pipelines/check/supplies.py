"""Inputs and arguments: what is not supplied, what nobody takes, values that are not allowed, loops over nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.check.fields import near
from pipelines.check.findings import Path, Problem
from pipelines.check.model import LOCATIONS, Flow, Target, hooks
from pipelines.check.scope import Names, of_workflow

_OWN = ("value", "default", "valueFrom")
_LOOPS = ("withItems", "withParam", "withSequence")


def problems(flow: Flow) -> Iterator[Problem]:
    """What is wrong with the inputs and arguments of a workflow."""
    yield from _workflow(flow)
    values = of_workflow(flow).names
    for target in flow.every:
        yield from _enums(target.inputs("parameters"), (*target.path, "inputs", "parameters"))
        for call in target.calls:
            called = flow.called(call.holder, call.path)
            yield from _arguments(call.holder.get("arguments", {}), (*call.path, "arguments"))
            yield from _supplied(called, call.holder.get("arguments", {}), call.path)
            yield from _loop(call.holder, call.path)
            yield from _loop_values(call.holder, call.path, values)
            for _, path, hook in hooks(call.holder, call.path):
                yield from _hook(flow, hook, path, target)


def _workflow(flow: Flow) -> Iterator[Problem]:
    arguments, path = flow.spec.get("arguments", {}), (*flow.path, "arguments")
    yield from _enums(arguments.get("parameters", []), (*path, "parameters"))
    if flow.is_template:
        return
    merged = _merged(flow, arguments)
    for number, parameter in enumerate(arguments.get("parameters", [])):
        own = next((one for one in merged["parameters"] if one.get("name") == parameter.get("name")), parameter)
        if not any(field in own for field in _OWN):
            name, cron = parameter.get("name", ""), flow.kind == "CronWorkflow"
            rule = "argument-without-value" if cron else "parameter-without-value"
            fix = "write value" if cron else f"write one, or submit with -p {name}=VALUE"
            yield Problem(rule, (*path, "parameters", number), f"the parameter {name!r} has no value", fix)
    entry = flow.spec.get("entrypoint")
    base = flow.base or flow
    entry = entry or base.spec.get("entrypoint")
    called = flow.called({"template": entry}, flow.path) if entry else None
    yield from _supplied(called, merged, (*flow.path, "entrypoint"), own=False)
    for _, where, hook in hooks(flow.spec, flow.path):
        yield from _supplied(flow.called(hook, where), hook.get("arguments") or merged, where, own="arguments" in hook)


def _merged(flow: Flow, arguments: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """A workflow's arguments with those of the template that it refers to."""
    base = flow.base.spec.get("arguments", {}) if flow.base else {}
    result = {}
    for kind in ("parameters", "artifacts"):
        own = list(arguments.get(kind, []))
        names = {one.get("name") for one in own}
        under = {one.get("name"): one for one in base.get(kind, [])}
        result[kind] = [{**under.get(one.get("name"), {}), **one} for one in own] + [
            one for name, one in under.items() if name not in names
        ]
    return result


def _hook(flow: Flow, hook: Mapping[str, Any], path: Path, holder: Target) -> Iterator[Problem]:
    arguments = hook.get("arguments", {})
    yield from _arguments(arguments, (*path, "arguments"))
    if path[-1] == "onExit":  # it is given the workflow's arguments, which another workflow may supply
        arguments = flow.spec.get("arguments", {})
        if holder.flow.is_template:
            return
    yield from _supplied(flow.called(hook, path), arguments, path, own=path[-1] != "onExit")


def _supplied(called: Target | bool | None, arguments: Mapping[str, Any], path: Path, own: bool = True) -> Iterator[Problem]:
    """Inputs that nobody supplies, and arguments that nobody takes, where they are the call's own and not the workflow's."""
    if not isinstance(called, Target):
        return
    for kind in ("parameters", "artifacts"):
        given = {argument.get("name", ""): argument for argument in arguments.get(kind, [])}
        wanted = {one.get("name", ""): one for one in called.inputs(kind)}
        for name, one in wanted.items():
            if name not in given and not _has_own(one, kind):
                message = f"the template {called.name!r} needs the input {kind[:-1]} {name!r}, which is not supplied"
                hint = near(name, [other for other in given if other not in wanted])
                fix = f"{hint} (as {name})" if hint.startswith("did") else f"add it to arguments.{kind}"
                yield Problem("input-not-supplied", path, message, fix)
        for number, argument in enumerate(arguments.get(kind, []) if own else []):
            where = (*path, "arguments", kind, number)
            name = argument.get("name", "")
            if name not in wanted:
                message = f"the template {called.name or 'written inline'} takes no {kind[:-1]} {name!r}"
                yield Problem("unknown-argument", (*where, "name"), message, near(name, wanted))
            elif kind == "parameters":
                yield from _allowed(argument.get("value"), wanted[name].get("enum", []), name, (*where, "value"))


def _has_own(one: Mapping[str, Any], kind: str) -> bool:
    if kind == "parameters":
        return any(field in one for field in _OWN)
    return bool(one.get("optional")) or any(field in one for field in LOCATIONS)


def _arguments(arguments: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    for number, parameter in enumerate(arguments.get("parameters", [])):
        if "value" not in parameter and "valueFrom" not in parameter:
            name = parameter.get("name", "")
            yield Problem("argument-without-value", (*path, "parameters", number), f"the argument {name!r} has no value", "write value")
    for number, artifact in enumerate(arguments.get("artifacts", [])):
        if not any(artifact.get(field) for field in ("from", "fromExpression", *LOCATIONS)):
            name = artifact.get("name", "")
            message = f"nothing says where the artifact {name!r} comes from"
            yield Problem("argument-without-value", (*path, "artifacts", number), message, "write from, or where it is stored")


def _enums(parameters: list[dict[str, Any]], path: Path) -> Iterator[Problem]:
    for number, parameter in enumerate(parameters):
        allowed = parameter.get("enum")
        if allowed is not None and not allowed:
            yield Problem("not-in-enum", (*path, number, "enum"), "an enum without values allows none", "write the values")
        for field in ("value", "default"):
            yield from _allowed(parameter.get(field), allowed or [], parameter.get("name", ""), (*path, number, field))


def _allowed(value: str | None, allowed: list[str], name: str, path: Path) -> Iterator[Problem]:
    if value is not None and allowed and value not in allowed and "{{" not in value:
        yield Problem("not-in-enum", path, f"{name}: {value!r} is not among the values that its enum allows", near(value, allowed))


def _loop(holder: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    loops = [field for field in _LOOPS if field in holder]
    if len(loops) > 1:
        yield Problem("bad-loop", (*path, loops[1]), f"a loop has one of {' and '.join(loops)}", f"remove {loops[1]}")
    sequence = holder.get("withSequence", {})
    if "count" in sequence and "end" in sequence:
        yield Problem("bad-loop", (*path, "withSequence", "end"), "a sequence has a count or an end", "remove one of the two")
    elif "withSequence" in holder and "count" not in sequence and "end" not in sequence:
        yield Problem("bad-loop", (*path, "withSequence"), "a sequence needs a count or an end", "write count")


def _loop_values(holder: Mapping[str, Any], path: Path, values: Names) -> Iterator[Problem]:
    """What a loop is over, written down or the value of one of the workflow's parameters."""

    def value(text: str) -> str | None:
        return values.get(text[2:-2].strip()) if text.startswith("{{") else None if "{{" in text else text

    items = value(holder.get("withParam", ""))
    if items and not _is_list(items):
        yield Problem("bad-loop", (*path, "withParam"), f"{items[:40]!r} is no JSON list", 'write such as ["a", "b"], or withItems')
    for field in ("count", "start", "end"):
        number = value(str(holder.get("withSequence", {}).get(field, "")))
        if number and not re.fullmatch(r"[+-]?\d+", number):
            yield Problem("bad-loop", (*path, "withSequence", field), f"{number[:40]!r} is no whole number", "write such as 3")


def _is_list(text: str) -> bool:
    try:
        return isinstance(json.loads(text), list)
    except (ValueError, RecursionError):
        return False
