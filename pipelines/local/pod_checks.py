"""What keeps a pod's containers from being processes of this machine: commands, volumes, paths."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.language import gotext
from pipelines.local import configs, data, paths, resources, stored, templates
from pipelines.local.errors import Problem
from pipelines.local.references import Objects

Missing = Callable[[str, Mapping[str, str], str], bool]


@dataclass(frozen=True)
class Around:
    """What stands around a template: the workflow's spec, the objects among the files, and the caller's folders for volumes.

    `missing(command, environment, working folder)` tells whether a command does not exist where pods run; None: images are used.
    """

    spec: Mapping[str, Any]
    objects: Objects
    volumes: Mapping[str, str]
    missing: Missing | None


def of_pod(around: Around, template: Mapping[str, Any], path: str) -> Iterator[Problem]:
    """The problems of a template that a pod carries out; `path` is the template's."""
    declared = configs.volumes_of(around.spec, template)
    yield from configs.of_volumes(around.objects, template.get("volumes") or [], f"{path}.volumes")
    for part in ("inputs", "outputs"):
        for place, artifact in enumerate((template.get(part) or {}).get("artifacts") or []):
            yield from stored.problems(artifact, around.objects, f"{path}.{part}.artifacts[{place}]")
    if "resource" in template:
        yield from resources.problems(template, path)
    if "data" in template:
        yield from data.problems(template, path)
    for inner, container in templates.containers(template):
        yield from configs.of_container(around.objects, container, f"{path}.{inner}")
        yield from _mounts(around, container, declared, f"{path}.{inner}")
        if around.missing is not None:
            yield from _command(around.missing, container, f"{path}.{inner}")
    yield from _artifacts(template, path, has_image=around.missing is None)


def _mounts(around: Around, container: Mapping[str, Any], declared: Mapping[str, Any], path: str) -> Iterator[Problem]:
    for place, mount in enumerate(container.get("volumeMounts") or []):
        name = mount.get("name")
        where = f"{path}.volumeMounts[{place}]"
        if name not in declared:
            yield Problem(f"{where}.name", f"there is no volume {name!r}")
        elif not _has_folder(declared[name], around.volumes):
            kind = next((key for key in declared[name] if key != "name"), "no kind")
            yield Problem(f"{where}.name", f"the volume {name!r} is of kind {kind}, which is not on this machine; give a folder for it")
        if "{{" in str(mount.get("mountPath", "")):
            yield Problem(f"{where}.mountPath", "a path that is not known before the start is not supported")


def _command(missing: Missing, container: Mapping[str, Any], path: str) -> Iterator[Problem]:
    command = [gotext.any_string(part) for part in container.get("command") or []]
    if not command:
        yield Problem(f"{path}.command", "the image's own command is not known here; write it down")
    elif "{{" not in command[0] and paths.POD not in command[0]:
        own = {entry["name"]: gotext.any_string(entry.get("value")) for entry in container.get("env") or []}
        if missing(command[0], own, container.get("workingDir", "")):
            yield Problem(
                f"{path}.command[0]", f"{command[0]!r} is no command of this machine (the image is not used); install it or change PATH"
            )


def _artifacts(template: Mapping[str, Any], path: str, has_image: bool) -> Iterator[Problem]:
    for place, artifact in enumerate((template.get("outputs") or {}).get("artifacts") or []):
        where = f"{path}.outputs.artifacts[{place}].path"
        for kind in ("http", "git"):
            if artifact.get(kind):
                yield Problem(f"{path}.outputs.artifacts[{place}].{kind}", "uploads are only supported to S3 servers")
        if not artifact.get("path"):
            yield Problem(where, "an output of a container needs a path")
        elif not has_image and paths.OF_IMAGE.match(paths.in_container(artifact["path"])):
            yield Problem(where, f"{paths.in_container(artifact['path'])} is part of the image, which is not used")


def _has_folder(volume: Mapping[str, Any], volumes: Mapping[str, str]) -> bool:
    own = any(kind in volume for kind in ("metadata", "emptyDir", "persistentVolumeClaim"))
    return own or configs.is_given(volume) or paths.given_folder(volume, volumes) is not None
