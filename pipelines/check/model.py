"""The documents as Argo sees them: flows with templates, and what else is given beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from pipelines.check.findings import Path
from pipelines.check.reading import Document

# Where the spec of a workflow is, in each kind that has one.
SPECS: Mapping[str, Path] = {
    "Workflow": ("spec",),
    "WorkflowTemplate": ("spec",),
    "ClusterWorkflowTemplate": ("spec",),
    "CronWorkflow": ("spec", "workflowSpec"),
}
KINDS = ("container", "containerSet", "script", "resource", "data", "http", "plugin", "suspend", "steps", "dag")
# The places where an artifact can lie.
LOCATIONS = ("raw", "s3", "gcs", "git", "http", "hdfs", "oss", "azure", "artifactory", "plugin")
HOLDERS = ("steps", "dag")
HAS_RESULT = ("container", "containerSet", "script", "data", "http", "plugin")


@dataclass(frozen=True, eq=False)
class Target:
    """A template, and where it stands; `outer` are the call and the template that hold an inline one."""

    flow: Flow
    path: Path
    template: dict[str, Any]
    outer: tuple[Call, Target] | None = None

    @property
    def name(self) -> str:
        """Its name; an inline template has none."""
        return str(self.template.get("name", ""))

    @cached_property
    def kind(self) -> str:
        """What it does, empty where it says nothing."""
        return next((kind for kind in KINDS if kind in self.template), "")

    @cached_property
    def calls(self) -> list[Call]:
        """The steps or tasks of a steps or DAG template."""
        if self.kind == "steps":
            return [
                Call((*self.path, "steps", group, number), step, "steps", group)
                for group, steps in enumerate(self.template["steps"])
                for number, step in enumerate(steps)
            ]
        tasks = self.template["dag"].get("tasks", []) if self.kind == "dag" else []
        return [Call((*self.path, "dag", "tasks", number), task, "tasks", number) for number, task in enumerate(tasks)]

    def inputs(self, kind: str) -> list[dict[str, Any]]:
        """Its input parameters or artifacts."""
        return list(self.template.get("inputs", {}).get(kind, []))

    def outputs(self, kind: str) -> list[dict[str, Any]]:
        """Its output parameters or artifacts."""
        return list(self.template.get("outputs", {}).get(kind, []))


@dataclass(frozen=True, eq=False)
class Call:
    """A step, a task or a hook: something that calls a template."""

    path: Path
    holder: dict[str, Any]
    prefix: Literal["steps", "tasks"]
    group: int

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.holder.get("name", ""))

    @property
    def loops(self) -> bool:
        """Whether it runs once for each item."""
        return any(field in self.holder for field in ("withItems", "withParam", "withSequence"))


@dataclass(frozen=True, eq=False)
class Flow:
    """One workflow, or one template of workflows."""

    document: Document
    kind: str
    value: dict[str, Any]
    library: Library
    # Something of it is not what the schema says, and was left out: what nobody uses cannot be told.
    flawed: bool = False

    @property
    def path(self) -> Path:
        """Where its spec is."""
        return (*self.document.prefix, *SPECS[self.kind])

    @cached_property
    def spec(self) -> dict[str, Any]:
        """Its spec."""
        spec: dict[str, Any] = self.value.get("spec", {})
        return spec.get("workflowSpec", {}) if self.kind == "CronWorkflow" else spec

    @property
    def is_template(self) -> bool:
        """Whether others call it, who may supply what it lacks."""
        return self.kind.endswith("WorkflowTemplate")

    @property
    def name(self) -> str:
        """Its name, or how it begins."""
        metadata = self.value.get("metadata", {})
        return str(metadata.get("name") or metadata.get("generateName") or "")

    @property
    def namespace(self) -> str:
        """Its namespace, empty where it does not say."""
        return str(self.value.get("metadata", {}).get("namespace", ""))

    @cached_property
    def templates(self) -> dict[str, Target]:
        """Its templates by name."""
        found: dict[str, Target] = {}
        for target in self.listed:
            found.setdefault(target.name, target)
        return found

    @cached_property
    def listed(self) -> list[Target]:
        """Its templates as they stand."""
        return [Target(self, (*self.path, "templates", number), template) for number, template in enumerate(self.spec.get("templates", []))]

    @cached_property
    def every(self) -> list[Target]:
        """Its templates, and those written inline."""
        return list(_with_inline(self.listed))

    @cached_property
    def base(self) -> Flow | Literal[False] | None:
        """The template that its workflowTemplateRef names: None where that is not among the files, False where it names none."""
        reference = self.spec.get("workflowTemplateRef")
        if reference is None:
            return False
        return self.library.find(reference.get("name", ""), reference.get("clusterScope", False), self.namespace)

    @cached_property
    def defaults(self) -> dict[str, Any]:
        """What its templates have where they do not say."""
        return dict(self.spec.get("templateDefaults", {}))

    def of_template(self, target: Target, field: str) -> Any:
        """A field of a template, the workflow's default where it is not there."""
        return target.template.get(field, self.defaults.get(field))

    def called(self, holder: Mapping[str, Any], path: Path) -> Target | Literal[False] | None:
        """The template of a step, a task or a hook: None where it cannot be known, False where it does not exist."""
        if "inline" in holder:
            return Target(self, (*path, "inline"), holder["inline"])
        reference = holder.get("templateRef")
        name = reference.get("template", "") if reference else holder.get("template", "")
        if "{{" in name or (reference and "{{" in reference.get("name", "")):
            return None
        flow: Flow | Literal[False] | None = self
        if reference:
            flow = self.library.find(reference.get("name", ""), reference.get("clusterScope", False), self.namespace)
        elif self.base is not False:
            flow = self.base
        return flow.templates.get(name, False) if flow else None


def _with_inline(targets: Iterable[Target]) -> Iterator[Target]:
    for target in targets:
        yield target
        inside = [
            Target(target.flow, (*call.path, "inline"), call.holder["inline"], (call, target))
            for call in target.calls
            if "inline" in call.holder
        ]
        yield from _with_inline(inside)


def hooks(holder: Mapping[str, Any], path: Path) -> Iterator[tuple[str, Path, dict[str, Any]]]:
    """The hooks of a step, a task or a workflow: name, path and hook; `onExit` counts as one."""
    if holder.get("onExit"):
        yield "exit", (*path, "onExit"), {"template": holder["onExit"]}
    for name, hook in holder.get("hooks", {}).items():
        yield name, (*path, "hooks", name), hook


class Library:
    """Everything that was given, by kind and name."""

    def __init__(self) -> None:
        self.flows: list[Flow] = []
        self.others: dict[str, list[tuple[Document, dict[str, Any]]]] = {}
        self._templates: dict[tuple[bool, str], list[Flow]] = {}

    def add(self, flow: Flow) -> None:
        """Know a flow."""
        self.flows.append(flow)
        if flow.is_template:
            self._templates.setdefault((flow.kind.startswith("Cluster"), flow.name), []).append(flow)

    def find(self, name: str, cluster: bool, namespace: str) -> Flow | None:
        """The WorkflowTemplate or ClusterWorkflowTemplate of a name."""
        found = self._templates.get((bool(cluster), name), [])
        same = [flow for flow in found if cluster or flow.namespace in ("", namespace) or not namespace]
        return same[0] if same else None

    def names(self, cluster: bool) -> list[str]:
        """The names of all templates of workflows."""
        return [name for of_cluster, name in self._templates if of_cluster == bool(cluster)]

    def objects(self, *kinds: str) -> list[tuple[Document, dict[str, Any]]]:
        """The objects of Kubernetes' own kinds."""
        return [one for kind in kinds for one in self.others.get(kind, [])]
