"""What a workflow refers to in other objects, put into it: templateRef, workflowTemplateRef, a CronWorkflow's workflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.local import document, problems, templates, variables
from pipelines.local.errors import Problem

Objects = Sequence[Mapping[str, Any]]
_CRON = "CronWorkflow"


def find(objects: Objects, kind: str, name: str) -> Mapping[str, Any] | None:
    """The object of a kind and a name among those given."""
    return next((one for one in objects if name and one.get("kind") == kind and document.name_of(one) == name), None)


def of_fields(workflow: Any, objects: Objects) -> list[Problem]:
    """The problems in the fields of a workflow, and in those of the template that it is made of."""
    is_cron = isinstance(workflow, dict) and workflow.get("kind") == _CRON
    found = list(problems.of_fields(workflow, _CRON if is_cron else "Workflow"))
    reference = {} if found else _own_spec(workflow).get("workflowTemplateRef")
    if not reference:
        return found
    path = "spec.workflowSpec.workflowTemplateRef" if is_cron else "spec.workflowTemplateRef"
    if _own_spec(workflow).get("templates"):
        return [Problem(path, "a workflow that is made of a WorkflowTemplate has no templates of its own")]
    whole = find(objects, _kind(reference), reference["name"])
    return [_absent(reference, path)] if whole is None else list(_within(whole, problems.of_fields(whole)))


def whole(workflow: Mapping[str, Any], objects: Objects) -> Mapping[str, Any]:
    """The Workflow of a CronWorkflow, with what its workflowTemplateRef names; one whose fields have problems is left as it is."""
    if of_fields(workflow, objects):
        return workflow
    if workflow.get("kind") == _CRON:
        workflow = _scheduled(workflow)
    reference = workflow["spec"].get("workflowTemplateRef")
    if not reference:
        return workflow
    under = (find(objects, _kind(reference), reference["name"]) or {})["spec"]
    over = {key: value for key, value in workflow["spec"].items() if key != "workflowTemplateRef"}
    spec = templates.merged(under, over)
    if "hooks" in spec:
        spec["hooks"] = {**(under.get("hooks") or {}), **(over.get("hooks") or {})}
    own = {one["name"]: one for one in _parameters(over)}
    if _parameters(spec):
        listed = [own.get(one["name"], one) for one in _parameters(spec)]
        spec["arguments"] = {**spec["arguments"], "parameters": listed}
    return {**workflow, "spec": spec}


def _scheduled(cron: Mapping[str, Any]) -> dict[str, Any]:
    metadata, extra = cron.get("metadata") or {}, cron["spec"].get("workflowMetadata") or {}
    name = metadata.get("name") or ""
    labels = {variables.CRON_LABEL: name, **(extra.get("labels") or {})}
    made = {"generateName": f"{name}-", "labels": labels, "annotations": extra.get("annotations") or {}} if name else {}
    return {"apiVersion": cron.get("apiVersion"), "kind": "Workflow", "metadata": made, "spec": cron["spec"]["workflowSpec"]}


def copied(workflow: Mapping[str, Any], objects: Objects) -> tuple[dict[str, Any], dict[str, str], list[Problem]]:
    """The workflow's spec with a copy of each template that a templateRef names; where each copy is written; and the problems.

    A copy's name is OBJECT/TEMPLATE, as no template of a file may be called.
    """
    copies = _Copies(objects)
    spec = copies.holder(workflow["spec"], "", "spec")
    reference = workflow["spec"].get("templates") or []
    own = [copies.template(template, "", f"spec.templates[{place}]") for place, template in enumerate(reference)]
    return {**spec, "templates": [*own, *copies.templates.values()]}, copies.places, copies.problems


class _Copies:
    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self.templates: dict[str, dict[str, Any]] = {}
        self.places: dict[str, str] = {}
        self.problems: list[Problem] = []

    def template(self, template: Mapping[str, Any], base: str, path: str) -> dict[str, Any]:
        """A template whose references name copies; `base` is the object that it is part of, as KIND/NAME."""
        return templates.with_holders(template, lambda holder, inner: self.holder(holder, base, f"{path}.{inner}"))

    def holder(self, holder: Mapping[str, Any], base: str, path: str) -> dict[str, Any]:
        """The same for a step, a task, a hook or the workflow itself."""
        changed = dict(holder)
        if "templateRef" in holder:
            changed["template"] = self._copy(holder["templateRef"], f"{path}.templateRef")
        elif base and holder.get("template"):
            changed["template"] = self._inner(base, holder["template"], f"{path}.template")
        if base and holder.get("onExit"):
            changed["onExit"] = self._inner(base, holder["onExit"], f"{path}.onExit")
        if "inline" in holder:
            changed["inline"] = self.template(holder["inline"], base, f"{path}.inline")
        if "hooks" in holder:
            changed["hooks"] = {name: self.holder(hook, base, f"{path}.hooks.{name}") for name, hook in holder["hooks"].items()}
        return changed

    def _copy(self, reference: Mapping[str, Any], path: str) -> str:
        if "{{" in f"{reference['name']}{reference['template']}":
            self.problems.append(Problem(path, "a reference that is not known before the start is not supported"))
            return ""
        if find(self._objects, _kind(reference), reference["name"]) is None:
            self.problems.append(_absent(reference, path))
            return ""
        return self._inner(f"{_kind(reference)}/{reference['name']}", reference["template"], f"{path}.template")

    def _inner(self, base: str, name: str, path: str) -> str:
        key = f"{base}/{name}"
        kind, _, owner = base.partition("/")
        source = find(self._objects, kind, owner) or {}
        if key in self.templates or self._has_problems(source):
            return key
        listed = (source.get("spec") or {}).get("templates") or []
        place = next((place for place, one in enumerate(listed) if one.get("name") == name), None)
        if place is None:
            self.problems.append(Problem(path, f"the {kind} {owner} has no template {name!r}"))
            return key
        self.places[key] = f"{kind} {owner}: spec.templates[{place}]"
        self.templates[key] = {}
        self.templates[key] = {**self.template(listed[place], base, self.places[key]), "name": key}
        return key

    def _has_problems(self, source: Mapping[str, Any]) -> bool:
        found = list(_within(source, problems.of_fields(source)))
        self.problems += [problem for problem in found if problem not in self.problems]
        return bool(found)


def _kind(reference: Mapping[str, Any]) -> str:
    return "ClusterWorkflowTemplate" if reference.get("clusterScope") else "WorkflowTemplate"


def _absent(reference: Mapping[str, Any], path: str) -> Problem:
    kind = _kind(reference)
    return Problem(path, f"there is no {kind} {reference['name']!r} among the files; name the file that holds it after the workflow's")


def _within(source: Mapping[str, Any], found: Any) -> list[Problem]:
    return [Problem(f"{source.get('kind')} {document.name_of(source)}: {problem.path}", problem.message) for problem in found]


def _own_spec(workflow: Mapping[str, Any]) -> Mapping[str, Any]:
    spec: Mapping[str, Any] = workflow["spec"]["workflowSpec"] if workflow.get("kind") == _CRON else workflow["spec"]
    return spec


def _parameters(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = (spec.get("arguments") or {}).get("parameters") or []
    return found
