"""The command line: `python -m pipelines COMMAND`. It knows the project; the packages under it do not."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from steps import contract

_WORKSPACE = "folder of data, models and runs [%(default)s]"
_OVERLAY = "a folder such as kustomize/overlays/nfs"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines", description="Pipelines from training to serving, on Argo and on one machine."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="COMMAND")

    def command(name: str, function: str, summary: str) -> argparse.ArgumentParser:
        verb = verbs.add_parser(name, help=summary, description=summary)
        verb.set_defaults(function=function)
        return verb

    command("list", "commands.list_pipelines", "list the pipelines")
    _compile(command("compile", "commands.compile_pipeline", "print a pipeline as YAML for Argo"))
    _check(command("check", "check_command.check_workflows", "say what is wrong with Argo workflows, before they run; exit 1 for errors"))
    _run(
        command(
            "run",
            "commands.run_workflow",
            "run a pipeline or a compiled workflow on this machine; interrupted, the same command resumes it",
        )
    )
    _resume(command("resume", "commands.resume", "let a step go on that waits for a person (suspend), in the newest run that has one"))
    command("support", "commands.print_support", "print which of Argo's fields a run on this machine honours, ignores, refuses")
    _table(command("parameters", "commands.print_parameters", "print the table of parameters: of all, or of an overlay with its values"))
    _set(command("set", "commands.set_parameter", "set a parameter's value in an overlay's site.env"))
    _rollback(command("rollback", "commands.roll_back", "serve the version that was released before, on a cluster or on this machine"))
    return parser


def _compile(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("pipeline", nargs="?", help="its name, as `list` prints it")
    verb.add_argument(
        "--kind",
        choices=("Workflow", "WorkflowTemplate"),
        default="Workflow",
        help="a Workflow to submit, or a template to install [%(default)s]",
    )
    _parameter(verb, "a value in place of the table's default, also one of the site, such as REGISTRY; repeat for more")
    generated = verb.add_mutually_exclusive_group()
    generated.add_argument("--check", action="store_true", help="exit 1 when a committed generated file is stale")
    generated.add_argument("--write", action="store_true", help="write the committed generated files")


def _check(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "source", nargs="+", metavar="FILE|DIR|-|PIPELINE", help="YAML files, folders of them, - for standard input, or a pipeline's name"
    )
    verb.add_argument(
        "--format", choices=("text", "json", "sarif"), default="text", help="for people, programs or code review [%(default)s]"
    )


def _run(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("workflow", help="a pipeline's name, or a YAML file of any Argo Workflow, CronWorkflow or WorkflowTemplate")
    verb.add_argument("more", nargs="*", type=Path, metavar="FILE", help="further YAML files, of what the workflow refers to")
    _parameter(verb, "a parameter's value for this run; repeat for more")
    _workspace(verb)
    verb.add_argument(
        "--executor",
        choices=("process", "docker", "podman"),
        default="process",
        help="run a step as a process of this machine, or its image in a container [%(default)s]",
    )
    verb.add_argument(
        "--paths",
        choices=("mount", "rewrite"),
        help="how a process finds /data/x in the run's folder: by a root of its own, or by this machine's path in its command"
        " [mount, where the machine allows it]",
    )
    verb.add_argument(
        "--from",
        dest="restart_from",
        metavar="NODE",
        help="take the newest run of this workflow with these parameters back to before a step, and go on from there;"
        " what failed runs again, too",
    )
    verb.add_argument("--dry-run", action="store_true", help="print what would run, with every condition that is already decided")
    verb.add_argument("--json", action="store_true", help="print the finished Workflow object, as kubectl does on a cluster")
    verb.add_argument("--keep-serving", action="store_true", help="leave the model server up at the end")


def _resume(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("step", nargs="?", help="its name, where more than one waits")
    _parameter(verb, "a value that the step is to supply")
    _workspace(verb)


def _table(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("overlay", nargs="?", type=Path, help=_OVERLAY)
    verb.add_argument("--markdown", action="store_true", help="as a table for a README")


def _set(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("overlay", type=Path, help=_OVERLAY)
    verb.add_argument("name", metavar="NAME", help="a parameter of the table")
    verb.add_argument("value", metavar="VALUE", nargs=argparse.REMAINDER, help="its value, which may begin with -")


def _rollback(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("overlay", nargs="?", type=Path, help="the folder of an installed overlay; without it, on this machine")
    _workspace(verb)
    _parameter(verb, "USER_NAME, MODEL_NAME or OUTPUT_DIR, where the run set them; ROLLBACK_VERSION for another than the one before")


def _parameter(verb: argparse.ArgumentParser, what: str) -> None:
    verb.add_argument("-p", "--parameter", action="append", default=[], metavar="NAME=VALUE", help=what)


def _workspace(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--workspace", type=Path, default=Path("workspace"), metavar="DIR", help=_WORKSPACE)


def main(arguments: Sequence[str]) -> int:
    """Run one command; its exit code, by the step contract's table."""
    options = _parser().parse_args(arguments)
    module, _, function = options.function.partition(".")
    try:
        # Each command loads only what it needs.
        code: int = getattr(importlib.import_module(f"pipelines.{module}"), function)(options)
    except BrokenPipeError:
        sys.stderr.close()
        code = contract.DONE
    except KeyboardInterrupt:
        contract.log("interrupted")
        code = 130
    except Exception as error:
        if not hasattr(error, "exit_code"):
            raise
        contract.log(f"error: {error}")  # it was foreseen: the errors of steps and of the runner carry their exit code
        code = error.exit_code
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
