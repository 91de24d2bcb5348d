"""What README shows for one's own data and one's own training program, run as it stands there."""

import csv
import random
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "tests" / "steps" / "own_program" / "logistic.py"


def test_readme_shows_the_program_that_is_tested() -> None:
    assert f"```python\n{PROGRAM.read_text()}```" in (ROOT / "README.md").read_text()


def test_own_data_and_own_program_train_serve_and_benchmark(place: Any) -> None:
    chance = random.Random(3)
    path = place.folder / "customers.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["plan", "months", "calls", "churned"])
        for _ in range(4000):
            months, calls = chance.randint(0, 60), chance.randint(0, 9)
            churned = chance.random() < (0.9 if calls * 6 > months else 0.1)
            writer.writerow(
                [chance.choice(["basic", "pro", ""]), months if chance.random() > 0.1 else "", calls, "yes" if churned else "no"]
            )
    schema = place.folder / "schema.json"
    schema.write_text(
        '{"label": "churned", "classes": ["no", "yes"], "columns": {"plan": "category", "months": "number", "calls": "number"}}'
    )
    own = ("-p", f"MODEL_DIR={PROGRAM.parent}", "-p", f"MODEL_SCRIPT={PROGRAM.name}", "-p", "MODEL_NAME=churn")
    code, out, err = place.run(
        "train-and-serve", "-p", f"DATA_URL=file://{path}", "-p", f"DATA_FORMAT={schema}", "-p", "TARGET_ACCURACY=0.7", *own
    )
    assert code == 0, err
    assert re.search(r"accuracy +0\.\d+ \[.*\], target 0.7: passed", out)
    assert "version    1 of churn" in out
    assert re.search(r"benchmark +.*rows/s, p50", out)
