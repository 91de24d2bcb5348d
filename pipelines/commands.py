"""The commands behind the command line, each a function of its parsed options that returns an exit code."""

from __future__ import annotations

import argparse
import difflib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pipelines import generated, local, parameters, report, site, summary
from pipelines.build import names
from steps import contract, release

CHECKOUT = Path(__file__).resolve().parent.parent
STARTS_THE_SERVER = "deploy"
Objects = Sequence[Mapping[str, Any]]
PORTS = ("TF_SERVING_PORT", "TF_SERVING_REST_PORT")


def list_pipelines(_options: argparse.Namespace) -> int:
    """Print each pipeline's name and what it does."""
    from pipelines import build

    for name, summary_line in build.registry().items():
        print(f"{name:<20} {summary_line}")
    return contract.DONE


def compile_pipeline(options: argparse.Namespace) -> int:
    """Print a compiled pipeline, or check or write the committed files."""
    from pipelines import build

    if options.pipeline and not (options.check or options.write):
        sys.stdout.write(_filled(build.compile_named(options.pipeline, options.kind), _given(options.parameter)))
        return contract.DONE
    if options.pipeline or not (options.check or options.write):
        raise contract.BadInput(
            "compile takes a pipeline's name, or --check or --write without one; `python -m pipelines list` lists the names"
        )
    stale = generated.stale_files(CHECKOUT)
    for path, content in stale.items():
        if options.write:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        print(f"{'wrote' if options.write else 'stale'}: {path.relative_to(CHECKOUT)}")
    if options.check and stale:
        contract.log("error: generated files are stale; `make compile` writes them")
        return contract.UNEXPECTED
    return contract.DONE


def _filled(text: str, given: Mapping[str, str]) -> str:
    """A compiled pipeline with values of one's own, of a run or of the site, where it has the table's defaults."""
    if not given:
        return text
    from pipelines.build import writer

    for name, value in given.items():
        contract.parse(name, parameters.find(name).kind, value)
    try:
        manifest = site.fill(yaml.safe_load(text), given)
    except KeyError as error:
        raise contract.BadInput(f"-p {error.args[0]}: it lands in no field of this pipeline; leave it out") from None
    return f"{text.partition(chr(10))[0]}\n{writer.to_yaml(manifest)}"


def print_parameters(options: argparse.Namespace) -> int:
    """Print the table of parameters, or that of an overlay."""
    if options.overlay is None:
        print(generated.parameters_table(markdown=options.markdown))
        return contract.DONE
    state = site.state(options.overlay)
    print(generated.table(site.rows(state), options.markdown), *site.advice(state), sep="\n")
    return contract.DONE


def set_parameter(options: argparse.Namespace) -> int:
    """Set a value in an overlay's site.env, and say what is still to be set there."""
    if len(options.value) != 1:
        raise contract.BadInput(f"set: expected OVERLAY NAME VALUE, got {len(options.value)} values; put quotes around one with blanks")
    site.set_value(options.overlay, options.name, options.value[0])
    try:
        state = site.state(options.overlay)
    except contract.BadInput as error:
        contract.log(f"{options.name} is set, but {error}")
        return contract.DONE
    print(*site.advice(state), sep="\n")
    return contract.DONE if site.fits(state, options.name) else contract.BAD_INPUT


def run_workflow(options: argparse.Namespace) -> int:
    """Run a pipeline or a workflow file on this machine, and say how it went."""
    submitted, objects = _workflow(options.workflow, options.more)
    workflow = local.whole(submitted, objects)
    given = _given(options.parameter)
    workspace = options.workspace.resolve()
    ours = _is_ours(workflow)
    _check_parameters(workflow, given, ours)
    if options.dry_run:
        print(*local.outline(submitted, objects=objects, parameters=given, **_places(workspace, ours)), sep="\n")
        return contract.DONE
    values = _values(workflow) | given
    output = _output_folder(workspace, values) if ours else None
    if output is None:
        run = _run(submitted, given, workspace, options, objects, ours)
        return _end(run, workspace, None, (), options.json)
    serving = release.serving(output) is not None
    keep = options.keep_serving or serving
    for setting in () if serving else PORTS:
        if setting in values:
            release.require_free_port(contract.parse(setting, contract.PORT, values[setting]), setting)
    try:
        run = _run(submitted, given, workspace, options, objects, ours)
        server = release.serving(output) if keep else None
    except (local.BusyWorkspace, local.RefusedWorkflow):
        keep = True  # nothing was started: a server of this workspace is that of the run that holds it
        raise
    finally:
        if not keep:
            release.stop_server(output)
    rows = summary.of_run(run.status, workspace, output, run.uid, server)
    return _end(run, workspace, output / "evidence" / run.uid, rows, options.json)


def _run(
    workflow: Mapping[str, Any], given: Mapping[str, str], workspace: Path, options: argparse.Namespace, objects: Objects, ours: bool
) -> local.Run:
    means = {"executor": options.executor, "path_means": options.paths, "restart_from": options.restart_from}
    if not ours:
        return local.run(workflow, objects=objects, parameters=given, workspace=workspace, **means)
    if options.executor == "process":
        means["path_means"] = options.paths or "rewrite"  # what our steps leave names files for those who read it afterwards
    os.environ.pop("KUBERNETES_SERVICE_HOST", None)  # the steps run beside us, not as pods, also where we are in one
    return local.run(
        workflow,
        objects=objects,
        parameters=given,
        workspace=workspace,
        again=(STARTS_THE_SERVER,),
        **means,
        **_places(workspace, ours),
    )


def _places(workspace: Path, ours: bool) -> dict[str, Any]:
    """What paths and volumes of our own pipelines are on this machine."""
    return {"paths": {names.CHECKOUT: CHECKOUT}, "volumes": {names.CLAIM: workspace}} if ours else {}


def _end(run: local.Run, workspace: Path, evidence: Path | None, rows: summary.Rows, as_json: bool) -> int:
    """Write the page, tell the rest, and end with the exit code of the step that failed."""
    page = report.write(run.folder, workspace, evidence)
    text = summary.text([*rows, ("logs", summary.shown(run.folder / "nodes")), ("page", summary.shown(page))])
    print(text, flush=True, file=sys.stderr if as_json else None)
    if as_json:
        print(json.dumps(local.finished(run.folder, run.status), indent=4))
    return run.exit_code if run.exit_code != contract.UNEXPECTED else summary.failed_step_exit_code(run.status) or run.exit_code


def print_support(_options: argparse.Namespace) -> int:
    """Print what the runner does with each of Argo's fields, and why."""
    for row in local.FIELDS:
        print(f"{f'{row.section}.{row.name}':<56} {row.verdict:<9} {row.reason}".rstrip())
    return contract.DONE


def resume(options: argparse.Namespace) -> int:
    """Let what waits for a person go on."""
    folder, resumed = local.resume(options.workspace.absolute(), options.step or "", _given(options.parameter))
    print(f"{', '.join(resumed)} goes on ({summary.shown(folder)})")
    return contract.DONE


def roll_back(options: argparse.Namespace) -> int:
    """Serve the version that was released before, on the cluster of an overlay or on this machine."""
    from pipelines import build, cluster

    given = _given(options.parameter)
    if options.overlay is not None:
        return cluster.roll_back(options.overlay, given)
    workflow = local.load(build.compile_named("rollback"))
    _check_parameters(workflow, given, ours=True)
    values = _values(workflow) | given
    output = _output_folder(options.workspace.resolve(), values)
    if output is None or not output.is_dir():
        raise contract.BadInput(f"{options.workspace}: expected a workspace in which a model was released, got no folder {output}")
    version = contract.parse("ROLLBACK_VERSION", contract.OPTIONAL_POSITIVE, values["ROLLBACK_VERSION"])
    server = release.rollback(output, version)
    print(f"version {server.version} of {server.model} serves at {server.address}")
    return contract.DONE


def _workflow(name: str, more: Sequence[Path]) -> tuple[Mapping[str, Any], Objects]:
    from pipelines import build

    if name in build.registry():
        return local.load_with(build.compile_named(name), *more)
    path = Path(name)
    if path.is_file():
        return local.load_with(path, *more)
    known = ", ".join(build.registry())
    raise contract.BadInput(f"{name}: expected a pipeline ({known}) or a YAML file, and there is neither of that name")


def _given(pairs: Sequence[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise contract.BadInput(f"-p {pair}: expected NAME=VALUE")
        given[name] = value
    return given


def _check_parameters(workflow: Mapping[str, Any], given: Mapping[str, str], ours: bool) -> None:
    """Argo takes a parameter that no workflow reads; here that is a mistake, and most often a misspelt name."""
    known = [row["name"] for row in _arguments(workflow)]
    for name, value in given.items():
        if ours:
            _check_row(parameters.find(name), value)
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise contract.BadInput(f"-p {name}: the workflow takes no such parameter, but {', '.join(known) or 'none'}{hint}")


def _check_row(row: parameters.Parameter, value: str) -> None:
    if row.set_by == "site":
        raise contract.BadInput(f"-p {row.name}: it is set by the site, with kustomize, and means nothing to a run on one machine")
    contract.parse(row.name, row.kind, value)


def _is_ours(workflow: Mapping[str, Any]) -> bool:
    labels = _inside(workflow, "metadata", "labels")
    return isinstance(labels, dict) and all(labels.get(name) == value for name, value in names.PART_OF.items())


def _inside(value: Any, *path: str) -> Any:
    """A part of a workflow that nobody has looked at yet; None where it is not there. The runner says what is wrong with it."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _values(workflow: Mapping[str, Any]) -> dict[str, str]:
    return {row["name"]: row["value"] for row in _arguments(workflow) if isinstance(row.get("value"), str)}


def _arguments(workflow: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = _inside(workflow, "spec", "arguments", "parameters")
    return [row for row in rows if isinstance(_inside(row, "name"), str)] if isinstance(rows, list) else []


def _output_folder(workspace: Path, values: Mapping[str, str]) -> Path | None:
    """Where a pipeline leaves its results; None for one that releases nothing."""
    folders = [values.get(name, "") for name in ("USER_NAME", "MODEL_NAME", "OUTPUT_DIR")]
    return workspace.joinpath(*folders) if all(folders) else None
