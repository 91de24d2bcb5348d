"""What a container of a template becomes on this machine: a command with its environment, run between inputs and outputs."""

from __future__ import annotations

import asyncio
import errno
import re
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipelines.language import gotext
from pipelines.language.errors import EvaluationError
from pipelines.local import configs, container_sets, data, mounts, paths, pod_files, pod_patch, resources, stored, templates, variables
from pipelines.local.calls import Deadline, Ended, Told
from pipelines.local.nodes import Node
from pipelines.local.pods import Executor, Pod
from pipelines.local.references import Objects

LOG = "main.log"
# The exit code of Argo's own program where it fails.
_OWN_ERROR = 64
_LONGEST_RESULT = 256 * 1024
# Errors of the disk rather than of a workflow: they end the run, which goes on when they are mended.
_STORAGE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE}
_REFERENCE = re.compile(r"\$(\$)?\(([A-Za-z_.-][\w.-]*)\)")


class Containers:
    """Runs a node's container: its inputs laid out, its process run, its outputs read. See calls.PodRunner."""

    def __init__(
        self,
        run_folder: Path,
        executor: Executor,
        environment: Mapping[str, str],
        spec: Mapping[str, Any],
        objects: Objects,
        before: Callable[[], None],
        grace_s: float,
        extra: Mapping[str, str],
        outliving: Collection[str],
    ) -> None:
        """`before` is called before a process starts: what is known by then must be on the disk.

        `extra` has folders by their paths in every container; `outliving` names templates whose pods leave something running.
        """
        self._extra, self._outliving = extra, outliving
        self._folder, self._executor, self._environment = run_folder, executor, dict(environment)
        self._repository = run_folder.parent / "artifacts"
        self._spec, self._objects, self._before, self._grace_s = spec, objects, before, grace_s

    async def __call__(self, node: Node, template: Mapping[str, Any], deadline: Deadline | None, wants_result: bool, told: Told) -> Ended:
        """Run one pod to its end."""
        folder = self._folder / "nodes" / node["id"]
        folder.mkdir(parents=True, exist_ok=True)
        template = pod_patch.completed(paths.fill(template, paths.POD, folder))
        template = await self._with_inputs(template, folder)
        if templates.kind(template) in ("resource", "data"):
            return await self._by_argo(template, folder, deadline)
        try:
            pod_files.lay_out(template, folder, self._volumes(template))
            before, mains, beside = self._pods(node, template, wants_result)
        except OSError as error:
            if error.errno in _STORAGE:
                raise
            raise EvaluationError(f"{error.filename}: {error.strerror}") from None
        self._before()
        for name, pod in before.items():
            code, stopped = await self._executor.run(pod, deadline)
            if code:
                return Ended("Failed", deadline.message) if stopped and deadline and deadline.message else _ended({name: code}, {})
        async with container_sets.beside(self._executor, beside) as codes:
            ended = await container_sets.run(self._executor, mains, template.get("containerSet"), deadline, told)
        codes = {**{name: one.code for name, one in ended.items()}, **codes}
        collected = await self._uploaded(node, template, self._collected(node, template, mains, codes))
        if deadline is not None and deadline.message and any(one.stopped for one in ended.values()):
            return replace(collected, phase="Failed", message=deadline.message)
        return collected

    async def _by_argo(self, template: Mapping[str, Any], folder: Path, deadline: Deadline | None) -> Ended:
        """What Argo's own program does in place of a container: a resource of the cluster, or data."""
        pod_files.lay_out(template, folder, {})
        view = mounts.Inside(folder / "files", {})
        pod_files.place(template, self._folder, view)
        listed = (template.get("inputs") or {}).get("artifacts") or []
        placed = [{**one, "path": str(view.place(one["path"]))} if one.get("path") else one for one in listed]
        template = {**template, "inputs": {**(template.get("inputs") or {}), "artifacts": placed}}
        self._before()
        is_data = "data" in template
        work = data.carried_out(template, self._repository, self._objects) if is_data else resources.carried_out(template, folder)
        try:
            outputs = await asyncio.wait_for(work, None if deadline is None else max(0.0, deadline.moment - time.time()))
        except TimeoutError:
            return Ended("Failed", deadline.message if deadline else "")
        except EvaluationError as error:
            (folder / LOG).write_text(f"{error}\n")
            return Ended("Failed", f"main: Error (exit code {_OWN_ERROR}): {error}", {"exitCode": str(_OWN_ERROR)})
        return Ended("Succeeded", "", {"exitCode": "0", **outputs})

    async def _uploaded(self, node: Node, template: Mapping[str, Any], ended: Ended) -> Ended:
        """How a pod ended, once the artifacts that it has left are on the servers that they name."""
        try:
            for artifact in (template.get("outputs") or {}).get("artifacts") or []:
                kept = self._folder / "nodes" / node["id"] / "artifacts" / artifact["name"]
                if (artifact.get("s3") or {}).get("endpoint") and kept.exists():
                    await stored.uploaded(kept, artifact, self._objects)
        except EvaluationError as error:
            if ended.phase == "Succeeded":
                return Ended("Error", f"wait: Error (exit code {_OWN_ERROR}): {error}", ended.outputs)
        return ended

    def _pods(self, node: Node, template: Mapping[str, Any], wants_result: bool) -> tuple[dict[str, Pod], dict[str, Pod], dict[str, Pod]]:
        """The containers of a pod by their names: those before, the main ones, those beside. The files of the main one are laid out."""
        mains = templates.main_containers(template)
        main = templates.MAIN if templates.MAIN in mains else next(iter(mains))
        views = {name: self._view(node, template, one, name if name != main else "") for name, one in mains.items()}
        pod_files.place(template, self._folder, views[main])
        pods = {
            name: self._pod(node, template, one, name, views[name], wants_result and name == templates.MAIN) for name, one in mains.items()
        }
        before, beside = (
            {
                one["name"]: self._pod(node, template, one, one["name"], self._view(node, template, one, one["name"]))
                for one in template.get(part) or []
            }
            for part in ("initContainers", "sidecars")
        )
        return before, pods, beside

    def _view(self, node: Node, template: Mapping[str, Any], container: Mapping[str, Any], name: str) -> mounts.View:
        """What a container sees; `name` is "" for the one whose files are the pod's."""
        folder = self._folder / "nodes" / node["id"] / ("files" if not name else f"files-{name}")
        mounted = {mount["mountPath"]: mount[paths.FOLDER] for mount in container.get("volumeMounts") or []}
        wanted = [] if name else pod_files.writable(template)
        own = container.get("workingDir")
        return self._executor.view(folder, {**mounted, **self._extra}, [*wanted, *([own] if own else [])])

    def _collected(self, node: Node, template: Mapping[str, Any], mains: Mapping[str, Pod], codes: Mapping[str, int]) -> Ended:
        """How a pod ended, with the outputs that it has left."""
        main = mains.get(templates.MAIN)
        view = (main or next(iter(mains.values()))).view
        outputs: dict[str, Any] = {"exitCode": str(codes[templates.MAIN])} if templates.MAIN in codes else {}
        try:
            outputs |= {"result": _result(main)} if main and main.result else {}
            outputs |= pod_files.outputs(node, template, self._folder / "nodes" / node["id"], self._repository, view)
        except OSError as error:
            if not any(codes.values()):
                return Ended("Error", f"wait: Error (exit code 64): open {error.filename}: {str(error.strerror).lower()}", outputs)
        return _ended(codes, outputs)

    async def _with_inputs(self, template: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        """The template with the places of its input artifacts, those downloaded that are elsewhere."""
        inputs = template.get("inputs") or {}
        if not inputs.get("artifacts"):
            return template
        found = [
            await stored.located(one, self._repository, folder, self._objects) if one.get("path") else one for one in inputs["artifacts"]
        ]
        return {**template, "inputs": {**inputs, "artifacts": found}}

    def _volumes(self, template: Mapping[str, Any]) -> dict[str, dict[str, bytes]]:
        """The files of the volumes that a pod mounts and that are made of ConfigMaps and Secrets."""
        declared = configs.volumes_of(self._spec, template)
        mounted = {mount["name"] for _, container in templates.containers(template) for mount in container.get("volumeMounts") or []}
        return {name: configs.files(self._objects, volume) for name, volume in declared.items() if name in mounted}

    def _pod(
        self,
        node: Node,
        template: Mapping[str, Any],
        container: Mapping[str, Any],
        name: str,
        view: mounts.View,
        wants_result: bool = False,
    ) -> Pod:
        folder = self._folder / "nodes" / node["id"]
        own = self._own(node, template, container, name)
        command, arguments = (
            [_expanded(gotext.any_string(part), own) for part in container.get(field) or []] for field in ("command", "args")
        )
        listed = (template.get("inputs") or {}).get("artifacts") or [] if name == templates.MAIN else []
        handed = [artifact["path"] for artifact in listed if artifact.get("path")]
        if container.get("source"):
            script = f"{view.staging}/script"
            view.place(script).parent.mkdir(parents=True, exist_ok=True)
            view.place(script).write_text(gotext.any_string(container["source"]))
            view.place(script).chmod(0o755)
            command.append(script)
            handed.append(script)
        working_folder = container.get("workingDir") or view.begins
        if view.place(working_folder).is_relative_to(self._folder):
            view.place(working_folder).mkdir(parents=True, exist_ok=True)
        return Pod(
            name=f"{node['id']}/{name}",
            image=str(container.get("image") or ""),
            command=command,
            arguments=arguments,
            environment=self._environment,
            own=own,
            working_folder=working_folder,
            view=view,
            handed=handed,
            kept=pod_files.declared_paths(template) if name == templates.MAIN else (),
            log=folder / f"{name}.log",
            result=folder / "stdout" if wants_result else None,
            grace_s=pod_patch.grace_s(template.get("podSpecPatch"), self._grace_s),
            outlives=template.get("name") in self._outliving,
        )

    def _own(self, node: Node, template: Mapping[str, Any], container: Mapping[str, Any], name: str) -> dict[str, str]:
        """The container's own variables; a later one may name an earlier one."""
        own = {"ARGO_CONTAINER_NAME": name, "ARGO_NODE_ID": node["id"]}
        pod = variables.pod_name(self._environment.get("ARGO_WORKFLOW_NAME", ""), node["name"], template.get("name", ""))
        own.update(configs.environment(self._objects, container, pod, lambda text: _expanded(text, own)))
        return own


def _ended(codes: Mapping[str, int], outputs: Mapping[str, Any]) -> Ended:
    """How a pod ended, by the exit codes of its containers, the ones that matter most first."""
    failed = next((f"{name}: Error (exit code {code})" for name, code in codes.items() if code), "")
    return Ended("Failed" if failed else "Succeeded", failed, outputs)


def _expanded(text: str, known: Mapping[str, str]) -> str:
    """`$(NAME)` replaced by the container's own variable, as Kubernetes does; `$$(NAME)` is `$(NAME)`."""

    def value(match: re.Match[str]) -> str:
        return match[0][1:] if match[1] else known.get(match[2], match[0])

    return _REFERENCE.sub(value, text)


def _result(pod: Pod) -> str:
    if pod.result is None:
        return ""
    content = pod.result.read_bytes()
    with open(pod.log, "ab") as log:
        log.write(content)
    return content.removesuffix(b"\n")[-_LONGEST_RESULT:].decode(errors="replace")
