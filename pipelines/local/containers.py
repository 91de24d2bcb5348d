"""What a container template becomes on this machine: a command with its environment, and files for what goes in and out."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipelines.local import paths, pod_patch, templates
from pipelines.local.calls import Deadline, Ended
from pipelines.local.errors import EvaluationError
from pipelines.local.language import gotext
from pipelines.local.nodes import Node
from pipelines.local.pods import MARK, Executor, Pod, search_path

LOG = "main.log"
_RESULT = "stdout"
_LONGEST_RESULT = 256 * 1024
# Errors of the disk rather than of a workflow: they end the run, which goes on when they are mended.
_STORAGE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE}
_REFERENCE = re.compile(r"\$(\$)?\(([A-Za-z_.-][\w.-]*)\)")


class Containers:
    """Runs a node's container: its inputs laid out, its process run, its outputs read. See calls.PodRunner."""

    def __init__(
        self, run_folder: Path, executor: Executor, environment: Mapping[str, str], grace_s: float, before: Callable[[], None]
    ) -> None:
        """`before` is called before a process starts: what is known by then must be on the disk."""
        self._folder, self._executor, self._environment = run_folder, executor, dict(environment)
        self._grace_s, self._before = grace_s, before

    async def __call__(self, node: Node, template: Mapping[str, Any], deadline: Deadline | None, wants_result: bool) -> Ended:
        """Run one pod to its end."""
        folder = self._folder / "nodes" / node["id"]
        folder.mkdir(parents=True, exist_ok=True)
        template = paths.fill(template, paths.POD, folder)
        try:
            self._lay_out(template, folder)
            pod = self._pod(node, template, folder, wants_result)
        except OSError as error:
            if error.errno in _STORAGE:
                raise
            raise EvaluationError(f"{error.filename}: {error.strerror}") from None
        self._before()
        code, stopped = await self._executor.run(pod, deadline)
        outputs: dict[str, Any] = {"exitCode": str(code)}
        try:
            outputs |= {"result": _result(pod)} if pod.result else {}
            outputs |= self._outputs(node, template, folder)
        except OSError as error:
            if code == 0:
                return Ended("Error", f"wait: Error (exit code 64): open {error.filename}: {str(error.strerror).lower()}", outputs)
        if stopped and deadline is not None and deadline.message:
            return Ended("Failed", deadline.message, outputs)
        if code:
            return Ended("Failed", f"main: Error (exit code {code})", outputs)
        return Ended("Succeeded", "", outputs)

    def _lay_out(self, template: Mapping[str, Any], folder: Path) -> None:
        """Fresh private folders, the folders of outputs, and the input artifacts in their places."""
        for name in ("volumes", "files"):
            if (folder / name).exists():
                shutil.rmtree(folder / name)
        container = templates.container(template)
        for mount in container.get("volumeMounts") or []:
            Path(mount[paths.FOLDER]).mkdir(parents=True, exist_ok=True)
        (folder / "files" / "tmp").mkdir(parents=True)
        for path in declared_paths(template):
            path.parent.mkdir(parents=True, exist_ok=True)
        for artifact in (template.get("inputs") or {}).get("artifacts") or []:
            if artifact.get("path"):
                self._place(artifact)

    def _place(self, artifact: Mapping[str, Any]) -> None:
        target = Path(artifact["path"])
        target.parent.mkdir(parents=True, exist_ok=True)
        if artifact.get("raw"):
            target.write_text(str(artifact["raw"].get("data", "")))
        elif artifact.get("local"):
            _copy(self._folder / artifact["local"], target)
        elif not artifact.get("optional"):
            raise EvaluationError(f"inputs.artifacts.{artifact['name']} missing location information")
        if artifact.get("mode") is not None and target.exists():
            target.chmod(int(artifact["mode"]))

    def _pod(self, node: Node, template: Mapping[str, Any], folder: Path, wants_result: bool) -> Pod:
        container = templates.container(template)
        environment = self._environment | {"PATH": search_path(self._environment)}
        own: dict[str, str] = {"ARGO_CONTAINER_NAME": "main", "ARGO_NODE_ID": node["id"], MARK: f"{self._folder.name}/{node['id']}"}
        for entry in container.get("env") or []:
            own[entry["name"]] = _expanded(gotext.any_string(entry.get("value", "")), own)
        environment |= own
        if "PATH" in own:
            environment["PATH"] = search_path(own)
        command = [_expanded(gotext.any_string(part), own) for part in [*(container.get("command") or []), *(container.get("args") or [])]]
        if template.get("script", {}).get("source"):
            script = folder / "script"
            script.write_text(gotext.any_string(template["script"]["source"]))
            script.chmod(0o755)
            command.append(str(script))
        working_folder = Path(container.get("workingDir") or folder / "files")
        if working_folder.is_relative_to(self._folder):
            working_folder.mkdir(parents=True, exist_ok=True)
        grace_s = pod_patch.grace_s(template.get("podSpecPatch"), self._grace_s)
        return Pod(command, environment, working_folder, folder / LOG, folder / _RESULT if wants_result else None, grace_s)

    def _outputs(self, node: Node, template: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        declared = template.get("outputs") or {}
        found: dict[str, Any] = {}
        for parameter in declared.get("parameters") or []:
            source = parameter.get("valueFrom") or {}
            if source.get("path"):
                told = {key: value for key, value in parameter.items() if key != "valueFrom"}
                found.setdefault("parameters", []).append({**told, "value": _read(Path(source["path"]), source.get("default"))})
        for artifact in declared.get("artifacts") or []:
            path = Path(artifact["path"])
            if not path.exists() and artifact.get("optional"):
                continue
            kept = folder / "artifacts" / artifact["name"]
            _copy(path, kept)
            told = {key: value for key, value in artifact.items() if key in ("name", "globalName", "path")}
            found.setdefault("artifacts", []).append({**told, "local": f"nodes/{node['id']}/artifacts/{artifact['name']}"})
        return found


def declared_paths(template: Mapping[str, Any]) -> list[Path]:
    """Where a template says that its inputs and outputs lie."""
    found = []
    for part in ("inputs", "outputs"):
        section = template.get(part) or {}
        found += [artifact.get("path") for artifact in section.get("artifacts") or []]
        found += [(parameter.get("valueFrom") or {}).get("path") for parameter in section.get("parameters") or []]
    return [Path(path) for path in found if path]


def _expanded(text: str, variables: Mapping[str, str]) -> str:
    """`$(NAME)` replaced by the container's own variable, as Kubernetes does; `$$(NAME)` is `$(NAME)`."""

    def value(match: re.Match[str]) -> str:
        return match[0][1:] if match[1] else variables.get(match[2], match[0])

    return _REFERENCE.sub(value, text)


def _read(path: Path, default: Any) -> str:
    try:
        text = path.read_bytes().decode(errors="replace")
    except OSError:
        if default is None:
            raise
        text = gotext.any_string(default)
    return text.removesuffix("\n")


def _result(pod: Pod) -> str:
    if pod.result is None:
        return ""
    content = pod.result.read_bytes()
    with open(pod.log, "ab") as log:
        log.write(content)
    return content.removesuffix(b"\n")[-_LONGEST_RESULT:].decode(errors="replace")


def _copy(source: Path, target: Path) -> None:
    """A file or a folder, copied whole over what lies there."""
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy2(source, target)
    os.utime(target)
