"""Prepared data small enough to train on in an instant, and the steps as processes."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[3]
SETTINGS = {
    "USER_NAME": "ann",
    "MODEL_NAME": "clicks",
    "CHECKPOINT_DIR": "checkpoints",
    "OUTPUT_DIR": "output",
    "PREPARED": "prepared",
    "MODEL_DIR": str(ROOT / "steps" / "models"),
    "MODEL_SCRIPT": "wide_deep.py",
    "STEPS": "20",
    "BATCH_SIZE": "32",
    "SEED": "1",
    "TARGET_ACCURACY": "",
    "RETRY_LIMIT": "2",
    "RESTART_LIMIT": "2",
    "WORKFLOW_UID": "run-1",
}


@dataclass
class Workspace:
    """A volume, and the settings of its steps; keyword arguments set others for one start."""

    volume: Path
    settings: dict[str, str] = field(default_factory=dict)
    log: str = ""

    def environment(self, **settings: str) -> dict[str, str]:
        own = SETTINGS | {"NFS_PATH": str(self.volume), "OUTPUTS_FOLDER": str(self.volume / "outputs")} | self.settings | settings
        return {name: value for name, value in os.environ.items() if name not in SETTINGS and not name.startswith(("TF_", "KERAS_"))} | own

    def start(self, step: str, **settings: str) -> subprocess.Popen:
        """Start a step; its log can be read from stderr."""
        command = [sys.executable, "-m", f"steps.{step}"]
        return subprocess.Popen(
            command, cwd=ROOT, env=self.environment(**settings), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def run(self, step: str, **settings: str) -> tuple[int, str]:
        """Run a step to its end: exit code and log."""
        with self.start(step, **settings) as process:
            log, _ = process.communicate(timeout=120)
        return process.returncode, log

    def train(self, **settings: str) -> tuple[int, str]:
        return self.run("train", **settings)

    def export(self, **settings: str) -> tuple[int, str]:
        return self.run("export", **({"CHECKPOINTS": self.output("checkpoints")} | settings))

    def output(self, name: str) -> str:
        return (self.volume / "outputs" / name).read_text()

    def evidence(self, attempt: int = 1, run: str = "run-1") -> dict:
        return json.loads((self.volume / f"ann/clicks/output/evidence/{run}/attempt-{attempt}.json").read_text())

    def folders(self) -> list[Path]:
        """The checkpoint folders, oldest first."""
        return sorted((self.volume / "ann/clicks/checkpoints").glob("*/"), key=lambda path: path.stat().st_mtime)

    def attempts(self, run: str = "run-1") -> dict:
        return json.loads((self.folders()[-1] / f"attempts-{run}.json").read_text())


def write_prepared(folder: Path, train: dict, evaluation: dict) -> None:
    """A prepared folder of columns by name, `label` among them: float arrays are numbers, lists of text are categories."""
    folder.mkdir(parents=True)
    for name, part in (("train", train), ("eval", evaluation)):
        columns = {"label": pa.array(part["label"], pa.int8())}
        for column, values in part.items():
            if column != "label":
                kind = pa.float32() if isinstance(values, np.ndarray) else pa.string()
                columns[column] = pa.array(values, kind)
        pq.write_table(pa.table(columns), folder / f"{name}.parquet", row_group_size=256)

    def described(part: dict) -> dict:
        return {"rows": len(part["label"]), "class_counts": np.bincount(part["label"], minlength=2).tolist()}

    features = [name for name in train if name != "label"]
    schema = {
        "format": "csv",
        "synthetic": False,
        "source": "test",
        "data_sha256": "0" * 64,
        "label": {"name": "label", "classes": ["no", "yes"]},
        "best_accuracy": None,
        "columns": [{"name": name, "kind": "number" if isinstance(train[name], np.ndarray) else "category"} for name in features],
        "train": described(train),
        "eval": described(evaluation),
    }
    (folder / "schema.json").write_text(json.dumps(schema))


def small_part(rows: int, seed: int) -> dict:
    """Rows that can be learnt: a skewed count and a category tell the label; a constant, an empty and a gappy column beside them."""
    random = np.random.default_rng(seed)
    count = np.floor(random.lognormal(2, 1.5, rows)).astype(np.float32)
    colour = random.choice(["red", "green", "blue", ""], rows)
    tells = np.log1p(count) - 2 + 2 * (colour == "red") - 1.5 * (colour == "")
    gappy = np.where(random.random(rows) < 0.3, np.nan, random.normal(size=rows)).astype(np.float32)
    return {
        "label": (random.random(rows) < 1 / (1 + np.exp(-2 * tells))).astype(int),
        "count": count,
        "constant": np.full(rows, 1e9, np.float32),
        "empty": np.full(rows, np.nan, np.float32),
        "gappy": gappy,
        "colour": colour.tolist(),
        "city": [f"city {value}" for value in random.zipf(1.5, rows) % 1000],
    }


@pytest.fixture
def prepared_writer():
    """How a prepared folder of other data is written."""
    return write_prepared


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A volume with prepared data: 600 rows to train, 300 to evaluate."""
    write_prepared(tmp_path / "prepared", small_part(600, 1), small_part(300, 2))
    return Workspace(tmp_path)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A volume where training has ended after 400 steps without an interruption; not to be changed."""
    volume = tmp_path_factory.mktemp("trained")
    write_prepared(volume / "prepared", small_part(600, 1), small_part(300, 2))
    workspace = Workspace(volume, {"STEPS": "400", "TARGET_ACCURACY": "0.7"})
    (volume / "home").mkdir()
    code, workspace.log = workspace.train(HOME=str(volume / "home"))
    assert code == 0, workspace.log
    return workspace
