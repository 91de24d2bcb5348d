"""Measures a served model through TensorFlow Serving's API, and says only what the measurement supports.

from clients.benchmark import Settings, run

result = run(Settings(data_file=Path("eval.csv"), server="localhost:8500", batch_size=128, num_iteration=200))
assert not result.warnings and result.latency_ms.percentiles[99] < 10
"""

from clients.benchmark.errors import BadInput, BenchmarkError, Interrupted, NothingSucceeded
from clients.benchmark.printing import record, text
from clients.benchmark.running import run
from clients.benchmark.settings import Settings
from clients.benchmark.summary import Bin, Latency, Result

__all__ = ["BadInput", "BenchmarkError", "Bin", "Interrupted", "Latency", "NothingSucceeded", "Result", "Settings", "record", "run", "text"]
