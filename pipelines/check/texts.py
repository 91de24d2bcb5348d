"""The texts of a workflow: tags, expressions and conditions, each looked at in the scope that it has."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from pipelines.check import conditions, expressions, graph, scope
from pipelines.check.expressions import Text
from pipelines.check.fields import near
from pipelines.check.findings import Path, Problem
from pipelines.check.model import Call, Flow, Target, hooks
from pipelines.check.scope import Scope
from pipelines.check.structure import reached
from pipelines.language import tags

_NAME = re.compile(r"[A-Za-z][\w-]*(\.[\w\[\]/-]+)+")
_ROOTS = ("workflow", "inputs", "outputs", "steps", "tasks", "item", "pod", "node", "retries", "lastRetry", "cronworkflow")
# Fields that hold an expression, whatever is around them.
_EXPRESSIONS = {"fromExpression": "", "expression": ""}
_EVENTS = ("request.method", "request.url", "request.body", "response.statusCode", "response.body")
_OF_RETRY = Scope.of(dict.fromkeys(("retries", *scope.LAST_RETRY)))
# Parts of a workflow that go into each of its pods, with what is known there.
_OF_PODS, _KNOWN_TO_PODS = ("volumes", "podSpecPatch", "podMetadata"), ("steps.", "tasks.", "inputs.", "item", "pod.")
_KNOWN_TO_DEFAULTS = ("steps.", "tasks.", "inputs.artifacts.", "outputs.", "item", "pod.", "node.", "lastRetry.", "retries")
_APART = ("steps", "dag", "metrics", "retryStrategy")


@functools.lru_cache(maxsize=256)
def _of_retry(text: str) -> tuple[Problem, ...]:
    """What is wrong with a retry's expression, wherever it is: workflows repeat them."""
    return tuple(expressions.check(Text((), text, wanted="bool"), _OF_RETRY))


@dataclass(frozen=True)
class _Reader:
    """Reads the texts of one document."""

    flow: Flow

    def flow_texts(self) -> Iterator[Problem]:
        """All texts of a workflow or a template of workflows."""
        outer = scope.of_workflow(self.flow)
        at_the_end = outer.with_names({"workflow.failures": None})
        ending, _ = reached(self.flow, [hook.get("template", "") for name, _, hook in hooks(self.flow.spec, ()) if name == "exit"])
        for target in self.flow.listed:
            yield from self.template(target, at_the_end if self.flow.is_template or target.name in ending else outer)
        spec, path = self.flow.spec, self.flow.path
        of_pods = outer.with_names({}, *_KNOWN_TO_PODS)
        for key in spec.keys() - {"templates", "templateDefaults", "hooks", "retryStrategy"}:
            yield from self.texts(spec[key], (*path, key), of_pods if key in _OF_PODS else outer)
        retried = outer.with_names(dict.fromkeys(("retries", *scope.LAST_RETRY)))
        yield from self.retry(spec.get("retryStrategy", {}), (*path, "retryStrategy"), retried)
        yield from self.retry(self.flow.defaults.get("retryStrategy", {}), (*path, "templateDefaults", "retryStrategy"), retried)
        yield from self._defaults(outer)
        for _, where, hook in hooks(spec, path):
            yield from self.hook(hook, where, at_the_end)

    def _defaults(self, outer: Scope) -> Iterator[Problem]:
        """Texts that go into every template: they may name what any of these has."""
        inputs = {f"inputs.parameters.{one.get('name')}": None for target in self.flow.every for one in target.inputs("parameters")}
        own = outer.with_names(inputs, *_KNOWN_TO_DEFAULTS)
        body = {key: value for key, value in self.flow.defaults.items() if key not in _APART}
        yield from self.texts(body, (*self.flow.path, "templateDefaults"), own)

    def template(self, target: Target, outer: Scope) -> Iterator[Problem]:
        """All texts of a template."""
        own = scope.of_template(target, outer)
        if target.calls:
            own, told = self._calls(target, own)
            for call in target.calls:
                yield from self.call(target, call, own, told)
        body = {key: value for key, value in target.template.items() if key not in _APART}
        yield from self.texts(body, target.path, own)
        yield from self.texts(target.template.get("metrics", {}), (*target.path, "metrics"), scope.of_metrics(target, own))
        yield from self.retry(target.template.get("retryStrategy", {}), (*target.path, "retryStrategy"), own)
        if "dag" in target.template:
            yield from self.texts(target.template["dag"].get("target", ""), (*target.path, "dag", "target"), own)

    def _calls(self, target: Target, own: Scope) -> tuple[Scope, dict[str, scope.Told]]:
        told = {call.name: scope.told_by(call, target.flow.called(call.holder, call.path) or None) for call in target.calls}
        return own.with_nodes(target.calls[0].prefix, told, told.__contains__), told

    def call(self, target: Target, call: Call, own: Scope, told: dict[str, scope.Told]) -> Iterator[Problem]:
        """All texts of a step or a task."""
        before = graph.ended_before(target, call)
        inner = own.with_nodes(call.prefix, told, before)
        looped = scope.of_item(call, inner)
        loops = ("withItems", "withParam", "withSequence")
        body = {key: value for key, value in call.holder.items() if key not in ("hooks", "onExit", "inline", "depends", "name", *loops)}
        yield from self.texts(body, call.path, looped)
        yield from self.texts({key: call.holder[key] for key in loops if key in call.holder}, call.path, inner)
        if "inline" in call.holder:
            yield from self.template(Target(target.flow, (*call.path, "inline"), call.holder["inline"]), looped)
        during = looped.with_nodes(call.prefix, told, lambda name: before(name) or name == call.name)
        for _, path, hook in hooks(call.holder, call.path):
            yield from self.hook(hook, path, during)

    def hook(self, hook: dict[str, Any], path: Path, inner: Scope) -> Iterator[Problem]:
        """All texts of a hook."""
        if hook.get("expression"):
            yield from expressions.check(Text((*path, "expression"), hook["expression"], wanted="bool"), inner)
        yield from self.texts({key: value for key, value in hook.items() if key != "expression"}, path, inner)

    def retry(self, strategy: dict[str, Any], path: Path, own: Scope) -> Iterator[Problem]:
        """All texts of a retryStrategy; its expression sees the last attempt only, and tags are replaced before."""
        text = strategy.get("expression", "")
        where = (*path, "expression")
        if text.startswith("{{=") and text.endswith("}}"):
            yield from expressions.check(Text(where, text[3:-2], 3, wanted="bool"), own)
        elif text:
            yield from expressions.tag_problems(where, text, own, self._names(where, own))
            yield from (replace(problem, path=where) for problem in _of_retry(text))
        yield from self.texts({key: value for key, value in strategy.items() if key != "expression"}, path, own)

    def texts(self, value: Any, path: Path, inner: Scope) -> Iterator[Problem]:
        """All texts inside a value."""
        if isinstance(value, str):
            yield from self.text(value, path, inner)
        elif isinstance(value, dict):
            for key, part in value.items():
                yield from self.texts(part, (*path, key), inner)
        elif isinstance(value, list):
            for number, part in enumerate(value):
                yield from self.texts(part, (*path, number), inner)

    def text(self, text: str, path: Path, inner: Scope) -> Iterator[Problem]:
        """One text, by the field that it is in."""
        field = path[-1]
        if field in _EXPRESSIONS and text:
            yield from self._expression(text, path, inner)
            return
        if "{{" in text:
            yield from expressions.tag_problems(path, text, inner, self._names(path, inner))
            yield from _last_retry(text, path)
        if field == "when" and text:
            yield from conditions.check(path, text, inner)
            if text.startswith("{{=") and text.endswith("}}"):
                yield from expressions.check(Text(path, text[3:-2], 0, "condition"), inner)
        elif field == "successCondition" and "http" in path and text:
            seen = inner.with_names(dict.fromkeys(_EVENTS), "response.", "request.")
            yield from expressions.check(Text(path, text, wanted="bool"), seen)
        elif field in ("parameter", "from") and "{{" not in text and _NAME.fullmatch(text):
            yield from self._name(text, path, inner, 0)

    def _expression(self, text: str, path: Path, inner: Scope) -> Iterator[Problem]:
        if "transformation" in path:
            inner = inner.with_names({"data": None}, "data.")
        if text.startswith("{{=") and text.endswith("}}"):
            yield from expressions.check(Text(path, text[3:-2], 3), inner)
            return
        yield from expressions.check(Text(path, text), inner)
        if "{{" in text:
            yield from expressions.tag_problems(path, text, inner, self._names(path, inner))

    def _names(self, path: Path, inner: Scope) -> Any:
        return lambda name, offset: self._name(name, path, inner, offset)

    def _name(self, name: str, path: Path, inner: Scope, offset: int) -> Iterator[Problem]:
        """A name in a tag; what no variable's name begins like is left to whoever reads the text (Go templates, Jinja)."""
        first, dot, _ = name.partition(".")
        if first not in _ROOTS:
            meant = near(first, _ROOTS) if dot and _NAME.fullmatch(name) and first not in inner.roots else ""
            if meant.startswith("did you mean") and inner.missing(name):
                yield Problem("undefined-variable", path, f"{{{{{name}}}}}: there is no variable that begins with {first}", meant, offset)
            return
        if first == "item" and "manifest" in path:
            return
        missing = inner.missing(name)
        if missing:
            message, fix = missing
            yield Problem("undefined-variable", path, f"{{{{{name}}}}}: {message.partition(': ')[2] or message}", fix, offset)


def _last_retry(text: str, path: Path) -> Iterator[Problem]:
    for tag in tags.found(text) if "lastRetry.exitCode" in text and "retryStrategy" not in path else ():
        if "lastRetry.exitCode" in tag:
            what = "in a body it is 0 on the first attempt, and after an attempt that was killed without an exit code"
            fix = "decide in retryStrategy.expression, where such an attempt has -1"
            yield Problem("last-retry-in-body", path, f"{{{{{tag}}}}}: {what}", fix, text.find(f"{{{{{tag}}}}}"))


def problems(flow: Flow) -> Iterator[Problem]:
    """What is wrong with the texts of a workflow."""
    yield from _Reader(flow).flow_texts()
