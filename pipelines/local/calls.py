"""What is to be run: a call of a template, an attempt at it, the pod that a container template becomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from pipelines.local.nodes import Node

_UNSUCCESSFUL = "template has failed or errored children and failFast enabled"


# Told of each container of a set when it begins, and with its exit code when it has ended.
Told = Callable[[str, int | None], None]


class NotStarted(Exception):
    """A node that was never made, since a sibling failed and their template fails fast."""

    def __init__(self) -> None:
        super().__init__(_UNSUCCESSFUL)


@dataclass(frozen=True)
class Ended:
    """How a pod ended: the node's phase, message and outputs."""

    phase: str
    message: str = ""
    outputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Deadline:
    """When a pod must have ended (seconds since the epoch), and what its node says if it has not (else its exit code)."""

    moment: float
    message: str


class PodRunner(Protocol):
    """Runs one pod to its end. Raises EvaluationError for what can be no pod."""

    async def __call__(self, node: Node, template: Mapping[str, Any], deadline: Deadline | None, wants_result: bool, told: Told) -> Ended:
        """`wants_result` says that somebody names the pod's outputs.result."""


@dataclass(frozen=True)
class Call:
    """One node to be: a template called by a step, a task, a hook or the workflow itself.

    `parents` are the nodes that it follows, `boundary` the id of the steps or DAG node that it is part of.
    """

    name: str
    holder: Mapping[str, Any]
    caller: str = ""
    boundary: str = ""
    parents: tuple[Node, ...] = ()
    depth: int = 0
    on_exit: bool = False
    hooked: bool = False
    wants_result: bool = False


@dataclass(frozen=True)
class Attempt:
    """A call whose template is ready to be carried out; `end` is the last moment that a retry's backoff allows."""

    call: Call
    template: Mapping[str, Any]
    end: float | None = None
    retried: bool = False
