"""The command line: `python -m clients.benchmark -s localhost:8500 -d eval.csv -b 128 -n 200 -w 20`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from clients.benchmark.errors import DONE, INTERRUPTED, BadInput, BenchmarkError
from clients.benchmark.formats import FORMATS
from clients.benchmark.printing import Bar, record, text
from clients.benchmark.running import run
from clients.benchmark.settings import Settings

_DEFAULTS = {field.name: field.default for field in fields(Settings)}
_DESCRIPTION = "Measure a served model through TensorFlow Serving's gRPC API: accuracy, latency, throughput."
_EPILOG = """The file is cut into batches in its order; the last one is as short as what is left, and the next pass begins again
with the first. A column `label` (the class index) is compared with the model's answers, every other column is sent as
the input of its name. Exit codes: 0 measured, 2 bad input, 10 nothing succeeded, 130 interrupted."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a benchmark and print it. Returns the exit code."""
    options = vars(_parser().parse_args(arguments))
    record_file = options.pop("json")
    try:
        if record_file:
            _check_writable(record_file)
        settings = Settings(**options)
        bar = Bar(settings)
        try:
            result = run(settings, bar.tell)
        finally:
            bar.clear()
        try:
            if record_file:
                _write(record_file, json.dumps(record(result), indent=2) + "\n")
        finally:
            _print(text(result))
    except BenchmarkError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return error.exit_code
    return INTERRUPTED if result.interrupted else DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m clients.benchmark", description=_DESCRIPTION, epilog=_EPILOG, allow_abbrev=False)
    add = parser.add_argument
    add("-s", "--server", metavar="HOST:PORT", default=_DEFAULTS["server"], help="the server's gRPC side [%(default)s]")
    add(
        "-d",
        "--data_file",
        metavar="FILE",
        type=Path,
        required=True,
        help="CSV file with a header, unless --columns or --format is given",
    )
    add("-b", "--batch_size", metavar="N", type=int, default=_DEFAULTS["batch_size"], help="rows in a request [%(default)s]")
    add("-n", "--num_iteration", metavar="N", type=int, default=_DEFAULTS["num_iteration"], help="requests, one in flight [%(default)s]")
    add(
        "-w",
        "--warm_up_iteration",
        metavar="N",
        type=int,
        default=_DEFAULTS["warm_up_iteration"],
        help="of these, the first, which are not timed [%(default)s]",
    )
    add("--model", metavar="NAME", default=_DEFAULTS["model"], help="the model's name at the server [%(default)s]")
    add("--signature", metavar="NAME", default=_DEFAULTS["signature"], help="the model's signature [%(default)s]")
    columns = parser.add_mutually_exclusive_group()
    columns.add_argument(
        "--columns", metavar="FILE", type=Path, dest="columns_file", help="a file with the header, for a data file without one"
    )
    columns.add_argument("--format", choices=tuple(FORMATS), help="a data file without a header, as published")
    add("--json", metavar="FILE", type=Path, help="write the result there too, as JSON")
    return parser


def _print(lines: str) -> None:
    try:
        print(lines, flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise BadInput(f"standard output: the result could not be written: {error.strerror}") from None


def _check_writable(path: Path) -> None:
    """Raises BadInput now for what would lose the result after the run."""
    folder = path.absolute().parent
    if path.is_dir() or not folder.is_dir() or not os.access(path if path.exists() else folder, os.W_OK):
        raise BadInput(f"--json: expected a file that can be written in a folder that exists, got {path}")


def _write(path: Path, content: str) -> None:
    """Write a regular file aside and rename it, so that it is there whole or not at all; write into anything else."""
    target = Path(os.path.realpath(path))
    try:
        if target.exists() and not target.is_file():
            target.write_text(content)
            return
        aside = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            aside.write_text(content)
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise BadInput(f"--json: the result could not be written to {path}: {error.strerror}") from None


if __name__ == "__main__":
    sys.exit(main())
