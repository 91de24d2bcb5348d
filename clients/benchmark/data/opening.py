"""Which reader a data file goes to: by its first bytes where they tell, and by its name else. Only that one is loaded."""

from __future__ import annotations

from pathlib import Path

from clients.benchmark.data import magic
from clients.benchmark.data.table import Table, open_file
from clients.benchmark.errors import BadInput

_HEAD_BYTES = 256


def open_table(path: Path, columns_file: Path | None, format_name: str | None, single_input: str | None) -> Table:
    """The table in a file: CSV, JSON lines, Parquet, NPY, NPZ or TFRecord; CSV, JSON lines and TFRecord also packed by gzip.

    `single_input` is the model's input, where it has one only. Raises BadInput where the file is not readable as what it is.
    """
    kind = _kind(path)
    if kind != "csv" and (columns_file or format_name):
        flag = "--columns" if columns_file else "--format"
        raise BadInput(f"{flag}: expected with a CSV file only, got {path}, which is {_NAMES[kind]}")
    match kind:
        case "arrays":
            from clients.benchmark.data.arrays import open_arrays

            return open_arrays(path, single_input)
        case "json":
            from clients.benchmark.data.json_lines import open_json_lines

            return open_json_lines(path)
        case "parquet":
            from clients.benchmark.data.parquet import open_parquet

            return open_parquet(path)
        case "records":
            from clients.benchmark.data.records import open_records

            return open_records(path)
    from clients.benchmark.data.text import open_csv

    return open_csv(path, columns_file, format_name)


def _kind(path: Path) -> str:
    with open_file(path) as file:
        head = file.read(_HEAD_BYTES)
    for beginning, kind in _BEGINNINGS.items():
        if head.startswith(beginning):
            return kind
    if magic.begins_a_record(head[:12]):
        return "records"
    suffix = next((suffix for suffix in reversed(path.suffixes) if suffix != ".gz"), "").lower()
    kind = _SUFFIXES.get(suffix) or ("json" if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") else "csv")
    if not head and kind != "csv":
        raise BadInput(f"{path}: expected rows ({_NAMES[kind]}), but the file is empty")
    return kind


_BEGINNINGS = {magic.PARQUET: "parquet", magic.NPY: "arrays", magic.ZIP: "arrays", magic.EMPTY_ZIP: "arrays"}
_SUFFIXES = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
    ".npy": "arrays",
    ".npz": "arrays",
    ".tfrecord": "records",
    ".tfrecords": "records",
}
_NAMES = {"arrays": "NPY or NPZ", "json": "JSON lines", "parquet": "Parquet", "records": "TFRecord"}
