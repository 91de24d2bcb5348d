"""CronWorkflows: schedules (robfig/cron's standard format, as the controller reads it), timezones, conditions."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Iterator

from pipelines.check.expressions import Text, check
from pipelines.check.findings import Path, Problem
from pipelines.check.model import Flow
from pipelines.check.scope import Scope
from pipelines.language import gotext
from pipelines.language.errors import EvaluationError

_WORDS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec"
_DAYS = "sun mon tue wed thu fri sat"
_FIELDS = (("minute", 0, 59, ""), ("hour", 0, 23, ""), ("day", 1, 31, ""), ("month", 1, 12, _MONTHS), ("weekday", 0, 6, _DAYS))
_SCOPE = Scope.of({}, "cronworkflow.")


def problems(flow: Flow) -> Iterator[Problem]:
    """What is wrong with the schedule of a CronWorkflow."""
    if flow.kind != "CronWorkflow":
        return
    spec, path = flow.value.get("spec", {}), (*flow.document.prefix, "spec")
    if "schedules" in spec and not spec["schedules"]:
        yield Problem("bad-schedule", (*path, "schedules"), "there is no schedule", "write such as 0 3 * * *")
    for number, schedule in enumerate(spec.get("schedules", [])):
        yield from _schedule(schedule, (*path, "schedules", number))
    yield from _timezone(spec.get("timezone", ""), (*path, "timezone"))
    if spec.get("startingDeadlineSeconds", 0) < 0:
        yield Problem("bad-schedule", (*path, "startingDeadlineSeconds"), "a deadline before the start", "write 0 or more")
    stop = spec.get("stopStrategy", {})
    for where, text in (((*path, "when"), spec.get("when", "")), ((*path, "stopStrategy", "expression"), stop.get("expression", ""))):
        if text:
            inner = text[3:-2] if text.startswith("{{=") and text.endswith("}}") else text
            yield from check(Text(where, inner, wanted="bool"), _SCOPE)


def _schedule(text: str, path: Path) -> Iterator[Problem]:
    wrong = _wrong(re.sub(r"^(CRON_)?TZ=\S+ ", "", text).strip())
    if wrong:
        yield Problem("bad-schedule", path, f"{text!r}: {wrong}", "write minute, hour, day, month, weekday, such as 0 3 * * 1-5")


def _wrong(text: str) -> str:
    """What is wrong with a schedule, empty where nothing is."""
    if text.startswith("@every "):
        try:
            return "" if gotext.duration_s(text[7:].strip()) > 0 else "the interval must be positive"
        except EvaluationError:
            return f"{text[7:]!r} is no time such as 1h30m"
    if text.startswith("@"):
        return "" if text in _WORDS else f"expected one of {', '.join(_WORDS)} or @every"
    given = text.split()
    if len(given) != len(_FIELDS):
        return f"expected 5 fields, got {len(given)}"
    for part, (name, least, most, words) in zip(given, _FIELDS, strict=True):
        for one in part.split(","):
            if not _fits(one.lower(), least, most, words.split()):
                return f"{name} {one!r}: expected {least} to {most}, *, a-b or */n"
    return ""


def _fits(text: str, least: int, most: int, words: list[str]) -> bool:
    match = re.fullmatch(r"(?:[*?]|(\w+)(?:-(\w+))?)(?:/(\d{1,4}))?", text)
    if not match:
        return False
    ends = [str(words.index(end) + least) if end in words else end for end in match.groups()[:2] if end is not None]
    if not all(end.isdigit() and len(end) < 5 and least <= int(end) <= most for end in ends):
        return False
    return (len(ends) < 2 or int(ends[0]) <= int(ends[1])) and match[3] != "0"


def _timezone(name: str, path: Path) -> Iterator[Problem]:
    if name and name != "Local" and not _exists(name) and _exists("Europe/London"):
        yield Problem("bad-schedule", path, f"there is no timezone {name!r}", "write such as Europe/Berlin")


def _exists(name: str) -> bool:
    try:
        return bool(zoneinfo.ZoneInfo(name))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
