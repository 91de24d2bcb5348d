"""Small workflows of every shape, made at random from a seed: what both the controller and the local runner carry out.

Most of their leaves need no pod: a suspension of no length passes its input on as its output. The others run busybox.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import Any

Template = dict[str, Any]
_LITERALS = ("0", "1", "2", "7", "-3", "x", "a b", "true", "1.5", "", "é", "null", "it's", 'say "hi"', "a\\b", "[1]")
_ITEMS: tuple[list[Any], ...] = (
    [1, 2],
    ["a", "b"],
    ["x"],
    [True, False],
    [1.5, "z"],
    [{"k": "v", "n": 1}, {"k": "w", "n": 2}],
    [[1, 2], ["a"]],
    ["a(b)", 'q"q'],
    [{"k": {"z": 1}}],
    ["a b", "c.d"],
)
_LISTS = ('["a","b"]', "[1,2]", '[{"k":"v"},{"k":"w"}]', "[]", '["x"]', "[[1],[2]]", "[true,null]", "[1.0,2e3]")
_SEQUENCES: tuple[dict[str, Any], ...] = (
    {"count": 2},
    {"count": "0"},
    {"start": "1", "end": "2"},
    {"start": 3, "end": 1},
    {"start": "5", "count": "2", "format": "s%02d"},
    {"end": 1, "format": "0x%X"},
)
_RESULTS = ("Succeeded", "Failed", "Errored", "Skipped", "Omitted", "Daemoned")
_CONTINUES: tuple[dict[str, bool], ...] = ({"failed": True}, {"error": True}, {"failed": True, "error": True})
# What an expression may make of a text.
_FUNCTIONS = (
    "sprig.upper({})",
    "string(len({}))",
    "{} + '!'",
    "sprig.trim({})",
    "{} == '1' ? 'one' : 'other'",
    "toJson({})",
    "sprig.default('none', {})",
    "sprig.b64enc({})",
    "sprig.replace('a', 'b', {})",
    "sprig.sha256sum({})",
    "{} in ['0', '1', 'x']",
    "[{}, 'end']",
    "{{'key': {}}} ",
    "len({}) > 1",
    "{} matches '^[0-9]+$'",
    "sprig.trunc(2, {})",
    "sprig.quote({})",
    "sprig.cat({}, 'z')",
    "lower({})",
    "split({}, 'a')",
    "asFloat(len({})) / 3",
    "let v = {}; v + v",
)
_CONDITIONS = (
    "{0} == {1}",
    "'{0}' == '{1}'",
    "'{0}' != '{1}'",
    '"{0}" == "{1}" || 1 == 1',
    "({0} == {1}) && true",
    "{0} in ({1}, 0, 1)",
    "!('{0}' == '{1}')",
    "'{0}' =~ '^[a-z0-9]'",
    "{0} > {1}",
    "{0} <= 1",
)
_TRUTHS = ("1 == 1", "1 == 2", "true", "false", "'a' < 'b'", "!(1 > 0)", "{{=true}}", "{{=1 > 2}}")
# One mistake each, that the controller reports before it begins or while it runs.
_MISTAKES = (
    "{{inputs.parameters.nosuch}}",
    "{{steps.nosuch.outputs.result}}",
    "{{=asInt('x')}}",
    "{{=1 +}}",
    "{{=nosuch}}",
    "{{=nosuch.field}}",
    "{{workflow.nosuch}}",
    "{{workflow.parameters.nosuch}}",
    "{{=workflow.parameters.nosuch}}",
    "{{=workflow.parameters.a[9]}}",
    "{{=fromJSON('{')}}",
    "{{item}}",
    "{{=item}}",
    "{{lastRetry.exitCode}}",
    "{{=[1,2][5]}}",
    "{{=nil}}",
    "{{=1/0}}",
    "{{=sprig.fail('no')}}",
    "{{}}",
    "{{=}}",
    "{{",
    "}} {{x",
    "{{ workflow.name }}",
    "{{=workflow.name + }}",
)


@dataclass
class Made:
    """A step or a task that others may name."""

    name: str
    prefix: str
    outputs: list[str] = field(default_factory=list)
    result: bool = False
    code: bool = False
    loop: bool = False
    waits: bool = False


def workflow(seed: int, pods: int = 4) -> dict[str, Any]:
    """The workflow of a seed, with about `pods` pods at most."""
    return _Maker(random.Random(f"workflow {seed}"), pods).workflow(f"w{seed}")


class _Maker:
    def __init__(self, chance: random.Random, pods: int) -> None:
        self._chance = chance
        self._pods = pods if chance.random() < 0.25 else 0
        self._name = ""
        self._templates: dict[str, Template] = {}
        self._mistakes = 1 if chance.random() < 0.15 else 0

    def workflow(self, name: str) -> dict[str, Any]:
        self._name = name
        chance = self._chance
        arguments = [{"name": "a", "value": chance.choice(_LITERALS)}, {"name": "n", "value": str(chance.randint(0, 3))}]
        main = self._composite("main", 2, [])
        spec: dict[str, Any] = {"entrypoint": main, "arguments": {"parameters": arguments}}
        if chance.random() < 0.25:
            spec["onExit"] = self._handler()
        if chance.random() < 0.1:
            status = chance.choice(("Succeeded", "Failed", "Error"))
            spec["hooks"] = {"seen": {"template": self._leaf_template("plain"), "expression": f'workflow.status == "{status}"'}}
        if chance.random() < 0.1:
            spec["parallelism"] = chance.randint(1, 3)
        if chance.random() < 0.05:
            spec["templateDefaults"] = {"retryStrategy": {"limit": "1"}}
        if chance.random() < 0.05:
            spec["activeDeadlineSeconds"] = 300
        spec["templates"] = list(self._templates.values())
        return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": name}, "spec": spec}

    def _handler(self) -> str:
        """An exit handler of the workflow."""
        if self._chance.random() < 0.5:
            return self._leaf_template("plain")
        status = self._chance.choice(("Succeeded", "Failed", "Error"))
        step = {"name": "tell", "template": self._leaf_template("plain"), "when": f"{{{{workflow.status}}}} == {status}"}
        told = {"name": "pass", "template": self._leaf_template("pass"), "arguments": _arguments(x="{{workflow.status}}")}
        return self._add("handler", {"steps": [[step, told]]})

    def _add(self, name: str, template: Template) -> str:
        self._templates[name] = {"name": name, **template}
        return name

    def _unused(self, stem: str) -> str:
        return next(name for name in (stem, *(f"{stem}-{number}" for number in range(2, 99))) if name not in self._templates)

    # Leaves: templates that call no others.

    def _leaf_template(self, kind: str) -> str:
        if kind not in self._templates:
            self._add(kind, _LEAVES[kind](self))
        return kind

    def _pass(self) -> Template:
        return _suspension("{{inputs.parameters.x}}", "x")

    def _plain(self) -> Template:
        return {"suspend": {"duration": "0"}}

    def _count(self) -> Template:
        return _suspension("{{=string(len(inputs.parameters.x) + 1)}}", "x")

    def _default(self) -> Template:
        template = _suspension("<{{inputs.parameters.x}}>", "x")
        template["inputs"]["parameters"][0]["default"] = self._chance.choice(_LITERALS)
        return template

    def _choice(self) -> Template:
        template = _suspension("{{inputs.parameters.x}}", "x")
        template["inputs"]["parameters"][0] |= {"enum": ["0", "1", "x", "a b"]}
        return template

    def _list(self) -> Template:
        return _suspension(self._chance.choice(_LISTS))

    def _global(self) -> Template:
        template = _suspension("{{inputs.parameters.x}}", "x")
        template["outputs"]["parameters"][0]["globalName"] = "g"
        return template

    def _slow(self) -> Template:
        return _suspension("late", duration="1")

    def _errs(self) -> Template:
        return {"suspend": {"duration": "0"}, "outputs": {"parameters": [{"name": "o", "valueFrom": {"supplied": {}}}]}}

    def _fails(self) -> Template:
        return {"steps": [[{"name": "no", "template": self._leaf_template("errs")}]]}

    def _countdown(self) -> Template:
        again = {
            "name": "again",
            "template": "countdown",
            "when": "{{inputs.parameters.x}} > 0",
            "arguments": _arguments(x="{{=asInt(inputs.parameters.x) - 1}}"),
        }
        ask = {"name": "number", "template": self._leaf_template("pass"), "arguments": _arguments(x="{{inputs.parameters.x}}")}
        return {"inputs": {"parameters": [{"name": "x", "default": "2"}]}, "steps": [[ask], [again]]}

    def _exits(self) -> Template:
        script = "echo said; echo file > /tmp/o; exit {{inputs.parameters.x}}"
        outputs = {"parameters": [{"name": "o", "valueFrom": {"path": "/tmp/o"}}]}
        return {"inputs": {"parameters": [{"name": "x"}]}, "container": _shell(script), "outputs": outputs}

    def _prints(self) -> Template:
        source = self._chance.choice(("echo 7", "echo '{\"k\": [1, 2]}'", "printf 'two\\nlines\\n\\n'", "echo [1,2]", "printf ''"))
        return {"script": {"image": "busybox", "command": ["sh"], "source": source}}

    def _missing(self) -> Template:
        outputs = {"parameters": [{"name": "o", "valueFrom": {"path": "/tmp/nosuch", "default": "instead"}}]}
        if self._chance.random() < 0.3:
            del outputs["parameters"][0]["valueFrom"]["default"]  # type: ignore[attr-defined]
        return {"container": _shell("true"), "outputs": outputs}

    def _flaky(self) -> Template:
        strategy: dict[str, Any] = {"limit": self._chance.choice((1, "2"))}
        if self._chance.random() < 0.5:
            strategy["expression"] = self._chance.choice(
                ("asInt(lastRetry.exitCode) == 3", "lastRetry.status == 'Failed'", "asInt(retries) < 1", "lastRetry.exitCode != '3'")
            )
        if self._chance.random() < 0.3:
            strategy["retryPolicy"] = self._chance.choice(("Always", "OnError", "OnFailure"))
        turns = self._chance.randint(1, 2)
        script = f"echo {{{{retries}}}} > /tmp/o; test {{{{retries}}}} -ge {turns} || exit 3"
        outputs = {"parameters": [{"name": "o", "valueFrom": {"path": "/tmp/o"}}]}
        return {"container": _shell(script), "outputs": outputs, "retryStrategy": strategy}

    # Templates that call others.

    def _composite(self, stem: str, depth: int, inputs: list[str]) -> str:
        name = self._unused(stem)
        self._templates[name] = {}
        make = self._steps if self._chance.random() < 0.5 else self._dag
        body, made = make(depth, inputs)
        template: Template = {}
        if inputs:
            template["inputs"] = {"parameters": [{"name": one} for one in inputs]}
        template |= body
        outputs = self._outputs(made, inputs)
        if outputs:
            template["outputs"] = {"parameters": outputs}
        if self._chance.random() < 0.12:
            template["retryStrategy"] = self._retry()
        if self._chance.random() < 0.1:
            template["parallelism"] = self._chance.randint(1, 2)
        # A lock that is wanted again by what its holder calls is never free.
        if not depth and self._chance.random() < 0.1:
            template["synchronization"] = {"mutexes": [{"name": self._name}]}
        return self._add(name, template)

    def _retry(self) -> dict[str, Any]:
        strategy: dict[str, Any] = {"limit": self._chance.choice(("1", 2, "{{workflow.parameters.n}}"))}
        if self._chance.random() < 0.5:
            strategy["retryPolicy"] = self._chance.choice(("Always", "OnError", "OnFailure", "OnTransientError"))
        if self._chance.random() < 0.4:
            strategy["expression"] = self._chance.choice(
                ("lastRetry.status == 'Error'", "asInt(retries) < 1", "lastRetry.exitCode == '-1'", "lastRetry.message contains 'step'")
            )
        return strategy

    def _steps(self, depth: int, inputs: list[str]) -> tuple[Template, list[Made]]:
        made: list[Made] = []
        groups = []
        for _ in range(self._chance.randint(1, 3)):
            new = [self._holder("steps", depth, made, inputs, len(made) + place) for place in range(self._chance.choice((1, 1, 2)))]
            groups.append([holder for holder, _ in new])
            made += [one for _, one in new]
        return {"steps": groups}, made

    def _dag(self, depth: int, inputs: list[str]) -> tuple[Template, list[Made]]:
        made: list[Made] = []
        tasks = []
        waits = self._chance.choice(("depends", "dependencies"))
        for _ in range(self._chance.randint(1, 5)):
            before = self._chance.sample(made, min(len(made), self._chance.choice((0, 1, 1, 2))))
            known = [one for one in made if any(one is other for other in before)]
            holder, new = self._holder("tasks", depth, known, inputs, len(made))
            if before:
                holder[waits] = self._depends(before) if waits == "depends" else [one.name for one in before]
            if waits == "depends":
                holder.pop("continueOn", None)
            tasks.append(holder)
            made.append(new)
        dag: dict[str, Any] = {"tasks": tasks}
        if self._chance.random() < 0.2:
            dag["failFast"] = self._chance.random() < 0.3
        if self._chance.random() < 0.1:
            dag["target"] = " ".join(one.name for one in self._chance.sample(made, min(len(made), self._chance.randint(1, 2))))
        return {"dag": dag}, made

    def _depends(self, before: list[Made]) -> str:
        terms = []
        for one in before:
            results = (*_RESULTS, *(("AnySucceeded", "AllFailed") if one.loop else ()))
            term = one.name if self._chance.random() < 0.4 else f"{one.name}.{self._chance.choice(results)}"
            terms.append(f"!{term}" if self._chance.random() < 0.1 else term)
            if self._chance.random() < 0.3:
                terms[-1] = f"({terms[-1]} || {one.name}.{self._chance.choice(_RESULTS)})"
        return self._chance.choice((" && ", " || ", "&&")).join(terms)

    def _holder(self, section: str, depth: int, known: list[Made], inputs: list[str], place: int) -> tuple[dict[str, Any], Made]:
        """A step or a task, which may name those that are known."""
        name = f"{'st' if section == 'steps' else 't'}{place}"
        made = Made(name, f"{section}.{name}")
        holder: dict[str, Any] = {"name": name}
        item = self._loop(holder, known, inputs) if self._chance.random() < 0.2 else ""
        made.loop = bool(item)
        values = {"x": item or self._value(known, inputs)}
        self._call(holder, made, depth, values)
        if self._chance.random() < 0.25:
            holder["when"] = self._condition(known, inputs, item)
        if self._chance.random() < 0.12:
            holder["continueOn"] = dict(self._chance.choice(_CONTINUES))
        if self._chance.random() < 0.12 and (made.waits or not made.loop or section == "steps"):
            holder["hooks"] = self._hooks(made)
        return holder, made

    def _call(self, holder: dict[str, Any], made: Made, depth: int, values: dict[str, str]) -> None:
        chance = self._chance
        if depth and chance.random() < 0.25:
            holder["template"] = self._composite("part", depth - 1, ["x"] if chance.random() < 0.7 else [])
            called = self._templates[holder["template"]]
            made.outputs = [row["name"] for row in (called.get("outputs") or {}).get("parameters", [])]
            if called.get("inputs"):
                holder["arguments"] = _arguments(**values)
            return
        kind = ("slow" if chance.random() < 0.02 else "") or chance.choice(_PODS if self._pods > 0 and chance.random() < 0.5 else _PODLESS)
        self._pods -= {"flaky": 2}.get(kind, 1) * (2 if made.loop else 1) if kind in _PODS else 0
        holder["template"] = self._leaf_template(kind)
        called = self._templates[kind]
        made.outputs = [row["name"] for row in (called.get("outputs") or {}).get("parameters", [])]
        made.waits = kind == "slow" or kind in _PODS
        made.result, made.code = kind == "prints", kind in _PODS
        if kind == "exits":
            values = {"x": chance.choice(("0", "0", "1", "3", "64", "137"))}
        if kind == "countdown":
            values = {"x": str(chance.randint(0, 2))}
        if called.get("inputs") and not (kind in ("default", "countdown") and chance.random() < 0.4):
            holder["arguments"] = _arguments(**values)

    def _loop(self, holder: dict[str, Any], known: list[Made], inputs: list[str]) -> str:
        """Make a step or a task one for each item; returns how its arguments name an item."""
        kind = self._chance.choice(("items", "items", "param", "sequence"))
        if kind == "items":
            holder["withItems"] = json.loads(json.dumps(self._chance.choice(_ITEMS)))
            if all(isinstance(one, dict) and "n" in one for one in holder["withItems"]):
                return self._chance.choice(("{{item.k}}", "{{item.n}}", "{{item}}", "{{=item.k}}", "{{=item.n + 1}}"))
        elif kind == "param":
            lists = [f"{{{{{one.prefix}.outputs.parameters.{name}}}}}" for one in known for name in one.outputs if one.loop or name == "o"]
            holder["withParam"] = self._chance.choice(lists) if lists and self._chance.random() < 0.5 else self._chance.choice(_LISTS)
        else:
            holder["withSequence"] = dict(self._chance.choice(_SEQUENCES))
        return self._chance.choice(("{{item}}", "{{item}}", "i{{item}}", "{{=item}}", "{{=string(item) + '.'}}"))

    def _hooks(self, made: Made) -> dict[str, Any]:
        hook: dict[str, Any] = {"template": self._leaf_template("plain")}
        named = [f"{made.prefix}.outputs.parameters.{name}" for name in made.outputs]
        if named and not made.loop and self._chance.random() < 0.5:
            hook = {"template": self._leaf_template("pass"), "arguments": _arguments(x=f"{{{{{self._chance.choice(named)}}}}}")}
        # A hook of a task is only looked at when the task has ended before its DAG does.
        if self._chance.random() < 0.6 or (made.prefix.startswith("tasks") and not made.waits):
            return {"exit": hook}
        if made.prefix.startswith("steps"):
            hook.pop("arguments", None)
            hook["template"] = self._leaf_template("plain")
        status = self._chance.choice(("Succeeded", "Failed", "Error"))
        return {"seen": {**hook, "expression": f'{made.prefix}.status == "{status}"'}}

    # Values and conditions.

    def _references(self, known: list[Made], inputs: list[str]) -> list[str]:
        found = ["workflow.parameters.a", "workflow.parameters.n", "workflow.name"]
        found += [f"inputs.parameters.{name}" for name in inputs] * 2
        for one in known:
            found += [f"{one.prefix}.outputs.parameters.{name}" for name in one.outputs] * 2
            found += [f"{one.prefix}.status"] if not one.loop or one.prefix.startswith("tasks") else []
            found += [f"{one.prefix}.outputs.result"] if one.result else []
            found += [f"{one.prefix}.exitCode"] if one.code and not one.loop else []
        return found

    def _mistake(self) -> str:
        if self._mistakes and self._chance.random() < 0.3:
            self._mistakes -= 1
            return self._chance.choice(_MISTAKES)
        return ""

    def _value(self, known: list[Made], inputs: list[str]) -> str:
        if mistake := self._mistake():
            return mistake
        reference = self._chance.choice(self._references(known, inputs))
        kind = self._chance.random()
        if kind < 0.25:
            return self._chance.choice(_LITERALS)
        if kind < 0.6:
            return f"{{{{{reference}}}}}"
        if kind < 0.7:
            return f"({{{{{reference}}}}} {{{{ workflow.parameters.n }}}})"
        return f"{{{{={self._chance.choice(_FUNCTIONS).format(_dotted(reference))}}}}}"

    def _condition(self, known: list[Made], inputs: list[str], item: str) -> str:
        if mistake := self._mistake():
            return f"{mistake} == 1"
        if self._chance.random() < 0.2:
            return self._chance.choice(_TRUTHS)
        reference = item or f"{{{{{self._chance.choice(self._references(known, inputs))}}}}}"
        if self._chance.random() < 0.2 and not item:
            return f"{{{{={_dotted(reference.strip('{}'))} == '1'}}}}"
        against = self._chance.choice((*_LITERALS[:6], "Succeeded", "Failed", "'x'"))
        return self._chance.choice(_CONDITIONS).format(reference, against)

    def _outputs(self, made: list[Made], inputs: list[str]) -> list[dict[str, Any]]:
        chance = self._chance
        sources = [f"{one.prefix}.outputs.parameters.{name}" for one in made for name in one.outputs]
        sources += [f"{one.prefix}.outputs.result" for one in made if one.result]
        if not sources or chance.random() < 0.4:
            return []
        source = chance.choice(sources)
        kind = chance.random()
        if kind < 0.5:
            value: dict[str, Any] = {"parameter": f"{{{{{source}}}}}"}
        else:
            owner = source.split(".outputs")[0]
            expressions = ("{0}", "{1}.status == 'Succeeded' ? {0} : 'not'", "{1}.status + workflow.parameters.n", "{0} ?? 'nothing'")
            value = {"expression": chance.choice(expressions).format(_dotted(source), owner)}
        if chance.random() < 0.4:
            value["default"] = chance.choice(_LITERALS)
        output: dict[str, Any] = {"name": chance.choice(("o", "out")), "valueFrom": value}
        if chance.random() < 0.1:
            output["globalName"] = "h"
        return [output]


_LEAVES = {
    name.removeprefix("_"): getattr(_Maker, name)
    for name in (
        *("_pass", "_plain", "_count", "_default", "_choice", "_list", "_global", "_slow", "_errs", "_fails", "_countdown"),
        *("_exits", "_prints", "_missing", "_flaky"),
    )
}
_PODS = ("exits", "exits", "prints", "missing", "flaky")
_PODLESS = ("pass", "pass", "pass", "plain", "count", "default", "choice", "list", "global", "errs", "fails", "fails", "countdown")


def _suspension(value: str, *inputs: str, duration: str = "0") -> Template:
    """A template that passes on a value without a pod."""
    declared = {"inputs": {"parameters": [{"name": name} for name in inputs]}} if inputs else {}
    outputs = {"parameters": [{"name": "o", "valueFrom": {"supplied": {}, "default": value}}]}
    return {**declared, "suspend": {"duration": duration}, "outputs": outputs}


def _shell(script: str) -> dict[str, Any]:
    return {"image": "busybox", "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c"], "args": [script]}


def _arguments(**values: str) -> dict[str, Any]:
    return {"parameters": [{"name": name, "value": value} for name, value in values.items()]}


def _dotted(reference: str) -> str:
    """A reference as an expression names it."""
    return reference
