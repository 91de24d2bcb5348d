"""Templates: found by name, given their defaults and inputs, their tags replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pipelines.language import gotext, tags
from pipelines.language.errors import EvaluationError
from pipelines.language.tags import Variables
from pipelines.local.scope import ABSENT

# What a template does, in the order in which Argo looks; one row each, here and where it is carried out.
KINDS = ("container", "containerSet", "steps", "dag", "script", "resource", "data", "suspend", "http")
_POD_KINDS = ("container", "script", "containerSet", "resource", "data")
_SINGLE, _BESIDE = ("container", "script"), ("initContainers", "sidecars")
MAIN = "main"
# What tells where an artifact's content lies.
LOCATIONS = ("raw", "local", "http", "s3", "git")
# Lists whose elements are merged by a key, as Kubernetes does.
_KEYS = {"env": "name", "volumeMounts": "mountPath", "parameters": "name", "artifacts": "name", "volumes": "name"}


def kind(template: Mapping[str, Any]) -> str:
    """What a template does. Raises EvaluationError."""
    for name in KINDS:
        if name in template:
            return name
    raise EvaluationError(f"Template '{template.get('name', '')}' missing specification")


def is_pod(template: Mapping[str, Any]) -> bool:
    """Whether a template is carried out by a pod."""
    return any(name in template for name in _POD_KINDS)


def containers(template: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The containers of a pod's template, each with its path inside the template."""
    for name in _SINGLE:
        if name in template:
            yield name, template[name]
    for part in _BESIDE:
        yield from ((f"{part}[{place}]", one) for place, one in enumerate(template.get(part) or []))
    listed = (template.get("containerSet") or {}).get("containers") or []
    yield from ((f"containerSet.containers[{place}]", one) for place, one in enumerate(listed))


def main_containers(template: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The containers by which a pod succeeds or fails, by their names."""
    if "containerSet" in template:
        return {one["name"]: one for one in template["containerSet"]["containers"]}
    return {MAIN: next(template[name] for name in _SINGLE if name in template)}


def with_containers(template: Mapping[str, Any], change: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> dict[str, Any]:
    """A copy of a template in which each of its containers is changed."""
    result = {key: change(value) if key in _SINGLE else value for key, value in template.items()}
    for part in _BESIDE:
        if part in template:
            result[part] = [change(one) for one in template[part]]
    if "containerSet" in template:
        result["containerSet"] = {**template["containerSet"], "containers": [change(one) for one in template["containerSet"]["containers"]]}
    return result


def with_mounts(template: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a template in which each container has the mounts that it shares: those of its set, or of the main container."""
    common = (template.get("containerSet") or {}).get("volumeMounts") or []
    main = next((template[name].get("volumeMounts") or [] for name in _SINGLE if name in template), [])
    listed = {id(one): common for one in (template.get("containerSet") or {}).get("containers") or []}

    def changed(one: Mapping[str, Any]) -> Mapping[str, Any]:
        shared = main if one.get("mirrorVolumeMounts") else listed.get(id(one), [])
        return {**one, "volumeMounts": [*(one.get("volumeMounts") or []), *shared]} if shared else one

    return with_containers(template, changed)


def find(spec: Mapping[str, Any], holder: Mapping[str, Any]) -> Mapping[str, Any]:
    """The template of a step, a task or a hook. Raises EvaluationError."""
    if "inline" in holder:
        inline: Mapping[str, Any] = holder["inline"]
        return inline
    name = holder.get("template", "")
    for template in spec.get("templates") or []:
        if template.get("name") == name:
            found: Mapping[str, Any] = template
            return found
    raise EvaluationError(f"template {name!r} does not exist")


def with_defaults(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """A spec whose templateDefaults are in each of its templates; a template's own fields stand."""
    defaults = spec.get("templateDefaults")
    if not defaults:
        return spec
    rest = {key: value for key, value in spec.items() if key != "templateDefaults"}
    return {**rest, "templates": [_defaulted(template, defaults) for template in spec.get("templates") or []]}


def _defaulted(template: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    others = {name for name in KINDS if name not in template}

    def held(holder: Mapping[str, Any], _path: str) -> Mapping[str, Any]:
        return {**holder, "inline": _defaulted(holder["inline"], defaults)} if "inline" in holder else holder

    own = {key: value for key, value in defaults.items() if key not in others}
    return merged(own, with_holders(template, held))


def with_holders(template: Mapping[str, Any], change: Callable[[Mapping[str, Any], str], Mapping[str, Any]]) -> dict[str, Any]:
    """A copy of a template with each of its steps or tasks changed; `change` also gets its path inside the template."""
    result = dict(template)
    if "steps" in template:
        groups = enumerate(template["steps"])
        result["steps"] = [[change(step, f"steps[{place}][{index}]") for index, step in enumerate(group)] for place, group in groups]
    if "dag" in template:
        tasks = [change(task, f"dag.tasks[{place}]") for place, task in enumerate(template["dag"]["tasks"])]
        result["dag"] = {**template["dag"], "tasks": tasks}
    return result


def named(holder: Mapping[str, Any]) -> dict[str, Any]:
    """What a node tells of the template that it carries out: the reference to one of another object, else its name."""
    if "templateRef" in holder:
        return {"templateRef": holder["templateRef"]}
    return {"templateName": holder.get("template", "").rpartition("/")[2]}


def retry_strategy(spec: Mapping[str, Any], template: Mapping[str, Any]) -> dict[str, Any] | None:
    """How a template is tried again; the workflow's own strategy stands for templates without one."""
    strategy: dict[str, Any] | None = template.get("retryStrategy", spec.get("retryStrategy"))
    return strategy


def process(
    template: Mapping[str, Any], arguments: Mapping[str, Any], global_variables: Mapping[str, Any], local: Mapping[str, Any]
) -> dict[str, Any]:
    """A template with its inputs set from arguments and defaults, and every tag replaced that can be. Raises EvaluationError."""
    inputs = template.get("inputs") or {}
    given = {parameter["name"]: parameter for parameter in arguments.get("parameters") or []}
    ready = dict(template)
    if inputs:
        ready["inputs"] = {
            "parameters": [_parameter(parameter, given.get(parameter["name"])) for parameter in inputs.get("parameters") or []],
            "artifacts": _artifacts(inputs.get("artifacts") or [], arguments.get("artifacts") or []),
        }
    return substitute(ready, global_variables, local)


def substitute(template: Mapping[str, Any], global_variables: Mapping[str, Any], local: Mapping[str, Any]) -> dict[str, Any]:
    """A template with the tags replaced that name workflow, node and inputs; the inputs' own values come first."""
    outer = {**global_variables, **local}
    first: dict[str, Any] = tags.replace(dict(template), Variables(outer))
    inputs, outputs = first.get("inputs") or {}, first.get("outputs") or {}
    parameters = inputs.get("parameters") or []
    inner = {f"inputs.parameters.{parameter['name']}": parameter["value"] for parameter in parameters}
    inner["inputs.parameters"] = gotext.parameters_text(parameters)
    for section, owner in ((inputs, "inputs"), (outputs, "outputs")):
        for artifact in section.get("artifacts") or []:
            if artifact.get("path"):
                inner[f"{owner}.artifacts.{artifact['name']}.path"] = artifact["path"]
    for parameter in outputs.get("parameters") or []:
        if (parameter.get("valueFrom") or {}).get("path"):
            inner[f"outputs.parameters.{parameter['name']}.path"] = parameter["valueFrom"]["path"]
    second: dict[str, Any] = tags.replace(first, Variables(outer, inner))
    return second


def _parameter(declared: Mapping[str, Any], argument: Mapping[str, Any] | None) -> dict[str, Any]:
    value = declared.get("value", declared.get("default"))
    absent = argument is not None and argument.get("value") == ABSENT
    if argument is not None and not absent:
        value = argument.get("value")
    if value is None:
        why = "argument references an absent optional (skipped/omitted node output with no default)" if absent else "was not supplied"
        raise EvaluationError(f"inputs.parameters.{declared['name']}{':' if absent else ''} {why}")
    return {**declared, "value": gotext.any_string(value)}


def _artifacts(declared: list[Mapping[str, Any]], arguments: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    given = {artifact["name"]: artifact for artifact in arguments}
    found = []
    for artifact in declared:
        argument = given.get(artifact["name"])
        has_source = has_location(artifact) or (argument is not None and has_location(argument))
        if not has_source and not artifact.get("optional"):
            raise EvaluationError(f"inputs.artifacts.{artifact['name']} was not supplied")
        own = {key: artifact[key] for key in ("path", "mode", "recurseMode") if key in artifact}
        found.append({**(artifact if argument is None else argument), **own})
    return found


def has_location(artifact: Mapping[str, Any]) -> bool:
    """Whether it is known where an artifact's content lies."""
    return any(artifact.get(kind) for kind in LOCATIONS)


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """A map over another, as Kubernetes merges them: lists whose items have a key item by item, other lists whole."""
    result = dict(under)
    for key, value in over.items():
        below = under.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            result[key] = merged(below, value)
        elif isinstance(value, list) and isinstance(below, list) and key in _KEYS:
            own = {item.get(_KEYS[key]) for item in value}
            result[key] = [*value, *(item for item in below if item.get(_KEYS[key]) not in own)]
        else:
            result[key] = value
    return result
