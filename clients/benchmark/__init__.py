"""Measures a served model through TensorFlow Serving's API, and says only what the measurement supports.

from pathlib import Path

from clients.benchmark import Settings, require, run

result = run(Settings(data_file=Path("eval.csv"), server="localhost:8500", batch_size=128, num_iteration=500))
require(result, "p99<10ms", "errors<1%")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clients.benchmark.errors import BadInput, BenchmarkError, Interrupted, NothingSucceeded, NotMet
    from clients.benchmark.objectives import require, verdicts
    from clients.benchmark.report.record import record
    from clients.benchmark.report.text import text
    from clients.benchmark.running import run
    from clients.benchmark.settings import Settings
    from clients.benchmark.statistics.figures import Bin, Figures
    from clients.benchmark.statistics.intervals import Interval
    from clients.benchmark.statistics.requirements import Verdict
    from clients.benchmark.summary import Latency, Result

__all__ = [
    "BadInput",
    "BenchmarkError",
    "Bin",
    "Figures",
    "Interrupted",
    "Interval",
    "Latency",
    "NotMet",
    "NothingSucceeded",
    "Result",
    "Settings",
    "Verdict",
    "record",
    "require",
    "run",
    "text",
    "verdicts",
]

# Loaded when they are used: the command line imports this package first, and is to be ready soon (benchmarks/client.py).
_HOMES = {
    "errors": ("BadInput", "BenchmarkError", "Interrupted", "NotMet", "NothingSucceeded"),
    "objectives": ("require", "verdicts"),
    "report.record": ("record",),
    "report.text": ("text",),
    "running": ("run",),
    "settings": ("Settings",),
    "statistics.figures": ("Bin", "Figures"),
    "statistics.intervals": ("Interval",),
    "statistics.requirements": ("Verdict",),
    "summary": ("Latency", "Result"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
