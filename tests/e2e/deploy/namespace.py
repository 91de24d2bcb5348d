"""A namespace that enforces Pod Security "restricted", with the accounts of base, a volume, and a pod in which steps are run by hand.

The pod has the image of the steps, and the code of this checkout. TensorFlow Serving is the stand-in (../serving_stand_in).
"""

import contextlib
import io
import json
import subprocess
import sys
import tarfile
import time
import uuid
from pathlib import Path

import yaml

from tests.e2e.cluster import IMAGE, REGISTRY, SERVER_IMAGE, SUFFIX

ROOT = Path(__file__).parents[3]
ACCOUNT = "tiphys-deployer"
ACCOUNTS = list(yaml.safe_load_all((ROOT / "kustomize/base/accounts.yaml").read_text()))
RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
SAMPLE = {
    "inputs": {"I1": [0.5, None], "I2": [1.0, 2.0], "C1": ["a", ""], "C2": ["b", "c"]},
    "outputs": {"probabilities": [[0.25, 0.75], [0.5, 0.5]]},
}


def kubectl(*words, given=None, timeout=120, check=True):
    """A command of kubectl; what it printed."""
    done = subprocess.run(["kubectl", *words], input=given, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0 or not check, f"kubectl {' '.join(words)}: {done.stderr}"
    return done.stdout


def wait_until(condition, what, within_s=60):
    """The first true value of a condition."""
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {within_s} s until {what}"
        time.sleep(0.2)
    return value


def role():
    """The deployer's role, as base has it."""
    return next(one for one in ACCOUNTS if (one["kind"], one["metadata"]["name"]) == ("Role", ACCOUNT))


class Namespace:
    """One namespace, and one model in it."""

    def __init__(self, name):
        self.name = name
        self.settings = {
            "NFS_PATH": "/nfs",
            "USER_NAME": "user",
            "MODEL_NAME": "model",
            "OUTPUT_DIR": "output",
            "TF_SERVING_PORT": 8500,
            "TF_SERVING_REST_PORT": 8501,
            "TF_SERVING_NODE_PORT": "",
            "REPLICAS": 2,
            "DEPLOY_TIMEOUT_S": 60,
            "SERVING_IMAGE": SERVER_IMAGE,
            "SERVING_CPU": "10m",
            "SERVING_MEMORY": "64Mi",
            "CLAIM": "workspace",
            "USER_ID": 1000,
            "GROUP_ID": 1000,
            "FS_ID": 1000,
            "PULL_POLICY": "IfNotPresent",
            "PULL_SECRET": "",
            "ROLLBACK_VERSION": "",
        }

    wait_until = staticmethod(wait_until)

    def kubectl(self, *words, **options):
        return kubectl("-n", self.name, *words, **options)

    def apply(self, *objects):
        self.kubectl("apply", "-f", "-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def get(self, *what):
        """Objects as data; None where there is no such one."""
        text = self.kubectl("get", *what, "-o", "json", "--ignore-not-found")
        return json.loads(text) if text else None

    def set_up(self):
        claim = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
        self.apply(*ACCOUNTS, {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "workspace"}, "spec": claim})
        self.apply(self._runner())
        self.kubectl("wait", "--for=condition=Ready", "pod/runner", "--timeout=60s")
        self._copy("steps", "clients", "tests/e2e/deploy")

    def _runner(self):
        container = {
            "name": "main",
            "image": IMAGE,
            "imagePullPolicy": "IfNotPresent",
            "command": ["sleep", "infinity"],
            "workingDir": "/scratch",
            "securityContext": RESTRICTED,
            "env": [{"name": "PYTHONPATH", "value": "/scratch"}, {"name": "PYTHONUNBUFFERED", "value": "1"}],
            "volumeMounts": [{"name": "workspace", "mountPath": "/nfs"}, {"name": "scratch", "mountPath": "/scratch"}],
        }
        ids = {"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 1000, "runAsNonRoot": True}
        spec = {
            "serviceAccountName": ACCOUNT,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {**ids, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
            "volumes": [
                {"name": "workspace", "persistentVolumeClaim": {"claimName": "workspace"}},
                {"name": "scratch", "emptyDir": {}},
            ],
        }
        return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "runner"}, "spec": spec}

    def _copy(self, *folders):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for folder in folders:
                archive.add(ROOT / folder, folder, filter=lambda one: None if "__pycache__" in one.name else one)
        unpack = ["kubectl", "-n", self.name, "exec", "-i", "runner", "--", "tar", "-x", "--no-same-owner", "-C", "/scratch"]
        subprocess.run(unpack, input=packed.getvalue(), capture_output=True, timeout=60, check=True)

    def sh(self, script, given=None, timeout=120):
        """Run a script in the runner: exit code and all that it said."""
        words = ["kubectl", "-n", self.name, "exec", "-i", "runner", "--", "sh", "-c", script]
        done = subprocess.run(words, input=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout, check=False)
        return done.returncode, done.stdout

    def step(self, module, timeout=240, **settings):
        """Run a step in the runner: exit code and log. Killed, its exit code is 137."""
        values = {**self.settings, **settings}
        folder = f"/scratch/outputs/{values['MODEL_NAME']}"
        given = " ".join(f"{name}='{value}'" for name, value in {**values, "OUTPUTS_FOLDER": folder}.items())
        return self.sh(f"rm -rf {folder}; env {given} python -m {module}", timeout=timeout)

    def deploy(self, version, **settings):
        return self.step("steps.deploy", VERSION=version, **settings)

    def deployed(self, *versions, **settings):
        """Versions published and deployed, one after the other."""
        for version in versions:
            self.publish(version)
            code, log = self.deploy(version, **settings)
            assert code == 0, log

    def publish(self, version, behaviour="good", model="model", output="output"):
        """A version in the repository, which the stub serves."""
        folder = f"/nfs/user/{model}/{output}/{model}/{version}"
        files = {"saved_model.pb": behaviour, "assets.extra/sample.json": json.dumps(SAMPLE)}
        files["assets.extra/release.json"] = json.dumps({"run": f"run-{version}"})
        lines = [f"mkdir -p {folder}/assets.extra", *(f"echo '{text}' >{folder}/{name}" for name, text in files.items())]
        code, said = self.sh("\n".join(lines))
        assert code == 0, said

    def roll_back(self, overlay, *parameters):
        """The command, as a person uses it, for an overlay in which the template `rollback` is installed: exit code and what it printed."""
        compiled = [sys.executable, "-m", "pipelines", "compile", "rollback", "--kind", "WorkflowTemplate"]
        site = ["-p", f"REGISTRY={REGISTRY}", "-p", f"IMAGE_SUFFIX={SUFFIX}"]
        template = subprocess.run([*compiled, *site], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        self.kubectl("apply", "-f", "-", given=template)
        (overlay / "kustomization.yaml").write_text(f"namespace: {self.name}\n")
        (overlay / "site.env").touch()
        words = [sys.executable, "-m", "pipelines", "rollback", str(overlay), "-p", "USER_NAME=user", "-p", "MODEL_NAME=model", *parameters]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
        return done.returncode, done.stdout + done.stderr

    def outputs(self):
        """The outputs of the model's last step."""
        folder = "/scratch/outputs/model"
        return {name: self.sh(f"cat {folder}/{name}")[1] for name in self.sh(f"ls {folder}")[1].split()}

    def records(self, model="model"):
        """What was recorded, as (action, version, previous)."""
        lines = self.sh(f"cat /nfs/user/{model}/output/releases.jsonl")[1].splitlines()
        return [(line["action"], line["version"], line["previous"]) for line in map(json.loads, lines)]

    def deployment(self, name="model"):
        return self.get("deployment", name)

    def pods(self, track="live"):
        """The pods of the model that are not on their way out."""
        found = self.get("pods", "-l", f"app.kubernetes.io/part-of=tiphys,track={track}") or {"items": []}
        return [pod for pod in found["items"] if "deletionTimestamp" not in pod["metadata"]]

    def versions(self):
        """The versions of the pods that take traffic."""
        return sorted(int(pod["metadata"]["labels"]["app.kubernetes.io/version"]) for pod in self.pods())

    def way_in(self, name="model"):
        """`node:port` of the Service, from outside."""
        service = self.get("service", name)
        node = self.get("pod", "runner")["status"]["hostIP"]
        return f"{node}:{service['spec']['ports'][0]['nodePort']}"

    def state(self):
        """All that deploy makes, by kind and name, with the resource version of each."""
        found = self.get("deployments,services,poddisruptionbudgets", "-l", "app.kubernetes.io/managed-by=tiphys-deploy") or {"items": []}
        for one in found["items"]:
            one.pop("status", None)
        return {(one["kind"], one["metadata"]["name"]): one for one in found["items"]}

    def specs(self):
        """What deploy makes, as far as it says how things are to be."""
        return {key: one["spec"] for key, one in self.state().items()}

    def assert_serves(self, version, replicas=2):
        assert self.versions() == [version] * replicas
        assert self.get("deployment", "model-canary") is None
        code, said = self.sh(f"python -m tests.e2e.deploy.client {self.way_in()} 3")
        assert (code, json.loads(said)["versions"]) == (0, [version]), said

    def assert_nothing_is_left(self):
        assert self.state() == {}
        assert self.get("pods", "-l", "app.kubernetes.io/part-of=tiphys") is None

    @contextlib.contextmanager
    def client(self):
        """A client that asks through the node port all the while; afterwards, a dict of what happened to it."""
        words = ["kubectl", "-n", self.name, "exec", "-i", "runner", "--", "python", "-m", "tests.e2e.deploy.client", self.way_in()]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            seen = {}
            try:
                assert process.stdout.readline() == "asking\n"
                yield seen
            finally:
                said, _ = process.communicate(timeout=60)
                seen |= json.loads(said)


@contextlib.contextmanager
def fresh_namespace():
    """A namespace that is gone afterwards."""
    name = f"deploy-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    try:
        kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
        made = Namespace(name)
        made.set_up()
        yield made
    finally:
        kubectl("delete", "namespace", name, "--wait=false")
