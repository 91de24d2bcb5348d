"""How fast prepare is on one core, beside reading alone (the limit) and beside a row loop with the csv module, and its memory by rows.

python benchmarks/prepare.py [ROWS]
"""

from __future__ import annotations

import csv
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROWS, MORE = 200_000, 4
REPEATS = 3


def main(rows: int) -> None:
    """Print the figures: the best of several runs, each in a process of its own."""
    one_core()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for count in (rows, MORE * rows):
            child("generate", folder / str(count), count)
        taken = {way: min(child(way, folder / str(rows), rows)[0] for _ in range(REPEATS)) for way in ("prepare", "read", "loop")}
        peaks = {count: child("prepare", folder / str(count), count)[1] for count in (rows, MORE * rows)}
    speed = {way: (rows + rows // 10) / took_s for way, took_s in taken.items()}
    print(f"prepare, {rows:,} + {rows // 10:,} synthetic rows of Criteo's format, one core:")
    print(f"  {speed['prepare']:>9,.0f} rows/s  prepare: checksum, read, check, Parquet, CSV of the evaluation rows")
    print(
        f"  {speed['read']:>9,.0f} rows/s  pyarrow.csv reading alone (the limit): prepare has {speed['prepare'] / speed['read']:.2f} of it"
    )
    print(
        f"  {speed['loop']:>9,.0f} rows/s  a loop of the csv module, no output: prepare has {speed['prepare'] / speed['loop']:.1f} times it"
    )
    print("peak memory of the process: " + ", ".join(f"{peak / 1e6:,.0f} MB with {count:,} rows" for count, peak in peaks.items()))


def one_core() -> None:
    """Keep this process and its children on one core."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def child(way: str, folder: Path, rows: int) -> tuple[float, int]:
    """Seconds and peak bytes of one way in a fresh process."""
    command = [sys.executable, __file__, way, str(folder), str(rows)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    took_s, peak = ended.stdout.split()[-2:]
    return float(took_s), int(peak)


def generate(folder: Path, rows: int) -> None:
    """Write the raw data."""
    from steps.fetch import address, generator

    (folder / "data").mkdir(parents=True)
    generator.write(folder / "data", address.Generated(rows, rows // 10, 1))


def prepare(folder: Path, _rows: int) -> None:
    """The step, as it runs in a pipeline; another seed each time, for a second run does nothing."""
    from steps import prepare

    prepare.main(prepare.Settings(folder, "me", "model", "data", "criteo", time.monotonic_ns()))


def read(folder: Path, _rows: int) -> None:
    """Only what pyarrow.csv takes to read the columns."""
    import pyarrow as pa
    from pyarrow import csv as fast

    from steps.models import criteo

    types = {column.name: pa.float32() if column.kind == "number" else pa.string() for column in criteo.COLUMNS}
    for path in sorted((folder / "data").iterdir()):
        options = fast.ReadOptions(column_names=["label", *types], use_threads=False, block_size=8 << 20)
        with fast.open_csv(path, options, fast.ParseOptions(quote_char=False), fast.ConvertOptions(column_types=types)) as reader:
            for _ in reader:
                pass


def loop(folder: Path, _rows: int) -> None:
    """What people write first: a loop over rows."""
    for path in sorted((folder / "data").iterdir()):
        with open(path, newline="") as file:
            for row in csv.reader(file):
                _ = int(row[0]), [float(text) if text else float("nan") for text in row[1:14]], row[14:]


WAYS: dict[str, Callable[[Path, int], None]] = {"generate": generate, "prepare": prepare, "read": read, "loop": loop}

if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.path.insert(0, str(Path(__file__).parents[1]))
        started = time.monotonic()
        WAYS[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
        print(time.monotonic() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
