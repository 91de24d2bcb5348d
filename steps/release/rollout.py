"""What the states of a Deployment and its pods mean for a release: what is still awaited, and what will not mend itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from steps import contract
from steps.release.manifests import RELEASE

Object = dict[str, Any]

_SAID = 600


@dataclass(frozen=True)
class Trouble:
    """Why a rollout does not come on. It is raised when it has been seen for `settle_s`: most troubles may be those of a moment."""

    what: str
    error: type[contract.StepError]
    settle_s: float


_PROGRAM = "look at SERVING_IMAGE: it must have tensorflow_model_server on its PATH"
# Reasons for which a container waits (kubelet's images/types.go and kuberuntime), how long they may pass, and what to do.
_WAITING: Mapping[str, tuple[float, str]] = {
    "InvalidImageName": (0, "SERVING_IMAGE is no name of an image"),
    "ErrImageNeverPull": (0, "the node has no such image, and PULL_POLICY forbids to pull it"),
    "ErrImagePull": (20, "look at SERVING_IMAGE and PULL_SECRET"),
    "ImagePullBackOff": (20, "look at SERVING_IMAGE and PULL_SECRET"),
    "ImageInspectError": (20, "look at the node"),
    "CreateContainerConfigError": (20, "look at CLAIM, USER_ID and the folder of the model on the volume"),
    "CreateContainerError": (20, _PROGRAM),
    "RunContainerError": (20, _PROGRAM),
}
# What a registry that is there, but not well, makes the kubelet say.
_REGISTRY_IS_ILL = re.compile(
    r"timeout|timed out|deadline exceeded|connection refused|connection reset|unexpected EOF|no route to host|network is unreachable"
    r"|server misbehaving|too ?many ?requests|unexpected status.*: (429|5\d\d)",
    re.IGNORECASE,
)
# Ends that say nothing of the model: the server was killed or told to go (128 + signal).
_KILLED = (137, 143)


def of_release(pods: Iterable[Object], release: str) -> list[Object]:
    """The pods of a release that are not on their way out."""
    return [pod for pod in pods if release_of(pod) == release and not is_going(pod) and not _has_ended(pod)]


def release_of(pod: Object) -> str:
    """Which release a pod is of; empty where none says so."""
    return str(pod["metadata"].get("labels", {}).get(RELEASE, ""))


def is_going(pod: Object) -> bool:
    """Whether a pod has been told to end."""
    return bool(pod["metadata"].get("deletionTimestamp"))


def awaited(deployment: Object, pods: Sequence[Object], release: str, replicas: int) -> str:
    """What a rollout still waits for; empty where every replica is of this release and ready, and no other one takes traffic."""
    status = deployment.get("status") or {}
    if status.get("observedGeneration", 0) < deployment["metadata"]["generation"]:
        return "the cluster has not looked at the Deployment yet"
    for count, what in (("updatedReplicas", "started"), ("readyReplicas", "ready"), ("availableReplicas", "available")):
        if status.get(count, 0) < replicas:
            return f"{status.get(count, 0)} of {replicas} replicas {what}"
    ready = sum(_is_ready(pod) for pod in of_release(pods, release))
    if ready < replicas:
        return f"{ready} of {replicas} replicas ready"
    others = [pod for pod in pods if not is_going(pod) and not _has_ended(pod)]
    return f"{len(others) - replicas} replicas too many" if len(others) > replicas else ""


def trouble(deployment: Object, pods: Sequence[Object], release: str) -> Trouble | None:
    """The first thing that is wrong with a release, as far as the cluster says so; None where nothing is."""
    for condition in (deployment.get("status") or {}).get("conditions", []):
        if (condition["type"], condition["status"]) == ("ReplicaFailure", "True"):
            return Trouble(f"no pod can be made: {condition.get('message', condition.get('reason', ''))}", contract.BadInput, 20)
    found = (_of_pod(pod) for pod in of_release(pods, release))
    return next((one for one in found if one), None)


def why_late(pods: Sequence[Object], release: str) -> str:
    """What the pods that are not ready say of themselves, for the message about a rollout that took too long."""
    said = [_excuse(pod) for pod in of_release(pods, release) if not _is_ready(pod)]
    return "; ".join(dict.fromkeys(said)) or "no pod of it is there"


def _of_pod(pod: Object) -> Trouble | None:
    for container in (pod.get("status") or {}).get("containerStatuses", []):
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason, message = waiting.get("reason", ""), waiting.get("message", "")
        if reason in _WAITING:
            settle_s, advice = _WAITING[reason]
            ill = reason in ("ErrImagePull", "ImagePullBackOff") and _REGISTRY_IS_ILL.search(message)
            what = f"{reason}: image {container['image']}: {_tail(message)}; {advice}"
            return Trouble(what, contract.Transient if ill else contract.BadInput, settle_s)
        crash = _crash(container)
        if crash:
            return crash
    return None


def _crash(container: Object) -> Trouble | None:
    """A server that ended twice: once may be chance, and the kubelet starts it again."""
    ended = (container.get("state") or {}).get("terminated") or (container.get("lastState") or {}).get("terminated")
    ends = container.get("restartCount", 0) + bool((container.get("state") or {}).get("terminated"))
    if not ended or ends < 2:
        return None
    code, reason = ended.get("exitCode"), ended.get("reason", "")
    if reason == "OOMKilled":
        what = "the model server was killed for want of memory; raise SERVING_MEMORY, or the limit that the namespace sets"
        return Trouble(what, contract.BadInput, 0)
    if reason in ("StartError", "ContainerCannotRun"):
        return Trouble(f"the model server does not start: {_tail(ended.get('message', ''))}; {_PROGRAM}", contract.BadInput, 0)
    what = f"the model server ended {ends} times, last with exit code {code}: {_tail(ended.get('message', '')) or 'it said nothing'}"
    return Trouble(what, contract.Transient if code in _KILLED else contract.BadInput, 0)


def _excuse(pod: Object) -> str:
    status = pod.get("status") or {}
    for condition in status.get("conditions", []):
        if (condition["type"], condition["status"]) == ("PodScheduled", "False"):
            return f"{condition.get('reason', 'not scheduled')}: {condition.get('message', '')}"
    for container in status.get("containerStatuses", []):
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting:
            return f"{waiting.get('reason', 'waiting')}: {_tail(waiting.get('message', ''))}"
    return "its server runs, but its model is not loaded yet" if status.get("phase") == "Running" else "its server has not started"


def _is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions", [])
    return any((condition["type"], condition["status"]) == ("Ready", "True") for condition in conditions)


def _has_ended(pod: Object) -> bool:
    """Evicted, say: it stays in the list, and takes no traffic."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _tail(text: str) -> str:
    """The end of what was said, in one line."""
    return " ".join(text.split())[-_SAID:]
