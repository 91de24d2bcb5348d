"""A step or a task with the outputs of earlier nodes in it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pipelines.language import tags, when
from pipelines.language.errors import EvaluationError
from pipelines.local import loops
from pipelines.local.scope import Scope


def resolve(holder: Mapping[str, Any], scope: Scope, global_variables: Mapping[str, Any]) -> dict[str, Any]:
    """The step or task with its tags replaced; one that its `when` keeps from running is left as it is. Raises EvaluationError."""
    known = scope.with_globals(global_variables)
    if holder.get("when"):
        condition = tags.replace_text(str(holder["when"]), known, tags.earlier_nodes)
        try:
            proceed = when.truth(condition)
        except EvaluationError:
            if not loops.is_loop(holder):
                raise
            proceed = True
        if not proceed:
            return {**holder, "when": condition}
    hooks = {key: holder[key] for key in ("hooks",) if key in holder}
    body = {key: value for key, value in holder.items() if key != "hooks"}
    body["arguments"] = scope.mark_absent(holder.get("arguments") or {})
    resolved: dict[str, Any] = tags.replace(body, known, tags.earlier_nodes)
    artifacts = [scope.artifact(artifact) for artifact in resolved["arguments"].get("artifacts") or []]
    if artifacts:
        resolved["arguments"]["artifacts"] = [artifact for artifact in artifacts if artifact is not None]
    return {**resolved, **hooks}


class Results:
    """Which steps or tasks of a template have an `outputs.result` that the template names."""

    def __init__(self, template: Mapping[str, Any]) -> None:
        self._text = json.dumps(template)

    def wanted(self, caller: str, name: str) -> bool:
        """Whether the result of the step or task of this name is used."""
        escaped = re.escape(name)
        return bool(re.search(rf"{caller}s(\.{escaped}|\[(\\\"|')?{escaped}(\\\"|')?\])\.outputs\.result", self._text))
