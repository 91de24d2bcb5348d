"""One container at a time: its image, command, ports, amounts, and the user it runs as."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.check.findings import Path, Problem
from pipelines.check.model import Flow, Target
from pipelines.check.pods import containers

_PART = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]+)*|\[[0-9a-fA-F:]+\])(?::\d+)?"
_IMAGE = re.compile(rf"(?:{_HOST}/)?{_PART}(?:/{_PART})*(?::\w[\w.-]{{0,127}})?(?:@[a-z0-9+._-]+:[0-9a-fA-F]{{32,}})?", re.ASCII)
_AMOUNT = re.compile(r"([+-]?[\d.]+)([a-zA-Z]*)")
_TIMES: Mapping[str, float] = {
    "n": 1e-9,
    "u": 1e-6,
    "m": 1e-3,
    "": 1.0,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "P": 1e15,
    "E": 1e18,
    **{f"{letter}i": 1024.0 ** (power + 1) for power, letter in enumerate("KMGTPE")},
}
_PORTS = range(1, 65536)


def problems(flow: Flow) -> Iterator[Problem]:
    """What is wrong with the containers of a workflow."""
    for target in flow.every:
        outer = _users(flow, target)
        for path, container in containers(target):
            yield from _image(container.get("image", ""), (*path, "image"))
            yield from _command(container.get("command", []), (*path, "command"))
            yield from _ports(container.get("ports", []), (*path, "ports"))
            yield from _amounts(container.get("resources", {}), (*path, "resources"))
            yield from _user(outer | container.get("securityContext", {}), path)


def _image(text: str, path: Path) -> Iterator[Problem]:
    if text and "{{" not in text and not _IMAGE.fullmatch(text):
        fix = "write [HOST[:PORT]/]NAME[:TAG][@DIGEST], the name in small letters, without blanks and without https://"
        yield Problem("bad-image", path, f"{text!r} is no name of an image", fix)


def _command(words: list[Any], path: Path) -> Iterator[Problem]:
    first = words[0] if words else ""
    if isinstance(first, str) and re.search(r"\S\s+\S", first) and "{{" not in first:
        fix = f"write each word as an item of its own: {first.split()}, or let a shell read it: [sh, -c, ...]"
        yield Problem("command-with-blanks", (*path, 0), f"there is no program called {first[:60]!r}", fix)


def _ports(ports: list[Mapping[str, Any]], path: Path) -> Iterator[Problem]:
    numbers = [(port.get("containerPort"), port.get("protocol") or "TCP") for port in ports]
    names = [port.get("name") for port in ports]
    counts, named = Counter(numbers), Counter(filter(None, names))
    for number, (port, protocol) in enumerate(numbers):
        if isinstance(port, int) and port not in _PORTS:
            yield Problem("unknown-value", (*path, number, "containerPort"), f"{port} is no port", "write a number from 1 to 65535")
        if named[names[number]] > 1 and names[number] in names[:number]:
            yield Problem("duplicate-name", (*path, number, "name"), f"there are two ports {names[number]!r}", "rename one of them")
        elif counts[port, protocol] > 1 and (port, protocol) in numbers[:number]:
            yield Problem("duplicate-port", (*path, number, "containerPort"), f"{port}/{protocol} is there twice", "remove one of them")


def _amounts(resources: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    requests, limits = (resources.get(name, {}) for name in ("requests", "limits"))
    for section, amounts in (("requests", requests), ("limits", limits)):
        given = str(amounts.get("memory", ""))
        if given.endswith("m"):
            message = f"{given} of memory are {given.removesuffix('m')} thousandths of a byte"
            yield Problem("bad-quantity", (*path, section, "memory"), message, f"did you mean {given}".replace("m", "M", 1) + "i?")
    for name in requests:
        least, most = _amount(requests[name]), _amount(limits.get(name))
        if least is not None and most is not None and least > most:
            message = f"{requests[name]} of {name} are asked for, and {limits[name]} are allowed"
            yield Problem("bad-quantity", (*path, "requests", name), message, "ask for no more than the limit")


def _amount(given: Any) -> float | None:
    match = _AMOUNT.fullmatch(str(given))
    if match is None or match[2] not in _TIMES:
        return None
    try:
        return float(match[1]) * _TIMES[match[2]]
    except ValueError:
        return None


def _users(flow: Flow, target: Target) -> dict[str, Any]:
    """The securityContext that a template's containers have where they do not say."""
    held = (flow.spec, flow.defaults, target.template)
    return {key: value for holder in held for key, value in holder.get("securityContext", {}).items()}


def _user(context: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    if context.get("runAsNonRoot") is True and type(context.get("runAsUser")) is int and context["runAsUser"] == 0:
        message = "it must not run as root (runAsNonRoot), and is told to run as root (runAsUser: 0): it never starts"
        yield Problem("root-refused", path, message, "give runAsUser another number")
