"""Outputs: those that their template cannot have, that nobody writes, and those of steps that may be skipped."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.check.fields import texts
from pipelines.check.findings import Path, Problem
from pipelines.check.graph import ended_before, waits_for
from pipelines.check.model import LOCATIONS, Call, Flow, Target
from pipelines.language import names, tags, when
from pipelines.language.errors import EvaluationError

_SOURCES = ("path", "jqFilter", "jsonPath", "parameter", "expression")
# Which source of a parameter's value a kind of template can have.
_FITTING: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("container", "containerSet", "script"), ("path",)),
    "resource": ("jqFilter", "jsonPath"),
    **dict.fromkeys(("steps", "dag"), ("parameter", "expression")),
}
_WITH_FILES = ("container", "containerSet", "script")
# Parts of an image that are there without a program.
_OF_IMAGE = re.compile(r"/(bin|dev|etc|lib|lib64|proc|sbin|sys|usr|var)/")
_SHELLS = re.compile(r"(^|/)(sh|bash|ash|dash|zsh)$")


def problems(flow: Flow) -> Iterator[Problem]:
    """What is wrong with the outputs of all templates."""
    for target in flow.every:
        yield from _parameters(target)
        yield from _artifacts(target)
        yield from _unwritten(target)
        yield from _skipped(target)


def _parameters(target: Target) -> Iterator[Problem]:
    fitting = _FITTING.get(target.kind)
    for number, parameter in enumerate(target.outputs("parameters")):
        path = (*target.path, "outputs", "parameters", number)
        source = parameter.get("valueFrom")
        if source is None and "value" not in parameter:
            fix = f"write valueFrom.{' or valueFrom.'.join(fitting or ('supplied',))}"
            yield Problem("bad-output", path, f"nothing says where the output {parameter.get('name')!r} comes from", fix)
        elif source is not None and "value" in parameter:
            yield Problem("bad-output", (*path, "value"), "an output has a value or a valueFrom", "remove one of the two")
        elif source is not None and fitting:
            given = [field for field in _SOURCES if source.get(field)]
            if len(given) != 1 or given[0] not in fitting:
                told = " and ".join(given) or "nothing"
                message = f"an output of a {target.kind} template comes from {' or '.join(fitting)}, not from {told}"
                yield Problem("bad-output", (*path, "valueFrom"), message, f"write valueFrom.{fitting[0]}")


def _artifacts(target: Target) -> Iterator[Problem]:
    holds = target.kind in ("steps", "dag")
    for section in ("inputs", "outputs"):
        for number, artifact in enumerate(target.template.get(section, {}).get("artifacts", [])):
            path = (*target.path, section, "artifacts", number)
            name = artifact.get("name", "")
            if holds and artifact.get("path"):
                yield Problem("bad-artifact", (*path, "path"), f"a {target.kind} template has no files", "write from, not path")
            elif target.kind in _WITH_FILES and not artifact.get("path"):
                yield Problem("bad-artifact", path, f"the artifact {name!r} of a {target.kind} template needs a path", "write path")
            if section == "inputs" and artifact.get("from"):
                fix = "write from at the step's arguments"
                yield Problem("bad-artifact", (*path, "from"), "an input says not where it comes from", fix)
            if artifact.get("from") and artifact.get("fromExpression"):
                message = "an artifact has from or fromExpression"
                yield Problem("bad-artifact", (*path, "fromExpression"), message, "remove one of the two")
            places = [field for field in LOCATIONS if field in artifact]
            if len(places) > 1:
                message = f"an artifact lies at one place, not at {' and '.join(places)}"
                yield Problem("bad-artifact", (*path, places[1]), message, f"remove {places[1]}")


def _unwritten(target: Target) -> Iterator[Problem]:
    """Output parameters whose file the program, where the whole of it stands in the workflow, never names."""
    program = _program(target)
    if program is None:
        return
    mounts = [mount.get("mountPath", "") for mount in target.template[target.kind].get("volumeMounts", [])]
    mounts += [artifact.get("path", "") for artifact in target.inputs("artifacts")]
    for number, parameter in enumerate(target.outputs("parameters")):
        source = parameter.get("valueFrom", {})
        file = source.get("path", "")
        said = (file, posixpath.basename(file), f"outputs.parameters.{parameter.get('name', '')}.path")
        if (
            not file
            or "{{" in file
            or "default" in source
            or _OF_IMAGE.match(file)
            or any(file.startswith(mount) for mount in mounts if mount)
        ):
            continue
        if not any(part in program for part in said):
            path = (*target.path, "outputs", "parameters", number, "valueFrom", "path")
            message = f"the program never names {file}, so the output {parameter.get('name')!r} will be missing"
            yield Problem("output-not-written", path, message, "let it write that file, or write valueFrom.default")


def _program(target: Target) -> str | None:
    if target.kind == "script":
        script = target.template["script"]
        return "\n".join([script.get("source", ""), *script.get("args", []), *_environment(script)])
    if target.kind != "container":
        return None
    container = target.template["container"]
    words = [*container.get("command", []), *container.get("args", [])]
    if not words or not _SHELLS.search(words[0]) or not any(re.fullmatch(r"-\w*c", word) for word in words[1:3]):
        return None
    return "\n".join([*words, *_environment(container)])


def _environment(container: Mapping[str, Any]) -> list[str]:
    return [str(entry.get("value", "")) for entry in container.get("env", [])]


@dataclass(frozen=True)
class _Use:
    """A place that names an output of another step."""

    path: Path
    node: str
    output: str
    pure: bool


def _skipped(target: Target) -> Iterator[Problem]:
    producers = {call.name: call for call in target.calls if _may_be_skipped(call)}
    if not producers:
        return
    for call in target.calls:
        if not call.holder.get("when"):  # else whether it runs at all cannot be known
            yield from _skipped_arguments(target, call, producers)
    prefix = target.calls[0].prefix
    for number, parameter in enumerate(target.outputs("parameters")):
        source = parameter.get("valueFrom", {})
        if "default" in source:
            continue
        for use in _uses(source, (*target.path, "outputs", "parameters", number, "valueFrom"), prefix):
            if use.node in producers and not _has_default(target, producers[use.node], use.output):
                yield _problem(use, prefix)


def _skipped_arguments(target: Target, call: Call, producers: Mapping[str, Call]) -> Iterator[Problem]:
    for use in _uses(call.holder.get("arguments", {}), (*call.path, "arguments"), call.prefix):
        producer = producers.get(use.node)
        if producer is None or not _runs_after_a_skip(target, call, producer) or _has_default(target, producer, use.output):
            continue
        if not (use.pure and _input_has_default(target, call, use.path)):
            yield _problem(use, call.prefix)


def _problem(use: _Use, prefix: str) -> Problem:
    name = f"{prefix}.{use.node}.outputs.{use.output}"
    message = f"{name} is not there when {use.node} is skipped by its when, and nothing says what counts then"
    if use.output.startswith("artifacts."):
        return Problem("skipped-output", use.path, message, "write optional: true at the argument or the input")
    fix = f"write valueFrom.default at the output, a default at the input, or {{{{={name} ?? '...'}}}} (with ['...'] around names with -)"
    return Problem("skipped-output", use.path, message, fix)


def _may_be_skipped(call: Call) -> bool:
    text = call.holder.get("when", "")
    if not text or "{{" in text:
        return bool(text)
    try:
        return not when.truth(text)
    except EvaluationError:
        return False


def _uses(value: Any, path: Path, prefix: str) -> Iterator[_Use]:
    found = list(texts(value, path))
    if isinstance(value, dict) and isinstance(value.get("expression"), str):
        found.append(((*path, "expression"), f"{{{{={value['expression']}}}}}"))
    for where, text in found:
        for tag in tags.found(text):
            pure = text.strip() == f"{{{{{tag}}}}}"
            for name in _needed(tag):
                match = re.fullmatch(rf"{prefix}\.([^.]+)\.outputs\.(result|parameters\.[^.]+|artifacts\.[^.]+)", name)
                if match:
                    yield _Use(where, match[1], match[2], pure and not tag.startswith("="))


def _needed(tag: str) -> list[str]:
    if not tag.startswith("="):
        return [tag.strip()]
    if "?" in tag.replace("??", "").replace("?.", ""):
        return []  # a condition decides
    try:
        return names.variables(tag[1:])
    except EvaluationError:
        return []


def _has_default(target: Target, producer: Call, output: str) -> bool:
    called = target.flow.called(producer.holder, producer.path)
    if not called:
        return True  # it cannot be known
    declared = [one for one in called.outputs("parameters") if f"parameters.{one.get('name', '')}" == output]
    return any("default" in one.get("valueFrom", {}) for one in declared)


def _input_has_default(target: Target, call: Call, path: Path) -> bool:
    called = target.flow.called(call.holder, call.path)
    kind, number = str(path[-3]), path[-2]
    if not called or not isinstance(number, int):
        return not called
    argument = call.holder["arguments"][kind][number]
    wanted = [one for one in called.inputs(kind) if one.get("name") == argument.get("name")]
    return any(field in one for one in [*wanted, argument] for field in ("default", "optional")) or any("value" in one for one in wanted)


def _runs_after_a_skip(target: Target, call: Call, producer: Call) -> bool:
    """Whether a step or task surely runs when another one is skipped."""
    if not ended_before(target, call)(producer.name):
        return False
    if call.prefix == "steps":
        return True
    tasks = {other.name: other for other in target.calls}
    pending, seen = [call.name], set()
    while pending:
        name = pending.pop()
        for before in waits_for(tasks[name].holder) if name in tasks else ():
            if before == producer.name and not _needs_success(tasks[name].holder.get("depends", ""), before):
                return True
            if before not in seen and before in tasks and not tasks[before].holder.get("when"):
                seen.add(before)
                pending.append(before)
    return False


def _needs_success(depends: str, name: str) -> bool:
    """Whether a depends names only results of a task that it has when it ran."""
    results = re.findall(rf"(?<![-\w]){re.escape(name)}(?:\.(\w+))?(?![-\w])", depends)
    return bool(results) and all(result and result not in ("Skipped", "Omitted") for result in results)
