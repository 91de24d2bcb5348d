"""What memoized templates left: the outputs of a key, kept in the workspace as on a cluster in a ConfigMap."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipelines.language import gotext
from pipelines.language.errors import EvaluationError
from pipelines.local import configs, nodes, state
from pipelines.local.nodes import Node
from pipelines.local.references import Objects

_KEY = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]*")
_NAME = re.compile(r"[a-z0-9][-a-z0-9.]*")


class Memory:
    """The caches of a workspace, each a file; one that a ConfigMap of the files describes begins with what that holds."""

    def __init__(self, folder: Path, run_folder: Path, objects: Objects, clock: Callable[[], float]) -> None:
        self._folder, self._run_folder, self._objects, self._clock = folder, run_folder, objects, clock

    def recall(self, memoize: Mapping[str, Any]) -> dict[str, Any] | None:
        """The outputs that are kept for a template's key, if they are not too old. Raises EvaluationError."""
        entry = self._entries(memoize).get(_key(memoize))
        if entry is None:
            return None
        if memoize.get("maxAge"):
            age_s = self._clock() - nodes.seconds(entry["creationTimestamp"])
            if age_s > gotext.duration_s(str(memoize["maxAge"])):
                return None
        return dict(entry.get("outputs") or {})

    def keep(self, memoize: Mapping[str, Any], node: Node) -> None:
        """Keep what a node has left."""
        now = nodes.moment(self._clock())
        outputs = {**(node.get("outputs") or {})}
        if "artifacts" in outputs:
            outputs["artifacts"] = [
                {**one, "local": str(self._run_folder / one["local"])} for one in outputs["artifacts"] if "local" in one
            ]
        entry = {"nodeID": node["id"], "outputs": outputs, "creationTimestamp": now, "lastHitTimestamp": now}
        self._folder.mkdir(parents=True, exist_ok=True)
        state.write_whole(self._path(memoize), json.dumps({**self._entries(memoize), _key(memoize): entry}, indent=1))

    def _entries(self, memoize: Mapping[str, Any]) -> dict[str, Any]:
        path = self._path(memoize)
        try:
            if path.exists():
                return dict(json.loads(path.read_text()))
            given = configs.entries(self._objects, "ConfigMap", path.stem) or {}
            return {key: json.loads(text) for key, text in given.items()}
        except (OSError, ValueError, TypeError) as error:
            raise EvaluationError(f"the cache {path.stem} cannot be read ({error}); remove {path} or mend the ConfigMap") from None

    def _path(self, memoize: Mapping[str, Any]) -> Path:
        name = str(memoize["cache"]["configMap"].get("name", ""))
        if not _NAME.fullmatch(name):
            raise EvaluationError(f"memoize.cache.configMap.name: expected a name of a ConfigMap, got {name!r}")
        return self._folder / f"{name}.json"


def _key(memoize: Mapping[str, Any]) -> str:
    key = str(memoize["key"])
    if not _KEY.fullmatch(key):
        raise EvaluationError(f"memoize.key: expected letters, digits and -, got {key!r}")
    return key
