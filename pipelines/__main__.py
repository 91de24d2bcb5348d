"""The command line: `python -m pipelines COMMAND`. It knows the project; the packages under it do not."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pipelines import commands, local
from steps import contract


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines", description="Pipelines from training to serving, on Argo and on one machine."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="COMMAND")

    def command(name: str, function: Callable[[argparse.Namespace], int], summary: str) -> argparse.ArgumentParser:
        verb = verbs.add_parser(name, help=summary, description=summary)
        verb.set_defaults(function=function)
        return verb

    command("list", commands.list_pipelines, "list the pipelines")

    compiler = command("compile", commands.compile_pipeline, "print a pipeline as YAML for Argo")
    compiler.add_argument("pipeline", nargs="?", help="its name, as `list` prints it")
    compiler.add_argument(
        "--kind",
        choices=("Workflow", "WorkflowTemplate"),
        default="Workflow",
        help="a Workflow to submit, or a template to install [%(default)s]",
    )
    compiler.add_argument(
        "-p",
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a value in place of the table's default, also one of the site, such as REGISTRY; repeat for more",
    )
    generated = compiler.add_mutually_exclusive_group()
    generated.add_argument("--check", action="store_true", help="exit 1 when a committed generated file is stale")
    generated.add_argument("--write", action="store_true", help="write the committed generated files")

    checker = command("check", commands.check_workflows, "say what is wrong with Argo workflows, before they run; exit 1 for errors")
    checker.add_argument(
        "source", nargs="+", metavar="FILE|DIR|-|PIPELINE", help="YAML files, folders of them, - for standard input, or a pipeline's name"
    )
    checker.add_argument(
        "--format", choices=("text", "json", "sarif"), default="text", help="for people, programs or code review [%(default)s]"
    )

    runner = command(
        "run", commands.run_workflow, "run a pipeline or a compiled workflow on this machine; interrupted, the same command resumes it"
    )
    runner.add_argument("workflow", help="a pipeline's name, or a YAML file of any Argo Workflow, CronWorkflow or WorkflowTemplate")
    runner.add_argument("more", nargs="*", type=Path, metavar="FILE", help="further YAML files, of what the workflow refers to")
    runner.add_argument(
        "-p", "--parameter", action="append", default=[], metavar="NAME=VALUE", help="a parameter's value for this run; repeat for more"
    )
    runner.add_argument(
        "--workspace", type=Path, default=Path("workspace"), metavar="DIR", help="folder of data, models and runs [%(default)s]"
    )
    runner.add_argument("--dry-run", action="store_true", help="print what would run, with every condition that is already decided")
    runner.add_argument("--json", action="store_true", help="print the finished Workflow object, as kubectl does on a cluster")
    runner.add_argument("--keep-serving", action="store_true", help="leave the model server up at the end")

    resumer = command("resume", commands.resume, "let a step go on that waits for a person (suspend), in the newest run that has one")
    resumer.add_argument("step", nargs="?", help="its name, where more than one waits")
    resumer.add_argument("-p", "--parameter", action="append", default=[], metavar="NAME=VALUE", help="a value that the step is to supply")
    resumer.add_argument("--workspace", type=Path, default=Path("workspace"), metavar="DIR", help="folder of the runs [%(default)s]")

    command("support", commands.print_support, "print which of Argo's fields a run on this machine honours, ignores, refuses")

    table = command("parameters", commands.print_parameters, "print the table of parameters: of all, or of an overlay with its values")
    table.add_argument("overlay", nargs="?", type=Path, help="a folder such as kustomize/overlays/nfs")
    table.add_argument("--markdown", action="store_true", help="as a table for a README")

    setter = command("set", commands.set_parameter, "set a parameter's value in an overlay's site.env")
    setter.add_argument("overlay", type=Path, help="a folder such as kustomize/overlays/nfs")
    setter.add_argument("name", metavar="NAME", help="a parameter of the table")
    setter.add_argument("value", metavar="VALUE", nargs=argparse.REMAINDER, help="its value, which may begin with -")

    back = command("rollback", commands.roll_back, "serve the version that was released before, on a cluster or on this machine")
    back.add_argument("overlay", nargs="?", type=Path, help="the folder of an installed overlay; without it, on this machine")
    back.add_argument(
        "--workspace", type=Path, default=Path("workspace"), metavar="DIR", help="folder of data, models and runs [%(default)s]"
    )
    back.add_argument(
        "-p",
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="USER_NAME, MODEL_NAME or OUTPUT_DIR, where the run set them; ROLLBACK_VERSION for another version than the one before",
    )
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run one command; its exit code, by the step contract's table."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.function(options)
    except (contract.StepError, local.RunnerError) as error:
        contract.log(f"error: {error}")
        code = error.exit_code
    except BrokenPipeError:
        sys.stderr.close()
        code = contract.DONE
    except KeyboardInterrupt:
        contract.log("interrupted")
        code = 130
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
