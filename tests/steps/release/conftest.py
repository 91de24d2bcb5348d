"""A workspace to release into, tiny models to release, and servers that end with the test whatever happens in it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from steps import release
from steps.release import ports, process
from steps.release.places import Places

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
SAMPLE = {
    "inputs": {"I1": [0.5, None], "I2": [1.0, 2.0], "C1": ["a", ""], "C2": ["b", "c"]},
    "outputs": {"probabilities": [[0.25, 0.75], [0.5, 0.5]]},
}


class Workspace:
    """One model's places under a temporary folder, and its steps as processes."""

    def __init__(self, volume):
        self.volume = volume
        self.places = Places.of(volume, "user", "model", "output")
        self.output = self.places.output
        self.port, self.rest_port = ports.free(2)

    def settings(self, **settings):
        """The environment of a step."""
        own = {"NFS_PATH": self.volume, "USER_NAME": "user", "MODEL_NAME": "model", "OUTPUT_DIR": "output", "KEEP_VERSIONS": 2}
        own |= {
            "TF_SERVING_PORT": self.port,
            "TF_SERVING_REST_PORT": self.rest_port,
            "TF_SERVING_NODE_PORT": "",
            "REPLICAS": 3,
            "DEPLOY_TIMEOUT_S": 60,
            "SERVING_IMAGE": "tensorflow/serving",
            "SERVING_CPU": "100m",
            "SERVING_MEMORY": "200Mi",
            "CLAIM": "workspace",
            "USER_ID": 1000,
            "GROUP_ID": 1000,
            "FS_ID": 1000,
            "PULL_POLICY": "IfNotPresent",
            "PULL_SECRET": "",
            "OUTPUTS_FOLDER": self.volume / "outputs",
        }
        clean = {name: value for name, value in os.environ.items() if not name.startswith("KUBERNETES_")}
        return clean | {name: str(value) for name, value in (own | settings).items()} | {"PYTHONPATH": str(ROOT)}

    def start(self, *command, **settings):
        """Start a step: a module's name or a script here."""
        words = [str(HERE / command[0])] if command[0].endswith(".py") else ["-m", command[0]]
        return subprocess.Popen(
            [sys.executable, *words, *command[1:]], cwd=ROOT, env=self.settings(**settings), stderr=subprocess.PIPE, text=True
        )

    def run(self, *command, **settings):
        """Run a step to its end: exit code and log."""
        with self.start(*command, **settings) as step:
            try:
                log = step.communicate(timeout=120)[1]
            except BaseException:
                step.kill()
                raise
        return step.returncode, log

    def outputs(self):
        """The outputs of the last step."""
        return {path.name: path.read_text() for path in (self.volume / "outputs").iterdir()}

    def records(self):
        """What was recorded, as (action, version, previous)."""
        lines = self.places.records.read_text().splitlines() if self.places.records.exists() else []
        return [(line["action"], line["version"], line["previous"]) for line in map(json.loads, lines)]

    def last_reason(self):
        """Why the last recorded thing failed."""
        return json.loads(self.places.records.read_text().splitlines()[-1])["reason"]

    def stage(self, model, name="run-1"):
        """Lay a model under staging, as export does; returns the setting CANDIDATE."""
        shutil.copytree(model, self.places.staging / name)
        return f"user/model/output/staging/{name}"

    def publish_stub(self, version, behaviour="good"):
        """A published version for the stand-in server."""
        folder = self.places.version(version)
        (folder / "assets.extra").mkdir(parents=True)
        (folder / "saved_model.pb").write_text(behaviour)
        (folder / "assets.extra/sample.json").write_text(json.dumps(SAMPLE))
        (folder / "assets.extra/release.json").write_text(json.dumps({"run": f"run-{version}"}))

    def await_note(self):
        """Wait until a server is noted."""
        deadline = time.monotonic() + 60
        while not (self.output / "serving.json").exists():
            assert time.monotonic() < deadline, "no server was noted within 60 s"
            time.sleep(0.02)

    def servers(self):
        """The processes of model servers that this workspace has, whoever started them."""
        found = [
            int(entry.name)
            for entry in Path("/proc").glob("[0-9]*")
            if any(self._is_ours(word) for word in process.command_line(int(entry.name)))
        ]
        return sorted(found)

    def _is_ours(self, word):
        return word.startswith(f"--model_config_file={self.volume}/")


@pytest.fixture
def workspace(tmp_path):
    """A workspace whose servers are gone at the end."""
    made = Workspace(tmp_path / "volume")
    made.output.mkdir(parents=True)
    yield made
    release.stop_server(made.output)
    for pid in made.servers():
        os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """A folder of tiny SavedModels by name (make_models.py), and `prepared`."""
    folder = tmp_path_factory.mktemp("models")
    subprocess.run([sys.executable, HERE / "make_models.py", folder], check=True, capture_output=True, timeout=120)
    return folder
