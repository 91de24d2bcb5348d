"""What is wrong with a workflow beyond its fields: names, references, arguments, conditions, commands."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pipelines.local import depends, paths, retry, templates, variables
from pipelines.local.errors import EvaluationError, Problem
from pipelines.local.language import gotext, names, tags

_OF_IMAGE = re.compile(r"/(bin|boot|dev|etc|lib|lib64|proc|sbin|sys|usr)(/|$)")
Missing = Callable[[str, Mapping[str, str], str], bool]


def of_meaning(workflow: Mapping[str, Any], volumes: Mapping[str, str], missing: Missing) -> list[Problem]:
    """The problems of a workflow whose fields have none; `volumes` are those that the caller has a folder for.

    `missing(command, environment, working folder)` tells whether a command does not exist where pods run.
    """
    spec = workflow["spec"]
    found = [*_names(spec), *_entry(spec, workflow)]
    for place, template in enumerate(spec.get("templates") or []):
        found += _template(spec, template, f"spec.templates[{place}]", volumes, missing)
    return found or list(_texts(workflow))


def _names(spec: Mapping[str, Any]) -> Iterator[Problem]:
    for place, template in enumerate(spec.get("templates") or []):
        if not template.get("name"):
            yield Problem(f"spec.templates[{place}].name", "a template needs a name")
    yield from _unique(spec.get("templates") or [], "spec.templates", "template")
    yield from _unique((spec.get("arguments") or {}).get("parameters") or [], "spec.arguments.parameters", "parameter")


def _unique(items: list[Mapping[str, Any]], path: str, what: str) -> Iterator[Problem]:
    for name, count in Counter(item.get("name") for item in items).items():
        if count > 1:
            places = [place for place, item in enumerate(items) if item.get("name") == name]
            yield Problem(f"{path}[{places[1]}].name", f"there are {count} of the {what} {name!r}")


def _entry(spec: Mapping[str, Any], workflow: Mapping[str, Any]) -> Iterator[Problem]:
    if not workflow.get("metadata", {}).get("name") and not workflow.get("metadata", {}).get("generateName"):
        yield Problem("metadata.name", "a workflow needs a name or a generateName")
    yield from _known(spec, spec["entrypoint"], "spec.entrypoint")
    yield from _supplied(spec, {"template": spec["entrypoint"], "arguments": spec.get("arguments") or {}}, "spec.arguments")
    if spec.get("onExit"):
        yield from _known(spec, spec["onExit"], "spec.onExit")
    yield from _hooks(spec, spec, "spec")
    for place, parameter in enumerate((spec.get("arguments") or {}).get("parameters") or []):
        path = f"spec.arguments.parameters[{place}]"
        if (
            parameter.get("value") is None
            and (parameter.get("valueFrom") or {}).get("default") is None
            and parameter.get("default") is None
        ):
            yield Problem(path, f"{parameter['name']} has no value; give one with -p {parameter['name']}=VALUE")
        elif parameter.get("enum") and variables.value(parameter) not in map(gotext.any_string, parameter["enum"]):
            yield Problem(
                path, f"{parameter['name']}: expected one of {', '.join(map(str, parameter['enum']))}, got {variables.value(parameter)!r}"
            )


def _known(spec: Mapping[str, Any], name: str, path: str) -> Iterator[Problem]:
    known = [template.get("name", "") for template in spec.get("templates") or []]
    if name not in known and "{{" not in name:
        near = difflib.get_close_matches(name, known, n=1)
        yield Problem(path, f"there is no template {name!r}" + (f"; did you mean {near[0]}?" if near else ""))


def _template(
    spec: Mapping[str, Any], template: Mapping[str, Any], path: str, volumes: Mapping[str, str], missing: Missing
) -> Iterator[Problem]:
    kinds = [name for name in templates.KINDS if name in template]
    if len(kinds) != 1:
        found = " and ".join(kinds) or "none"
        yield Problem(path, f"a template is one of {', '.join(templates.KINDS)}; this one has {found}")
        return
    yield from _retry(template.get("retryStrategy"), f"{path}.retryStrategy")
    if templates.is_pod(template):
        yield from _container(spec, template, f"{path}.{kinds[0]}", volumes, missing)
    elif kinds[0] == "steps":
        yield from _steps(spec, template, path, volumes, missing)
    elif kinds[0] == "dag":
        yield from _dag(spec, template, path, volumes, missing)
    elif template["suspend"].get("duration") is None:
        yield Problem(f"{path}.suspend", "waiting for a person is not supported; give a duration")
    for place, parameter in enumerate((template.get("outputs") or {}).get("parameters") or []):
        if not parameter.get("valueFrom"):
            yield Problem(f"{path}.outputs.parameters[{place}]", "an output parameter needs a valueFrom")


def _retry(strategy: Mapping[str, Any] | None, path: str) -> Iterator[Problem]:
    if not strategy:
        return
    if retry.policy(strategy) not in retry.POLICIES:
        yield Problem(f"{path}.retryPolicy", f"expected one of {', '.join(retry.POLICIES)}, got {strategy['retryPolicy']!r}")
    backoff = strategy.get("backoff") or {}
    if backoff and not backoff.get("duration"):
        yield Problem(f"{path}.backoff", "it has no duration, and every retry would end in an error")
    for name in ("duration", "cap", "maxDuration"):
        text = gotext.any_string(backoff.get(name))
        if text and "{{" not in text:
            yield from _evaluated(f"{path}.backoff.{name}", gotext.duration_or_seconds, text)
    if strategy.get("expression"):
        yield from _expression(strategy["expression"], f"{path}.expression")


def _container(
    spec: Mapping[str, Any], template: Mapping[str, Any], path: str, volumes: Mapping[str, str], missing: Missing
) -> Iterator[Problem]:
    container = templates.container(template)
    declared = {volume["name"]: volume for volume in [*(spec.get("volumes") or []), *(template.get("volumes") or [])]}
    declared |= {claim["metadata"].get("name", ""): claim for claim in spec.get("volumeClaimTemplates") or []}
    for place, mount in enumerate(container.get("volumeMounts") or []):
        name = mount.get("name")
        where = f"{path}.volumeMounts[{place}]"
        if name not in declared:
            yield Problem(f"{where}.name", f"there is no volume {name!r}")
        elif not _has_folder(declared[name], volumes):
            kind = next((key for key in declared[name] if key != "name"), "no kind")
            yield Problem(f"{where}.name", f"the volume {name!r} is of kind {kind}, which is not on this machine; give a folder for it")
        if "{{" in str(mount.get("mountPath", "")):
            yield Problem(f"{where}.mountPath", "a path that is not known before the start is not supported")
    yield from _artifacts(template, path.rpartition(".")[0])
    command = [gotext.any_string(part) for part in container.get("command") or []]
    if not command:
        yield Problem(f"{path}.command", "the image's own command is not known here; write it down")
    elif "{{" not in command[0]:
        own = {entry["name"]: gotext.any_string(entry.get("value")) for entry in container.get("env") or []}
        if paths.POD not in command[0] and missing(command[0], own, container.get("workingDir", "")):
            yield Problem(
                f"{path}.command[0]", f"{command[0]!r} is no command of this machine (the image is not used); install it or change PATH"
            )


def _artifacts(template: Mapping[str, Any], path: str) -> Iterator[Problem]:
    for place, artifact in enumerate((template.get("outputs") or {}).get("artifacts") or []):
        where = f"{path}.outputs.artifacts[{place}].path"
        if not artifact.get("path"):
            yield Problem(where, "an output of a container needs a path")
        elif _OF_IMAGE.match(paths.in_container(artifact["path"])):
            yield Problem(where, f"{paths.in_container(artifact['path'])} is part of the image, which is not used")


def _has_folder(volume: Mapping[str, Any], volumes: Mapping[str, str]) -> bool:
    own = any(kind in volume for kind in ("metadata", "emptyDir", "persistentVolumeClaim"))
    return own or paths.given_folder(volume, volumes) is not None


def _steps(
    spec: Mapping[str, Any], template: Mapping[str, Any], path: str, volumes: Mapping[str, str], missing: Missing
) -> Iterator[Problem]:
    yield from _unique([step for group in template["steps"] for step in group], f"{path}.steps", "step")
    for place, group in enumerate(template["steps"]):
        for index, step in enumerate(group):
            yield from _holder(spec, step, f"{path}.steps[{place}][{index}]", volumes, missing)


def _dag(
    spec: Mapping[str, Any], template: Mapping[str, Any], path: str, volumes: Mapping[str, str], missing: Missing
) -> Iterator[Problem]:
    listed = template["dag"].get("tasks") or []
    tasks = {task.get("name", ""): task for task in listed}
    yield from _unique(listed, f"{path}.dag.tasks", "task")
    for place, task in enumerate(listed):
        where = f"{path}.dag.tasks[{place}]"
        yield from _holder(spec, task, where, volumes, missing)
        field = "depends" if task.get("depends") else "dependencies"
        for name in depends.names(task):
            if name not in tasks:
                near = difflib.get_close_matches(name, tasks, n=1)
                yield Problem(f"{where}.{field}", f"there is no task {name!r}" + (f"; did you mean {near[0]}?" if near else ""))
        for name, result in depends.results(task):
            if result not in depends.RESULTS:
                yield Problem(f"{where}.depends", f"{name}.{result}: expected one of {', '.join(depends.RESULTS)}")
    for name in str(template["dag"].get("target") or "").split():
        if name not in tasks and "{{" not in name:
            yield Problem(f"{path}.dag.target", f"there is no task {name!r}")
    if any(task.get("depends") for task in listed) and any(task.get("dependencies") for task in listed):
        yield Problem(f"{path}.dag.tasks", "the tasks of a DAG have depends or dependencies, not both")
    ring = depends.cycle(tasks)
    if ring:
        yield Problem(f"{path}.dag.tasks", f"these tasks wait for each other: {' -> '.join(ring)}")


def _holder(
    spec: Mapping[str, Any], holder: Mapping[str, Any], path: str, volumes: Mapping[str, str], missing: Missing
) -> Iterator[Problem]:
    if not re.fullmatch(r"[a-zA-Z0-9][-a-zA-Z0-9_]*", holder.get("name") or ""):
        yield Problem(f"{path}.name", f"expected a name of letters, digits, - and _, got {holder.get('name')!r}")
    if "inline" in holder:
        yield from _template(spec, {"name": "", **holder["inline"]}, f"{path}.inline", volumes, missing)
    elif not holder.get("template"):
        yield Problem(f"{path}.template", "it says which template to call, and is missing")
    else:
        yield from _known(spec, holder["template"], f"{path}.template")
    yield from _supplied(spec, holder, f"{path}.arguments")
    loops = [name for name in ("withItems", "withParam", "withSequence") if holder.get(name) is not None]
    if len(loops) > 1:
        yield Problem(f"{path}.{loops[1]}", f"a loop has one of withItems, withParam and withSequence, not {' and '.join(loops)}")
    if holder.get("onExit"):
        yield from _known(spec, holder["onExit"], f"{path}.onExit")
    yield from _hooks(spec, holder, path)


def _hooks(spec: Mapping[str, Any], holder: Mapping[str, Any], path: str) -> Iterator[Problem]:
    for name, hook in (holder.get("hooks") or {}).items():
        if name != "exit":
            yield Problem(f"{path}.hooks.{name}", "of the lifecycle hooks only exit is supported")
            continue
        yield from _known(spec, hook.get("template", ""), f"{path}.hooks.exit.template")
        if hook.get("expression"):
            yield from _expression(hook["expression"], f"{path}.hooks.exit.expression")


def _supplied(spec: Mapping[str, Any], holder: Mapping[str, Any], path: str) -> Iterator[Problem]:
    """Inputs that nobody supplies."""
    try:
        template = templates.find(spec, holder)
    except EvaluationError:
        return
    arguments = holder.get("arguments") or {}
    for kind in ("parameters", "artifacts"):
        given = {argument.get("name") for argument in arguments.get(kind) or []}
        for wanted in (template.get("inputs") or {}).get(kind) or []:
            has_own = any(wanted.get(field) is not None for field in ("value", "default", "valueFrom", "raw")) or wanted.get("optional")
            if wanted.get("name") not in given and not has_own:
                yield Problem(
                    path,
                    f"the template {template.get('name', '')!r} needs the input {kind[:-1]} {wanted.get('name')!r}, which is not given",
                )


def _texts(workflow: Mapping[str, Any]) -> Iterator[Problem]:
    """Tags and expressions in every text."""
    spec = workflow["spec"]
    known = variables.of_workflow(workflow, "name", "uid", 0.0)
    for place, template in enumerate(spec.get("templates") or []):
        inputs = {f"inputs.parameters.{parameter['name']}" for parameter in (template.get("inputs") or {}).get("parameters") or []}
        for path, text in _all_texts(template, f"spec.templates[{place}]"):
            for tag in tags.found(text):
                yield from _tag(tag.strip(), path, known, inputs)
            if path.endswith(".valueFrom.expression"):
                yield from _expression(text, path)


def _tag(tag: str, path: str, known: Mapping[str, str], inputs: set[str]) -> Iterator[Problem]:
    if tag.startswith("="):
        yield from _expression(tag[1:], path)
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


def _expression(text: str, path: str) -> Iterator[Problem]:
    if "{{" in text:
        return
    yield from _evaluated(path, _parsed, text)


def _parsed(text: str) -> None:
    missing = names.missing_functions(text)
    if missing:
        raise EvaluationError(f"{text!r}: the function {missing[0]} is not supported here")


def _evaluated(path: str, function: Callable[[str], Any], text: str) -> Iterator[Problem]:
    try:
        function(text)
    except EvaluationError as error:
        yield Problem(path, str(error))
