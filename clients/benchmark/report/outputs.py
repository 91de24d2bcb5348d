"""The files that a user asked for, whatever was measured."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clients.benchmark.errors import BadInput
from clients.benchmark.report.files import check_writable, write


@dataclass(frozen=True)
class Outputs:
    """Where the record, the table and the page go; None: nowhere."""

    json: Path | None = None
    csv: Path | None = None
    html: Path | None = None

    def check(self) -> None:
        """Raises BadInput before the run for a file that cannot be written after it."""
        for flag, path, _ in self._kinds():
            if path is not None:
                check_writable(flag, path)

    def write(self, record: dict[str, Any]) -> None:
        """Write them all, whatever happens to one of them. Raises BadInput that names each which could not be written."""
        failures: list[Exception] = []
        for flag, path, render in self._kinds():
            if path is not None:
                try:
                    write(flag, path, render(record))
                except Exception as error:
                    failures.append(error)
        for failure in failures:
            if not isinstance(failure, BadInput):
                raise failure
        if failures:
            raise BadInput("; ".join(map(str, failures)))

    def _kinds(self) -> list[tuple[str, Path | None, Callable[[dict[str, Any]], str]]]:
        return [("--json", self.json, _record), ("--csv", self.csv, _table), ("--html", self.html, _page)]


def _record(record: dict[str, Any]) -> str:
    from clients.benchmark.report.record import as_json

    return as_json(record)


def _table(record: dict[str, Any]) -> str:
    from clients.benchmark.report.table import as_csv

    return as_csv(record)


def _page(record: dict[str, Any]) -> str:
    from clients.benchmark.report.page import as_html

    return as_html(record)


def print_result(lines: str) -> None:
    """Print a result. Raises BadInput where standard output cannot take it."""
    try:
        print(lines, flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise BadInput(f"standard output: the result could not be written: {error.strerror}") from None
