"""What is wrong with a workflow beyond its fields: names, references, arguments, conditions, commands."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from pipelines.language import gotext, tags
from pipelines.language.errors import EvaluationError
from pipelines.local import configs, daemons, depends, locks, pod_checks, retry, templates, text_checks, variables
from pipelines.local.errors import Problem
from pipelines.local.pod_checks import Around


def of_meaning(workflow: Mapping[str, Any], around: Around, places: Mapping[str, str]) -> list[Problem]:
    """The problems of a workflow whose fields have none; `places` tells where templates of other objects are written."""
    spec = around.spec
    listed = spec.get("templates") or []

    def path_of(place: int) -> str:
        return places.get(listed[place].get("name", ""), f"spec.templates[{place}]")

    found = [*_names(spec), *_entry(spec, workflow), *configs.of_volumes(around.objects, spec.get("volumes") or [], "spec.volumes")]
    for place, template in enumerate(listed):
        found += _template(around, template, path_of(place))
    return found or list(text_checks.of_texts(workflow, path_of))


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
    if not spec.get("entrypoint"):
        yield Problem("spec.entrypoint", "it is missing, and must be there")
    else:
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


def _template(around: Around, template: Mapping[str, Any], path: str) -> Iterator[Problem]:
    kinds = [name for name in templates.KINDS if name in template]
    if len(kinds) != 1:
        found = " and ".join(kinds) or "none"
        yield Problem(path, f"a template is one of {', '.join(templates.KINDS)}; this one has {found}")
        return
    yield from _retry(template.get("retryStrategy"), f"{path}.retryStrategy")
    yield from text_checks.evaluated(f"{path}.synchronization.semaphores", partial(locks.check, objects=around.objects), template)
    if templates.is_pod(template):
        yield from pod_checks.of_pod(around, template, path)
        yield from _container_set(template, path)
        yield from daemons.problems(template, path)
    elif kinds[0] == "steps":
        yield from _steps(around, template, path)
    elif kinds[0] == "dag":
        yield from _dag(around, template, path)
    for place, parameter in enumerate((template.get("outputs") or {}).get("parameters") or []):
        if not parameter.get("valueFrom"):
            yield Problem(f"{path}.outputs.parameters[{place}]", "an output parameter needs a valueFrom")


def _container_set(template: Mapping[str, Any], path: str) -> Iterator[Problem]:
    listed = (template.get("containerSet") or {}).get("containers") or []
    where = f"{path}.containerSet.containers"
    yield from _unique(listed, where, "container")
    if "containerSet" in template and not listed:
        yield Problem(where, "expected at least one container")
    tasks = {one["name"]: one for one in listed}
    for place, one in enumerate(listed):
        for name in one.get("dependencies") or []:
            if name not in tasks:
                yield Problem(f"{where}[{place}].dependencies", f"there is no container {name!r}")
    ring = depends.cycle(tasks)
    if ring:
        yield Problem(where, f"these containers wait for each other: {' -> '.join(ring)}")
    has_files = any((template.get(part) or {}).get(kind) for part, kind in (("inputs", "artifacts"), ("outputs", "parameters")))
    if listed and "main" not in tasks and (has_files or (template.get("outputs") or {}).get("artifacts")):
        yield Problem(where, "a container set with files that go in or out needs a container named main")


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
            yield from text_checks.evaluated(f"{path}.backoff.{name}", gotext.duration_or_seconds, text)
    if strategy.get("expression"):
        yield from text_checks.expression(strategy["expression"], f"{path}.expression")


def _steps(around: Around, template: Mapping[str, Any], path: str) -> Iterator[Problem]:
    yield from _unique([step for group in template["steps"] for step in group], f"{path}.steps", "step")
    for place, group in enumerate(template["steps"]):
        for index, step in enumerate(group):
            yield from _holder(around, step, f"{path}.steps[{place}][{index}]")


def _dag(around: Around, template: Mapping[str, Any], path: str) -> Iterator[Problem]:
    listed = template["dag"].get("tasks") or []
    tasks = {task.get("name", ""): task for task in listed}
    yield from _unique(listed, f"{path}.dag.tasks", "task")
    for place, task in enumerate(listed):
        where = f"{path}.dag.tasks[{place}]"
        yield from _holder(around, task, where)
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


def _holder(around: Around, holder: Mapping[str, Any], path: str) -> Iterator[Problem]:
    spec = around.spec
    if not re.fullmatch(r"[a-zA-Z0-9][-a-zA-Z0-9_]*", holder.get("name") or ""):
        yield Problem(f"{path}.name", f"expected a name of letters, digits, - and _, got {holder.get('name')!r}")
    if "inline" in holder:
        yield from _template(around, {"name": "", **holder["inline"]}, f"{path}.inline")
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
    if ".steps[" in path and not holder.get("onExit") and "exit" not in (holder.get("hooks") or {}):
        yield from _own_outputs(holder, path)


def _hooks(spec: Mapping[str, Any], holder: Mapping[str, Any], path: str) -> Iterator[Problem]:
    for name, hook in (holder.get("hooks") or {}).items():
        where = f"{path}.hooks.{name}"
        yield from _known(spec, hook.get("template", ""), f"{where}.template")
        if hook.get("expression"):
            yield from text_checks.expression(hook["expression"], f"{where}.expression")
        elif name != "exit":
            yield Problem(where, "a hook needs an expression; only the one called exit runs without")


def _own_outputs(step: Mapping[str, Any], path: str) -> Iterator[Problem]:
    """Hooks that name what their own step leaves, which Argo knows where the step has an exit handler, and only there."""
    own = f"steps.{step.get('name')}.outputs."
    for name, hook in (step.get("hooks") or {}).items():
        named = [tag.strip() for tag in tags.found(gotext.json_text(hook.get("arguments") or {})) if tag.strip().startswith(own)]
        if named:
            yield Problem(f"{path}.hooks.{name}.arguments", f"{{{{{named[0]}}}}}: only a hook called exit may name its step's outputs")


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
            has_own = any(wanted.get(field) is not None for field in ("value", "default", "valueFrom", *templates.LOCATIONS)) or wanted.get(
                "optional"
            )
            if wanted.get("name") not in given and not has_own:
                yield Problem(
                    path,
                    f"the template {template.get('name', '')!r} needs the input {kind[:-1]} {wanted.get('name')!r}, which is not given",
                )
