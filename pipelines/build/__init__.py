"""From definitions to Argo's YAML. A definition imports its words from here; Hera is imported when one is compiled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pipelines.build import catalogue
from pipelines.build.definition import DEPLOYER, Pod, chain, pipeline, pod, step, until_target

__all__ = ["DEPLOYER", "Pod", "chain", "compile_named", "pipeline", "pod", "pod_yaml", "registry", "step", "until_target"]


def registry() -> Mapping[str, str]:
    """The pipelines by name, and what each does in one line."""
    return {name: definition.summary for name, definition in catalogue.definitions().items()}


def compile_named(name: str, kind: Literal["Workflow", "WorkflowTemplate"] = "Workflow") -> str:
    """The YAML of a pipeline. Raises contract.BadInput for an unknown name, with the nearest, and for what does not compile."""
    from pipelines.build import writer

    return writer.compile(catalogue.load(name), kind)


def pod_yaml(manifest: Pod) -> str:
    """The YAML of a Pod."""
    from pipelines.build import writer

    return writer.POD_HEADER + writer.to_yaml(manifest)
