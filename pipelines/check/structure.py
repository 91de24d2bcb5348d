"""Names and references: what must be there once, what refers to what, what nobody uses."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipelines.check.fields import near
from pipelines.check.findings import Path, Problem
from pipelines.check.model import HOLDERS, KINDS, Call, Flow, Target, hooks

_FIELD_NAME = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]{0,127}")
_PARAMETER_NAME = re.compile(r"[-a-zA-Z0-9_]+")
_OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
# What may be part of the name of a step or an output: it is replaced before the name is looked at.
_TAG = re.compile(r"\{\{ *(inputs|workflow)\.[^{}]*\}\}")
_LABEL = re.compile(r"(?:[A-Za-z0-9](?:[-\w.]{0,61}[A-Za-z0-9])?)?", re.ASCII)
_DISPLAY_NAME = "workflows.argoproj.io/display-name"
_SHOWN = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9.-]{0,61}[a-zA-Z0-9]")
_LONGEST = {"CronWorkflow": 52}


def problems(flow: Flow) -> Iterator[Problem]:
    """What is wrong with the names and references of a workflow."""
    yield from _object_name(flow)
    yield from _labels(flow.value.get("metadata", {}).get("labels", {}), (*flow.document.prefix, "metadata", "labels"))
    yield from _labels(flow.spec.get("workflowMetadata", {}).get("labels", {}), (*flow.path, "workflowMetadata", "labels"))
    yield from _no_room(flow, flow.spec, flow.path)
    yield from _entry(flow)
    yield from _names(flow.spec.get("templates", []), (*flow.path, "templates"), "template", _FIELD_NAME)
    yield from _parameters(flow.spec.get("arguments", {}), (*flow.path, "arguments"))
    for target in flow.every:
        yield from _template(target)
    yield from _unused(flow)


def _object_name(flow: Flow) -> Iterator[Problem]:
    metadata, path = flow.value.get("metadata", {}), (*flow.document.prefix, "metadata")
    name, generated = metadata.get("name", ""), metadata.get("generateName", "")
    longest = _LONGEST.get(flow.kind, 63)
    if not name and not generated:
        yield Problem("missing-field", (*path, "name"), f"a {flow.kind} needs a name", "write metadata.name or metadata.generateName")
    if name and (not _OBJECT_NAME.fullmatch(name) or len(name) > longest):
        what = f"{name!r} has {len(name)} characters" if len(name) > longest else f"{name!r} is no name of an object"
        yield Problem("bad-name", (*path, "name"), what, f"write at most {longest} small letters, digits and -")
    elif generated and not re.fullmatch(r"[a-z0-9][-a-z0-9.]*", generated):
        yield Problem(
            "bad-name", (*path, "generateName"), f"{generated!r} begins no name of an object", "write small letters, digits and -"
        )


def _labels(labels: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    for name, value in labels.items():
        if "{{" not in value and not _LABEL.fullmatch(value):
            fix = "write at most 63 letters, digits, -, _ and ., the first and the last a letter or a digit; or make it an annotation"
            yield Problem("bad-name", (*path, name), f"{value!r} is no value of a label", fix)


def _entry(flow: Flow) -> Iterator[Problem]:
    spec, path = flow.spec, flow.path
    if flow.base is not False:
        yield from _based(flow)
    elif not spec.get("entrypoint") and not flow.is_template:
        yield Problem("no-entrypoint", (*path, "entrypoint"), "nothing says which template runs", "write spec.entrypoint")
    if spec.get("entrypoint"):
        yield from _known(flow, {"template": spec["entrypoint"]}, path, "entrypoint")
    yield from _hooks(flow, spec, path)


def _based(flow: Flow) -> Iterator[Problem]:
    if flow.base is None:
        yield from _unresolved(flow, flow.spec["workflowTemplateRef"], (*flow.path, "workflowTemplateRef", "name"))
    if flow.spec.get("templates"):
        fix = "remove one of the two"
        yield Problem(
            "unknown-template", (*flow.path, "templates"), "with workflowTemplateRef, a workflow has no templates of its own", fix
        )


def _known(flow: Flow, holder: Mapping[str, Any], path: Path, field: str = "") -> Iterator[Problem]:
    """Whether what a step, a task or a hook calls is there."""
    reference = holder.get("templateRef")
    if reference and holder.get("template"):
        yield Problem("unknown-template", (*path, "templateRef"), "template and templateRef exclude each other", "remove one of the two")
        return
    target = flow.called(holder, path)
    if reference:
        cluster = bool(reference.get("clusterScope", False))
        other = flow.library.find(reference.get("name", ""), cluster, flow.namespace)
        if other is None:
            yield from _unresolved(flow, reference, (*path, "templateRef", "name"))
        elif target is False:
            message = f"{other.name} has no template {reference.get('template', '')!r}"
            yield Problem(
                "unknown-template", (*path, "templateRef", "template"), message, near(reference.get("template", ""), other.templates)
            )
    elif target is False:
        home = flow.base if flow.base else flow
        name = holder.get("template", "")
        message = f"there is no template {name!r}" if name else "nothing says which template is called"
        yield Problem("unknown-template", (*path, field or "template"), message, near(name, home.templates) if name else "write template")


def _unresolved(flow: Flow, reference: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """An object that is not among those given may be on the cluster, but for a name that is one of theirs, misspelt."""
    name, cluster = reference.get("name", ""), bool(reference.get("clusterScope", False))
    known = [one for one in flow.library.names(cluster) if one != flow.name and re.sub(r"\d", "", one) != re.sub(r"\d", "", name)]
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
    if close:
        message = f"there is no {'Cluster' if cluster else ''}WorkflowTemplate {name!r} here"
        yield Problem("unresolved-reference", path, message, f"did you mean {close[0]}?")


def _hooks(flow: Flow, holder: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    for name, where, hook in hooks(holder, path):
        if where[-1] == "onExit":
            yield from _known(flow, hook, path, "onExit")
            continue
        yield from _known(flow, hook, where)
        if name != "exit" and not hook.get("expression"):
            message = f"the hook {name} never knows when to run"
            yield Problem("missing-field", (*where, "expression"), message, "write an expression; only the hook exit needs none")


def _names(items: Sequence[Mapping[str, Any]], path: Path, what: str, pattern: re.Pattern[str]) -> Iterator[Problem]:
    for number, item in enumerate(items):
        name = item.get("name", "")
        if not name:
            yield Problem("bad-name", (*path, number), f"a {what} needs a name", "write name")
        elif not pattern.fullmatch(_TAG.sub("x", name) if pattern is _PARAMETER_NAME else name):
            allowed = "letters, digits, - and _" if pattern is _PARAMETER_NAME else "letters, digits and -, the first no -"
            yield Problem("bad-name", (*path, number, "name"), f"{name!r} is no name of a {what}", f"write {allowed}")
    yield from _unique(items, path, what)


def _unique(items: Sequence[Mapping[str, Any]], path: Path, what: str) -> Iterator[Problem]:
    for name, count in Counter(item.get("name", "") for item in items).items():
        if count > 1 and name:
            again = [number for number, item in enumerate(items) if item.get("name") == name][1]
            yield Problem("duplicate-name", (*path, again, "name"), f"there are {count} of the {what} {name!r}", "rename one of them")


def _no_room(flow: Flow, holder: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    if holder.get("parallelism") == 0 and not flow.flawed:
        yield Problem("unknown-value", (*path, "parallelism"), "with 0, nothing ever starts", "write 1 or more, or remove it")


def _parameters(held: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    for kind in ("parameters", "artifacts"):
        yield from _names(held.get(kind, []), (*path, kind), kind.removesuffix("s"), _PARAMETER_NAME)


def _template(target: Target) -> Iterator[Problem]:
    kinds = [kind for kind in KINDS if kind in target.template]
    if len(kinds) != 1:
        message = f"this template is {' and '.join(kinds)}" if kinds else "this template does nothing"
        yield Problem("template-kind", target.path, message, f"write one of {', '.join(KINDS)}")
    yield from _no_room(target.flow, target.template, target.path)
    shown = target.template.get("annotations", {}).get(_DISPLAY_NAME, "")
    if shown and "{{" not in shown and not _SHOWN.fullmatch(shown):
        fix = "write 2 to 63 letters, digits, - and ."
        yield Problem("bad-name", (*target.path, "annotations", _DISPLAY_NAME), f"{shown!r} is no name for a node", fix)
    for section in ("inputs", "outputs"):
        yield from _parameters(target.template.get(section, {}), (*target.path, section))
    for field in ("volumes", "initContainers", "sidecars"):
        yield from _unique(target.template.get(field, []), (*target.path, field), field.removesuffix("s"))
    for kind in ("container", "script"):
        yield from _unique(target.template.get(kind, {}).get("env", []), (*target.path, kind, "env"), "variable")
    if target.kind == "containerSet":
        yield from _names(
            target.template["containerSet"].get("containers", []), (*target.path, "containerSet", "containers"), "container", _FIELD_NAME
        )
    yield from _misplaced(target)
    yield from _called(target)


def _misplaced(target: Target) -> Iterator[Problem]:
    holds = target.kind in HOLDERS
    given = target.template.get("activeDeadlineSeconds", 1)
    if str(given).lstrip("+-").isdigit() and int(given) <= 0 and not target.flow.flawed:
        yield Problem("bad-duration", (*target.path, "activeDeadlineSeconds"), f"{given} s is no time for anything", "write more than 0")
    for field, fits in (("activeDeadlineSeconds", not holds), ("timeout", not holds), ("parallelism", holds)):
        if field in target.template and not fits and target.kind:
            word = "steps and DAG templates" if field == "parallelism" else "templates that run pods"
            yield Problem("misplaced-field", (*target.path, field), f"{field} is only for {word}", "write it at the template that needs it")


def _called(target: Target) -> Iterator[Problem]:
    word = "step" if target.kind == "steps" else "task"
    names = Counter(call.name for call in target.calls)
    for call in target.calls:
        if not _FIELD_NAME.fullmatch(_TAG.sub("x", call.name) if word == "step" else call.name):
            what = f"{call.name!r} is no name of a {word}" if call.name else f"a {word} needs a name"
            yield Problem("bad-name", (*call.path, "name"), what, "write letters, digits and -, the first no -")
        elif names[call.name] > 1 and call is not next(other for other in target.calls if other.name == call.name):
            message = f"there are {names[call.name]} of the {word} {call.name!r}"
            yield Problem("duplicate-name", (*call.path, "name"), message, "rename one of them")
        if "inline" not in call.holder:
            yield from _known(target.flow, call.holder, call.path)
        yield from _parameters(call.holder.get("arguments", {}), (*call.path, "arguments"))
        yield from _hooks(target.flow, call.holder, call.path)


def _unused(flow: Flow) -> Iterator[Problem]:
    """Templates of a workflow that nothing calls; those of a WorkflowTemplate may be called from anywhere."""
    if flow.is_template or flow.flawed or flow.base is not False or not flow.spec.get("entrypoint"):
        return
    used, unsure = reached(flow, [flow.spec["entrypoint"], *(hook.get("template", "") for _, _, hook in hooks(flow.spec, ()))])
    for target in flow.listed if not unsure else ():
        if target.name and target.name not in used:
            yield Problem("unused-template", (*target.path, "name"), f"nothing calls the template {target.name!r}", "remove it, or call it")


def reached(flow: Flow, first: Sequence[str]) -> tuple[set[str], bool]:
    """The names of the templates that some templates call, and whether they call one that is not there, or not known before the run."""
    pending = list(first)
    found: set[str] = set()
    unsure = False
    while pending:
        name = pending.pop()
        unsure = unsure or (bool(name) and name not in flow.templates)
        if name in found or name not in flow.templates:
            continue
        found.add(name)
        holders = [flow.templates[name]]
        while holders:
            target = holders.pop()
            for call in target.calls:
                pending += [call.holder.get("template", ""), *(hook.get("template", "") for _, _, hook in hooks(call.holder, ()))]
                holders += [_inline(target, call)] if "inline" in call.holder else []
    return found, unsure


def _inline(target: Target, call: Call) -> Target:
    return Target(target.flow, (*call.path, "inline"), call.holder["inline"])
