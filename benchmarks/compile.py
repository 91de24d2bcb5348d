"""How long a pipeline of 1,000 steps takes to compile, beside PyYAML's dump of the same data alone.

    python benchmarks/compile.py [STEPS]

A step has as many settings as one of ours (12), two of them outputs of the step before it. Imports are not counted.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Annotated, TypeVar

import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from pipelines.build import pipeline, step, writer
from pipelines.build import workflow as _imported_first  # noqa: F401 (Hera's import takes about a second)
from steps import contract

T = TypeVar("T")

SETTINGS = ["NFS_PATH", "USER_NAME", "MODEL_NAME", "OUTPUT_DIR", "MODEL_DIR", "MODEL_SCRIPT", "STEPS", "BATCH_SIZE", "SEED", "WORKFLOW_UID"]
ROUNDS = 5


def modules(count: int) -> list[ModuleType]:
    """Step modules, each with settings of its own and two outputs that the next one takes."""
    made = []
    for number in range(count):
        before = [f"PREPARED_{number - 1}", f"ACCURACY_{number - 1}"] if number else []
        module = ModuleType(f"steps.step_{number}")
        fields = [(name.lower(), Annotated[str, contract.TEXT]) for name in [*SETTINGS, *before]]
        outputs = [(f"prepared_{number}", str), (f"accuracy_{number}", str)]
        module.__dict__.update(
            Settings=dataclasses.make_dataclass("Settings", fields, frozen=True),
            Outputs=dataclasses.make_dataclass("Outputs", outputs),
            main=lambda settings: settings,
        )
        made.append(module)
    return made


def best(work: Callable[[], T]) -> tuple[float, T]:
    """The shortest of several rounds, in seconds, and what the work returned."""
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - started)
    return min(times), result


def main(count: int) -> None:
    """Print the figures."""
    steps = modules(count)
    compiled_s, text = best(lambda: writer.compile(pipeline("large", *(step(module) for module in steps))))
    data = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    dumped_s, _ = best(lambda: yaml.dump(data, Dumper=dumper, sort_keys=False))
    written_s, _ = best(lambda: writer.to_yaml(data))
    print(f"compile {count:,} steps: {compiled_s:.2f} s, {len(text) / 1e6:.1f} MB of YAML, best of {ROUNDS} rounds")
    print(f"  of that, writing the text: {written_s:.2f} s")
    print(f"{dumper.__name__} of the same data alone: {dumped_s:.2f} s")
    print(f"ratio, compiling to dumping: {compiled_s / dumped_s:.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
