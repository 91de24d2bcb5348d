"""Runs Argo's example workflows by the local runner, and compares what came out with the record of the controller."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines import local
from tests.fidelity import examples, outcomes, record, web
from tests.fidelity.examples import Document, Example

BEGIN, END = "<!-- counted: python -m tests.fidelity.here --write -->", "<!-- end of counted -->"
# What takes longer than the tests may: only the command runs these. Each waits for times that decide what becomes of it.
SLOW = (
    "cron-when.yaml",
    "dag-task-level-timeout.yaml",
    "retry-backoff.yaml",
    "step-level-timeout.yaml",
    "suspend-template.yaml",
    "timeouts-step.yaml",
    "timeouts-workflow.yaml",
)
_README = Path(__file__).parents[2] / "README.md"
PROGRAMS = Path(__file__).with_name("programs")
SAME, DIFFERS, REFUSED, NOT_RECORDED = "same", "differs", "refused", "not recorded"
_NO_ENTRY = {"notRun": "it has no entry in the record"}
# Fields by which the time that a step takes decides what becomes of it: such a workflow's pauses are left as they are.
_TIMES = re.compile(r"'(activeDeadlineSeconds|timeout|duration|maxDuration|backoff|daemon)':")
_PAUSE = re.compile(r"\bsleep[ (](\d+)\b")


@dataclass(frozen=True)
class Result:
    """What became of an example here: one of the words above, why, and how long it took."""

    name: str
    kind: str
    lines: tuple[str, ...] = ()
    took_s: float = 0.0


def judged(example: Example, entry: Mapping[str, Any], workspace: Path, address: str) -> Result:
    """Run an example and compare it with its entry of the record; `address` is that of the web's stand-in."""
    refusal = refused(example, address)
    if refusal:
        return Result(example.name, REFUSED, (refusal,))
    if "notRun" in entry:
        return Result(example.name, NOT_RECORDED, (str(entry["notRun"]),))
    began = time.monotonic()
    workflow = _here(example.workflow, address)
    outcome = local.run(
        workflow, objects=_here(example.objects, address), workspace=workspace, display=_Answering(workspace, example.workflow)
    )
    found = outcomes.of(_with_text(local.finished(outcome.folder, outcome.status), address, web.HOST))
    known = {key: value for key, value in entry.items() if key != "changes"}
    lines = tuple(outcomes.differences(known, found))
    return Result(example.name, DIFFERS if lines else SAME, lines, time.monotonic() - began)


def refused(example: Example, address: str = web.HOST) -> str:
    """Why the runner refuses an example before anything starts; empty where it accepts it."""
    try:
        local.load_with(example.path)
    except local.RunnerError as error:
        return str(error).removeprefix(f"{example.path}: ").removeprefix(f"{example.path}:")
    if example.workflow is None:
        return example.why_not
    found = local.problems(_here(example.workflow, address), objects=_here(example.objects, address))
    return str(found[0]) if found else ""


def _here(value: Any, address: str) -> Any:
    """An object with this machine's programs, the address of the stand-in, and short pauses."""
    changed = examples.for_this_machine(_with_text(value, web.HOST, address), _program)
    return changed if _TIMES.search(str(value)) else _hurried(changed)


def _program(command: str) -> str:
    stand_in = PROGRAMS / command.lstrip("/")
    return str(stand_in) if stand_in.is_file() else command


def _with_text(value: Any, old: str, new: str) -> Any:
    if isinstance(value, (list, tuple)):
        return [_with_text(one, old, new) for one in value]
    if isinstance(value, dict):
        return {key: _with_text(inner, old, new) for key, inner in value.items()}
    return value.replace(old, new) if isinstance(value, str) else value


def _hurried(value: Any) -> Any:
    """A copy in which programs pause for a twentieth of the time."""
    if isinstance(value, list):
        return [_hurried(one) for one in value]
    if isinstance(value, dict):
        return {key: _hurried(inner) for key, inner in value.items()}
    return _PAUSE.sub(lambda found: found[0].replace(found[1], f"{int(found[1]) / 20:g}"), value) if isinstance(value, str) else value


class _Answering(local.Quiet):
    """Lets the nodes go on that wait for a person, as the recorder did."""

    def __init__(self, workspace: Path, workflow: Document | None) -> None:
        self._workspace, self._timed = workspace, examples.timed(workflow)
        self._answered: set[str] = set()

    def changed(self, node: dict[str, Any]) -> None:
        """Answer once, when what the node waits for has been written down."""
        waits = node["type"] == "Suspend" and node["phase"] == "Running" and node.get("templateName") not in self._timed
        if waits and node["id"] not in self._answered:
            self._answered.add(node["id"])
            threading.Thread(target=self._answer, args=(node,), daemon=True).start()

    def _answer(self, node: Mapping[str, Any]) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            time.sleep(0.1)
            declared = [one["name"] for one in (node.get("outputs") or {}).get("parameters") or []]
            values = {name: examples.ANSWERS[name] for name in declared if name in examples.ANSWERS}
            try:
                local.resume(self._workspace, str(node["displayName"]), values)
            except local.RunnerError:
                continue
            return


@contextlib.contextmanager
def no_cluster() -> Iterator[None]:
    """Resource templates are refused for a time, as on a machine without a cluster: an example must not act on somebody's."""
    kept = os.environ.pop("KUBECONFIG", None)
    try:
        yield
    finally:
        if kept is not None:
            os.environ["KUBECONFIG"] = kept


def table(chosen: Iterable[Example], entries: Mapping[str, Any]) -> str:
    """The counts that README shows; that what runs ends as recorded is for the tests and the command to say."""
    told: Counter[str] = Counter()
    with no_cluster():
        for example in chosen:
            entry = entries.get(example.name, _NO_ENTRY)
            told[REFUSED if refused(example) else NOT_RECORDED if "notRun" in entry else SAME] += 1
    rows = (
        (told[SAME], "run to the phases, nodes, messages and outputs that the controller gave"),
        (told[REFUSED], "are refused before anything starts, by the field's path"),
        (told[NOT_RECORDED], "run, but there is no outcome of the controller to compare with"),
    )
    return "\n".join([f"| of {told.total()} examples | |", "|---|---|", *(f"| {count} | {what} |" for count, what in rows)])


def write_table(chosen: Iterable[Example], entries: Mapping[str, Any]) -> None:
    """Put the counts into README."""
    before, _, rest = _README.read_text().partition(BEGIN)
    _README.write_text(f"{before}{BEGIN}\n{table(chosen, entries)}\n{END}{rest.partition(END)[2]}")


def every(names: Collection[str] = (), at_once: int = 8) -> Iterator[Result]:
    """What becomes of all examples, or of those whose names hold one of the words, in no order."""
    root, entries = examples.folder(), record.load()
    if root is None:
        raise FileNotFoundError("ARGO_EXAMPLES must name the folder of Argo's example workflows")
    chosen = [one for one in examples.every(root) if not names or any(name in one.name for name in names)]
    with no_cluster(), tempfile.TemporaryDirectory() as folder, web.served() as address, ThreadPoolExecutor(at_once) as pool:
        places = {one.name: Path(folder) / str(number) for number, one in enumerate(chosen)}
        runs = [pool.submit(judged, one, entries.get(one.name, _NO_ENTRY), places[one.name], address) for one in chosen]
        for run in as_completed(runs):
            yield run.result()


def main() -> int:
    """Compare, print a line for each difference and the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="parts of the names of examples")
    parser.add_argument("--write", action="store_true", help="put the counts into README, where all examples are run and nothing differs")
    arguments = parser.parse_args()
    results = []
    for result in every(arguments.names):
        results.append(result)
        if result.kind != SAME:
            print(f"{result.name}: {result.kind}", *result.lines, sep="\n    ")
        if result.took_s > 5:
            print(f"{result.name}: took {result.took_s:.0f} s")
    told = Counter(result.kind for result in results)
    print(", ".join(f"{told[kind]} {kind}" for kind in (SAME, DIFFERS, REFUSED, NOT_RECORDED)), f"of {len(results)}")
    root = examples.folder()
    if arguments.write and not arguments.names and not told[DIFFERS] and root is not None:
        write_table(examples.every(root), record.load())
    return int(bool(told[DIFFERS]))


if __name__ == "__main__":
    sys.exit(main())
