"""The command line: `tiphys-bench` or `python -m clients.benchmark -s localhost:8500 -d eval.csv -b 128 -n 200 -w 20`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from clients.benchmark.errors import BenchmarkError, Interrupted
from clients.benchmark.interrupts import held_back


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a benchmark, or compare two, and print it. Returns the exit code."""
    # What gRPC's library has to say of a connection comes in the failure's details, not between our lines.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        return _command(sys.argv[1:] if arguments is None else list(arguments))
    except BenchmarkError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return error.exit_code


def _command(words: Sequence[str]) -> int:
    try:
        with held_back():
            from clients.benchmark.command import main as command

        return command(words)
    except KeyboardInterrupt:
        raise Interrupted("interrupted") from None


if __name__ == "__main__":
    sys.exit(main())
