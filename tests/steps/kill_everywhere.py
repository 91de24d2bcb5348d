"""Run a step again and again, each time killed by SIGKILL one file operation later, and each time run once more to its end.

    python kill_everywhere.py MODULE FOLDER

The settings are those of the environment, NFS_PATH a new folder below FOLDER each time. What lies there in the end must be what one
run without a kill leaves. Prints JSON: how many kills, and what differed.
"""

import hashlib
import importlib
import json
import os
import signal
import sys
from pathlib import Path

OPERATIONS = {"open", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "shutil.rmtree"}


def run(module: str, volume: Path, kill_at: int | None) -> int:
    """The status of a forked child that runs the step."""
    child = os.fork()
    if child == 0:
        os.environ["NFS_PATH"] = str(volume)
        step, contract = importlib.import_module(module), importlib.import_module("steps.contract")
        left = [kill_at or 0]

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            if event in OPERATIONS and str(arguments[0]).startswith(str(volume)):
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        try:
            contract.run(step.main)
        except SystemExit as end:
            sys.stderr.flush()
            os._exit(int(end.code or 0))
    return os.waitpid(child, 0)[1]


def tree(volume: Path) -> dict[str, str]:
    """Every file but locks, with its checksum."""
    paths = [path for path in sorted(volume.rglob("*")) if path.is_file() and path.name not in ("lock", ".lock")]
    return {str(path.relative_to(volume)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def main(module: str, folder: Path) -> None:
    """Kill at the first operation, the second, and so on until a run gets through."""
    for name in ("pyarrow.csv", "pyarrow.parquet", "pyarrow.compute", module):  # imported once, before the forks
        importlib.import_module(name)
    volumes = iter(folder / f"{number:04}" for number in range(10_000))
    whole = next(volumes)
    whole.mkdir(parents=True)
    assert run(module, whole, None) == 0, "the run without a kill failed"
    expected, kills, wrong = tree(whole), 0, []
    for volume in volumes:
        volume.mkdir()
        status = run(module, volume, kills + 1)
        if status == 0:
            break
        kills += 1
        if not os.WIFSIGNALED(status) or run(module, volume, None) != 0 or tree(volume) != expected:
            wrong.append([kills, status, sorted(set(tree(volume).items()) ^ set(expected.items()))])
    print(json.dumps({"kills": kills, "wrong": wrong, "files": sorted(expected)}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
