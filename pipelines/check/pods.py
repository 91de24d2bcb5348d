"""What the cluster sees of a template: images, volumes and mounts, patches, host paths, root."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from pipelines.check.fields import near
from pipelines.check.findings import Path, Problem, UnreadableInput
from pipelines.check.model import Flow, Target
from pipelines.check.reading import documents

_CONTAINERS = ("container", "script")
_LISTED = ("initContainers", "sidecars")


def problems(flow: Flow) -> Iterator[Problem]:
    """What is wrong with the pods of a workflow."""
    patched = _volumes_of_patches(flow)
    for target in flow.every:
        yield from _images(target)
        yield from _mounts(target, patched)
        for path, container in containers(target):
            yield from _collisions(target, path, container)
            yield from _root(container.get("securityContext", {}), (*path, "securityContext"))
        yield from _root(target.template.get("securityContext", {}), (*target.path, "securityContext"))
        yield from _patch(target.template.get("podSpecPatch", ""), (*target.path, "podSpecPatch"))
        yield from _host_paths(target.template.get("volumes", []), (*target.path, "volumes"))
    yield from _root(flow.spec.get("securityContext", {}), (*flow.path, "securityContext"))
    yield from _patch(flow.spec.get("podSpecPatch", ""), (*flow.path, "podSpecPatch"))
    yield from _host_paths(flow.spec.get("volumes", []), (*flow.path, "volumes"))
    yield from _unused(flow, patched)


def containers(target: Target) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every container of a template's pod."""
    for field in _CONTAINERS:
        if field in target.template:
            yield (*target.path, field), target.template[field]
    for field in _LISTED:
        for number, container in enumerate(target.template.get(field, [])):
            yield (*target.path, field, number), container
    for number, container in enumerate(target.template.get("containerSet", {}).get("containers", [])):
        yield (*target.path, "containerSet", "containers", number), container


def _images(target: Target) -> Iterator[Problem]:
    for path, container in containers(target):
        default = target.flow.defaults.get(str(path[-1]), {})
        if not container.get("image") and not default.get("image"):
            yield Problem("missing-image", path, "no image is given", "write image, here or in templateDefaults")


def of_flow(flow: Flow) -> set[str]:
    """The names of the volumes that a workflow declares for all its templates."""
    claims = [claim.get("metadata", {}).get("name", "") for claim in flow.spec.get("volumeClaimTemplates", [])]
    return {volume.get("name", "") for volume in flow.spec.get("volumes", [])} | set(claims)


def of_template(target: Target) -> set[str]:
    """The names of the volumes that a template declares for itself."""
    volumes = [*target.template.get("volumes", []), *target.flow.defaults.get("volumes", [])]
    return {volume.get("name", "") for volume in volumes}


def mounted(target: Target) -> Iterator[tuple[Path, str]]:
    """The names of the volumes that a template mounts."""
    held = [*containers(target)]
    if "containerSet" in target.template:
        held.append(((*target.path, "containerSet"), target.template["containerSet"]))
    for path, container in held:
        for field in ("volumeMounts", "volumeDevices"):
            for number, mount in enumerate(container.get(field, [])):
                yield (*path, field, number, "name"), mount.get("name", "")


def _mounts(target: Target, patched: set[str]) -> Iterator[Problem]:
    if target.flow.is_template and target.flow.spec.get("entrypoint") is None:
        return  # the volumes are those of whoever calls its templates
    known = of_flow(target.flow) | of_template(target) | patched
    for path, name in mounted(target):
        if name not in known and "{{" not in name:
            yield Problem("unknown-volume", path, f"there is no volume {name!r}", near(name, known))


def _unused(flow: Flow, patched: set[str]) -> Iterator[Problem]:
    if flow.flawed or flow.base is not False or any("templateRef" in call.holder for target in flow.every for call in target.calls):
        return
    used = {name for target in flow.every for _, name in mounted(target)} | patched
    used |= {mount.get("name", "") for field in _CONTAINERS for mount in flow.defaults.get(field, {}).get("volumeMounts", [])}
    places = [((*flow.path, "volumes", number), volume.get("name", "")) for number, volume in enumerate(flow.spec.get("volumes", []))]
    places += [
        ((*flow.path, "volumeClaimTemplates", number), claim.get("metadata", {}).get("name", ""))
        for number, claim in enumerate(flow.spec.get("volumeClaimTemplates", []))
    ]
    for target in flow.every:
        own = target.template.get("volumes", [])
        places += [((*target.path, "volumes", number), volume.get("name", "")) for number, volume in enumerate(own)]
    for path, name in places:
        if name and name not in used:
            yield Problem("unused-volume", path, f"nothing mounts the volume {name!r}", "remove it, or mount it")


def _collisions(target: Target, path: Path, container: Mapping[str, Any]) -> Iterator[Problem]:
    paths = [mount.get("mountPath", "") for mount in container.get("volumeMounts", [])]
    count = Counter(paths)
    for number, where in enumerate(paths):
        if count[where] > 1 and where in paths[:number]:
            yield Problem(
                "mount-collision", (*path, "volumeMounts", number, "mountPath"), f"{where} is mounted twice", "mount one elsewhere"
            )
    for number, artifact in enumerate(target.inputs("artifacts") if path[-1] in _CONTAINERS else []):
        if artifact.get("path") and artifact["path"] in paths:
            where = (*target.path, "inputs", "artifacts", number, "path")
            yield Problem("mount-collision", where, f"a volume is mounted at {artifact['path']} too", "put one of them elsewhere")


def _host_paths(volumes: list[dict[str, Any]], path: Path) -> Iterator[Problem]:
    for number, volume in enumerate(volumes):
        if "hostPath" in volume:
            message = f"the volume {volume.get('name')!r} is a folder of whatever node the pod runs on"
            yield Problem("host-path", (*path, number, "hostPath"), message, "use a claim, or tie the pods to a node and know why")


def _root(context: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    for field, bad in (("runAsUser", 0), ("runAsNonRoot", False), ("privileged", True)):
        value = context.get(field)
        if value == bad and type(value) is type(bad):
            told = "it is privileged on the node" if field == "privileged" else "it may run as root"
            yield Problem("root-user", (*path, field), told, "run as a user with a number, and runAsNonRoot: true")


def _patch(text: str, path: Path) -> Iterator[Problem]:
    if not text or "{{" in text:
        return
    try:
        values = [document.value for document in documents(text, "podSpecPatch")]
    except UnreadableInput as error:
        yield Problem("bad-patch", path, f"the patch is {error.message}", "write a map, in YAML or JSON")
        return
    if len(values) != 1 or not isinstance(values[0], dict):
        yield Problem("bad-patch", path, "the patch is no map", "write a map, such as containers: [{name: main, resources: ...}]")


def _volumes_of_patches(flow: Flow) -> set[str]:
    """The names of the volumes that patches bring or use."""
    found: set[str] = set()
    for text in [flow.spec.get("podSpecPatch", ""), *(target.template.get("podSpecPatch", "") for target in flow.every)]:
        for event in _scalars(text):
            found.add(event)
    return found


def _scalars(text: str) -> Iterator[str]:
    try:
        yield from (str(event.value) for event in yaml.parse(text, Loader=yaml.SafeLoader) if isinstance(event, yaml.ScalarEvent))
    except yaml.YAMLError:
        return
