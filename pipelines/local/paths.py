"""Container paths in a workflow's text, made paths of this machine.

Which folder stands for which container path: the volumes a template mounts, what the caller adds, and for paths that lie
on no volume (outputs, inputs, /tmp) a folder private to each pod. The text is rewritten once, before any tag is replaced:
values given from outside are paths of this machine already. Only whole path components match.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.local import templates

# Stand for the folders of the pod and of the run until there are such.
POD, RUN = "\ue000pod\ue000", "\ue000run\ue000"
_BEFORE, _AFTER = r"(?:(?<=file://)|(?<![\w./\-$}~)\]*?]))", r"(?![\w\-]|\.\w|\{\{)"
# Where a mount's folder on this machine stands in a rewritten template.
FOLDER = "folder"
# What a process shares with the machine, as a container with its image.
OF_IMAGE = re.compile(r"/(bin|boot|dev|etc|lib|lib64|proc|sbin|sys|usr)(/|$)")
_TEXTS = ("command", "args", "workingDir", "source")


def fill(value: Any, place: str, folder: Path) -> Any:
    """A copy of a rewritten value with the folder of its pod or run filled in."""
    if isinstance(value, str):
        return value.replace(place, str(folder))
    if isinstance(value, dict):
        return {key: fill(inner, place, folder) for key, inner in value.items()}
    if isinstance(value, list):
        return [fill(inner, place, folder) for inner in value]
    return value


def in_container(path: str) -> str:
    """What a private path was before it was rewritten."""
    return path.removeprefix(f"{POD}/files")


def rewrite(value: Any, mapping: Mapping[str, str]) -> Any:
    """A copy of `value` in which each container path of `mapping` is the path it maps to."""
    return _rewritten(value, _pattern(mapping), mapping) if mapping else value


def located(spec: Mapping[str, Any], volumes: Mapping[str, str]) -> dict[str, Any]:
    """A workflow's spec with the folder of each mount, for containers that have a root of their own: its text stays as it is."""
    found = _folders(spec, volumes)

    def template(one: Mapping[str, Any]) -> dict[str, Any]:
        if not templates.is_pod(one):
            return templates.with_holders(
                one, lambda holder, _: {**holder, "inline": template(holder["inline"])} if "inline" in holder else holder
            )

        def container(inner: Mapping[str, Any]) -> Mapping[str, Any]:
            return _container(inner, {}, mounts({"container": inner}, found))

        return templates.with_containers(templates.with_mounts(one), container)

    return {**spec, "templates": [template(one) for one in spec.get("templates") or []]}


def localize(spec: Mapping[str, Any], extra: Mapping[str, str], volumes: Mapping[str, str]) -> dict[str, Any]:
    """A workflow's spec whose text names this machine's paths.

    `extra` maps container paths; `volumes` has the folders that the caller gives for volumes, by their names or their claims'
    names. Other claims are folders of the run, other volumes private to each pod.
    """
    volumes = _folders(spec, volumes)
    listed = list(spec.get("templates") or [])
    shared = {**_shared(listed, volumes), **extra}
    local = {**spec, "templates": [_template(template, extra, volumes, shared) for template in listed]}
    if "arguments" in spec:
        local["arguments"] = _parameters(spec["arguments"], shared)
    return local


def given_folder(volume: Mapping[str, Any], volumes: Mapping[str, str]) -> str | None:
    """The folder that the caller gives for a volume, by the volume's or its claim's name."""
    return volumes.get(volume["name"], volumes.get((volume.get("persistentVolumeClaim") or {}).get("claimName", "")))


def _folders(spec: Mapping[str, Any], volumes: Mapping[str, str]) -> dict[str, str]:
    """The folder of each volume that outlives a pod, by the volume's name."""
    claims = [claim["metadata"].get("name", "") for claim in spec.get("volumeClaimTemplates") or []]
    found = {name: volumes.get(name, f"{RUN}/volumes/{name}") for name in claims}
    nested = (template.get("volumes") or [] for template in spec.get("templates") or [])
    for volume in [*(spec.get("volumes") or []), *(volume for listed in nested for volume in listed)]:
        folder = given_folder(volume, volumes)
        if folder is not None:
            found[volume["name"]] = folder
        elif "persistentVolumeClaim" in volume:
            found[volume["name"]] = f"{RUN}/volumes/{volume['persistentVolumeClaim']['claimName']}"
    return found


def mounts(template: Mapping[str, Any], volumes: Mapping[str, str]) -> dict[str, str]:
    """The path on this machine of each mountPath of a template."""
    found: dict[str, str] = {}
    for _, container in templates.containers(template):
        for mount in container.get("volumeMounts") or []:
            folder = volumes.get(mount["name"], f"{POD}/volumes/{mount['name']}")
            found[posixpath.normpath(mount["mountPath"])] = posixpath.join(folder, mount.get("subPath", "")).rstrip("/")
    return found


def _shared(listed: Sequence[Mapping[str, Any]], volumes: Mapping[str, str]) -> dict[str, str]:
    """What a path means wherever it is mounted; a path that means two things is left alone."""
    found: dict[str, set[str]] = {}
    for template in listed:
        for path, folder in mounts(template, volumes).items():
            found.setdefault(path, set()).add(folder)
    return {path: folder for path, folders in found.items() if len(folders) == 1 for folder in folders if POD not in folder}


def _template(
    template: Mapping[str, Any], extra: Mapping[str, str], volumes: Mapping[str, str], shared: Mapping[str, str]
) -> dict[str, Any]:
    if not templates.is_pod(template):
        local = templates.with_holders(template, lambda holder, _path: _holder(holder, extra, volumes, shared))
        if "inputs" in template:
            local["inputs"] = _parameters(template["inputs"], shared)
        return local
    template = templates.with_mounts(template)
    known = {**mounts(template, volumes), **extra}
    private = _private(template, known)
    mapping = {**private, **known}

    def localized(container: Mapping[str, Any]) -> Mapping[str, Any]:
        mounted = mounts({"container": container}, volumes)
        return _container(container, {**private, **mounted, **extra}, mounted)

    local = templates.with_containers(template, localized)
    for part in ("inputs", "outputs"):
        if part in template:
            local[part] = _located(_parameters(template[part], mapping), mapping)
    return local


def _private(template: Mapping[str, Any], known: Mapping[str, str]) -> dict[str, str]:
    """Paths in no known folder that pods of a template share with nobody: /tmp, and where it reads inputs and leaves outputs."""
    paths = {"/tmp"}  # noqa: S108 - the container's, which becomes a folder of the pod
    for part in ("inputs", "outputs"):
        section = template.get(part) or {}
        paths.update(artifact.get("path", "") for artifact in section.get("artifacts") or [])
        paths.update((parameter.get("valueFrom") or {}).get("path", "") for parameter in section.get("parameters") or [])
    absolute = [path for path in map(posixpath.normpath, filter(None, paths)) if path.startswith("/")]
    # A step that makes the folder of its output names the folder, too.
    absolute += [folder for folder in map(posixpath.dirname, absolute) if folder != "/" and not OF_IMAGE.match(folder)]
    return {path: f"{POD}/files{path}" for path in absolute if not any(f"{path}/".startswith(f"{folder}/") for folder in known)}


def _container(container: Mapping[str, Any], mapping: Mapping[str, str], mounted: Mapping[str, str]) -> dict[str, Any]:
    local = dict(container)
    if "volumeMounts" in container:
        local["volumeMounts"] = [{**mount, FOLDER: mounted[posixpath.normpath(mount["mountPath"])]} for mount in container["volumeMounts"]]
    for field in _TEXTS:
        if field in container:
            local[field] = rewrite(container[field], mapping)
    if "env" in container:
        local["env"] = [{**entry, "value": rewrite(entry["value"], mapping)} if "value" in entry else entry for entry in container["env"]]
    return local


def _holder(holder: Mapping[str, Any], extra: Mapping[str, str], volumes: Mapping[str, str], shared: Mapping[str, str]) -> dict[str, Any]:
    """A step or a task: its literal arguments, and the template written in it."""
    local = dict(holder)
    if "arguments" in holder:
        local["arguments"] = _parameters(holder["arguments"], shared)
    if "withItems" in holder:
        local["withItems"] = rewrite(holder["withItems"], shared)
    if "inline" in holder:
        local["inline"] = _template(holder["inline"], extra, volumes, shared)
    return local


def _parameters(section: Mapping[str, Any], mapping: Mapping[str, str]) -> dict[str, Any]:
    texts = ("value", "default")
    return {
        **section,
        "parameters": [
            {**parameter, **{field: rewrite(parameter[field], mapping) for field in texts if field in parameter}}
            for parameter in section.get("parameters") or []
        ],
    }


def _located(section: Mapping[str, Any], mapping: Mapping[str, str]) -> dict[str, Any]:
    """Inputs or outputs with the paths of their files on this machine."""
    local = dict(section)
    if "artifacts" in section:
        local["artifacts"] = [
            {**artifact, "path": rewrite(artifact["path"], mapping)} if "path" in artifact else artifact
            for artifact in section["artifacts"]
        ]
    local["parameters"] = [
        {**parameter, "valueFrom": {**parameter["valueFrom"], "path": rewrite(parameter["valueFrom"]["path"], mapping)}}
        if (parameter.get("valueFrom") or {}).get("path")
        else parameter
        for parameter in section.get("parameters") or []
    ]
    return local


def _pattern(mapping: Mapping[str, str]) -> re.Pattern[str]:
    longest_first = sorted(mapping, key=len, reverse=True)
    return re.compile(_BEFORE + "(" + "|".join(map(re.escape, longest_first)) + ")" + _AFTER)


def _rewritten(value: Any, pattern: re.Pattern[str], mapping: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return pattern.sub(lambda match: mapping[match[1]], value)
    if isinstance(value, dict):
        return {key: _rewritten(inner, pattern, mapping) for key, inner in value.items()}
    if isinstance(value, list):
        return [_rewritten(inner, pattern, mapping) for inner in value]
    return value
