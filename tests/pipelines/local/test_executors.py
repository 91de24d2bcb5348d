"""The ways in which steps run: processes with a root of their own, processes with rewritten paths, containers of an engine."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines import local
from pipelines.local import engines, executors, mounts
from pipelines.local.pods import Pod, has_mounts

CHECKOUT = Path(__file__).parents[3]
IMAGE = "localhost/of-busybox:1"
COMMANDS = ("sh", "cat", "echo", "env", "false", "grep", "id", "ls", "mkdir", "pwd", "seq", "sleep", "test", "touch", "true", "wc")
# What lets podman run as root of a machine that is itself a container, without touching the machine's own images.
CONF = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
"""


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a command `podman` that keeps its images and containers in a folder of the test's, with an image of busybox."""
    real, busybox = shutil.which("podman"), shutil.which("busybox")
    if real is None or busybox is None:
        pytest.skip("podman and busybox are not both on this machine")
    folder = tmp_path_factory.mktemp("podman")
    (folder / "containers.conf").write_text(CONF)
    runtime = "--runtime runc" if shutil.which("runc") else ""
    places = f"--root {folder}/root --runroot {folder}/run --storage-driver vfs {runtime}"
    (folder / "podman").write_text(f'#!/bin/sh\nCONTAINERS_CONF={folder}/containers.conf exec {real} {places} "$@"\n')
    (folder / "podman").chmod(0o755)
    with tarfile.open(folder / "image.tar", "w") as image:
        image.add(busybox, "bin/busybox")
        for name in COMMANDS:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            image.addfile(link)
    for arguments in (["import", str(folder / "image.tar"), IMAGE], ["run", "--rm", "--network", "host", IMAGE, "true"]):
        done = subprocess.run([folder / "podman", *arguments], capture_output=True, text=True, check=False, timeout=120)
        if done.returncode:
            pytest.skip(f"podman cannot run containers on this machine: {done.stderr.strip()[-300:]}")
    yield folder
    left = subprocess.run([folder / "podman", "ps", "--all", "--quiet"], capture_output=True, text=True, check=False, timeout=60).stdout
    subprocess.run([folder / "podman", "system", "reset", "--force"], capture_output=True, check=False, timeout=60)
    assert left == "", "no container is left"


@pytest.fixture(params=["mount", "rewrite", "podman"])
def by(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The options of a run, for each means that this machine has."""
    if request.param == "podman":
        monkeypatch.setenv("PATH", f"{request.getfixturevalue('podman')}:{os.environ['PATH']}")
        return {"executor": "podman"}
    if request.param == "mount" and not has_mounts(tmp_path):
        pytest.skip("this machine allows no mount namespaces")
    return {"path_means": request.param}


def _flow(shapes: Any) -> dict[str, Any]:
    """Steps that name paths of volumes, of outputs, of nobody; a script; an input that is a folder; two containers with one volume."""
    mounted = {"volumeMounts": [{"name": "data", "mountPath": "/data/x"}, {"name": "scratch", "mountPath": "/scratch"}]}
    outputs = {
        "parameters": [{"name": "o", "valueFrom": {"path": "/result/o.txt"}}, {"name": "v", "valueFrom": {"path": "/data/x/v"}}],
        "artifacts": [{"name": "tree", "path": "/tmp/tree"}],
    }
    write = shapes.shell(
        "write",
        'test -z "$(ls /scratch)" && mkdir -p /tmp/tree/in /result && echo deep > /tmp/tree/in/f && echo "$GREETING" > /result/o.txt'
        " && echo v > /data/x/v && echo s > /scratch/s && touch /tmp/mine",
        outputs=outputs,
    )
    write["container"] |= mounted | {"env": [{"name": "GREETING", "value": "hello\nyou"}]}
    source = 'cat "$1" /data/x/v\ntest ! -e /tmp/mine && test -z "$(ls /scratch)" && exit 3\n'
    read = {
        "name": "read",
        "inputs": {"artifacts": [{"name": "tree", "path": "/in/tree"}, {"name": "text", "path": "/in/text", "raw": {"data": "raw"}}]},
        "script": {
            "image": IMAGE,
            "command": ["sh", "-c", 'cat /in/text /in/tree/in/f; sh "$0" /in/tree/in/f'],
            "source": source,
            **mounted,
        },
    }
    both = {
        "name": "both",
        "container": {
            "image": IMAGE,
            "command": ["sh", "-c"],
            "args": ["touch /shared/ready; until test -e /shared/go; do sleep 0.1; done; cat /shared/go"],
            "volumeMounts": [{"name": "scratch", "mountPath": "/shared"}],
        },
        "sidecars": [
            {
                "name": "beside",
                "image": IMAGE,
                "command": ["sh", "-c"],
                "args": ["until test -e /shared/ready; do sleep 0.1; done; echo told > /shared/go; sleep 300"],
                "mirrorVolumeMounts": True,
            }
        ],
    }
    tree = {"name": "tree", "from": "{{steps.write.outputs.artifacts.tree}}"}
    flow: dict[str, Any] = shapes.workflow(
        shapes.steps(
            "main",
            [{"name": "write", "template": "write"}],
            [
                {"name": "read", "template": "read", "arguments": {"artifacts": [tree]}, "continueOn": {"failed": True}},
                {"name": "both", "template": "both"},
            ],
            [{"name": "use", "template": "use", "when": "'{{steps.both.outputs.result}}' == told"}],
        ),
        write,
        read,
        both,
        shapes.shell("use", "true"),
        volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "d"}}, {"name": "scratch", "emptyDir": {}}],
        podSpecPatch="terminationGracePeriodSeconds: 1",
    )
    for template in flow["spec"]["templates"]:
        if "container" in template:
            template["container"]["image"] = IMAGE
    return flow


def test_paths_of_containers_lie_in_the_folder_of_the_run(shapes: Any, run: Any, node: Any, log: Any, by: dict[str, str]) -> None:
    outcome = run(_flow(shapes), paths={}, **by)
    assert outcome.phase == "Succeeded", outcome.status.get("message")
    assert node(outcome, "[0].write")["outputs"]["parameters"] == [{"name": "o", "value": "hello\nyou"}, {"name": "v", "value": "v"}]
    assert (outcome.folder / "volumes" / "d" / "v").read_text() == "v\n"
    read = node(outcome, "[1].read")
    assert (log(outcome, read), read["outputs"]["exitCode"]) == ("rawdeep\ndeep\nv\n", "3")
    assert node(outcome, "[2].use")["phase"] == "Succeeded"
    kept = outcome.folder / "nodes" / node(outcome, "[0].write")["id"] / "artifacts" / "tree" / "in" / "f"
    assert kept.read_text() == "deep\n"
    finished = local.finished(outcome.folder, outcome.status)["status"]["nodes"]
    assert {one["path"] for one in finished[node(outcome, "[0].write")["id"]]["outputs"]["artifacts"]} == {"/tmp/tree"}
    assert not any(Path(path).exists() for path in ("/data/x", "/result", "/scratch", "/in", "/argo"))


def test_what_cannot_be_started_is_an_error(shapes: Any, run: Any, by: dict[str, str]) -> None:
    flow = shapes.workflow(shapes.shell("main", ""), arguments=shapes.arguments(command="no-such"))
    flow["spec"]["templates"][0]["container"] = {"image": IMAGE, "command": ["{{workflow.parameters.command}}"]}
    outcome = run(flow, **by)
    assert (outcome.phase, "no-such" in outcome.status["message"]) == ("Error", True), outcome.status["message"]


def test_the_machine_is_there_to_read_only(shapes: Any, run: Any, tmp_path: Path) -> None:
    if not has_mounts(tmp_path):
        pytest.skip("this machine allows no mount namespaces")
    folder = tmp_path / "host"
    folder.mkdir()
    (folder / "f").write_text("there\n")
    attempts = (
        f"cat {folder}/f; for p in {folder}/x {folder}/f /usr/x /etc/x; do (echo > $p) 2>/dev/null && exit 4; done; touch /new $HOME/y"
    )
    outcome = run(shapes.workflow(shapes.shell("main", attempts)), paths={}, path_means="mount")
    assert outcome.phase == "Succeeded", outcome.status
    assert sorted(path.name for path in folder.iterdir()) == ["f"]


def test_links_in_outputs_are_followed_inside_the_pod(shapes: Any, run: Any, node: Any, tmp_path: Path) -> None:
    if not has_mounts(tmp_path):
        pytest.skip("this machine allows no mount namespaces")
    command = "mkdir -p /a/b /out; echo inside > /a/b/f; ln -s /a/b/f /out/linked; ln -s ../a/b/f /out/file"
    files = {"linked": "/out/linked", "relative": "/out/file"}
    outputs = {"parameters": [{"name": name, "valueFrom": {"path": path}} for name, path in files.items()]}
    outcome = run(shapes.workflow(shapes.shell("main", command, outputs=outputs)), path_means="mount")
    assert [one["value"] for one in node(outcome, "")["outputs"]["parameters"]] == ["inside", "inside"]


def test_a_root_makes_mount_points_nowhere_but_in_its_folder(tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.mkdir()
    targets = {"/usr/share/no-such/x": str(given), "/no-such": str(given), "/tmp/deep/er": str(given), "/no-such/inner": str(given)}
    root = mounts.Root(tmp_path / "root", targets, ["/work-of-mine/out"])
    assert root.place("/usr/share/no-such/x/f") == given / "f"
    assert root.place("/tmp/deep/er") == given
    assert root.place("/work-of-mine/out/o") == tmp_path / "root/work-of-mine/out/o"
    assert root.place("/usr/bin/env") == Path("/usr/bin/env").resolve()
    assert root.place("/../etc/./passwd") == Path("/etc/passwd")
    shown = [target for kind, _, target in root.rows if kind == "show"]
    assert "/usr" in shown
    assert "/usr/share" not in shown
    assert (given / "inner").is_dir(), "a mount point in what is mounted"
    assert not Path("/no-such").exists()


@pytest.mark.parametrize("path", ["/etc/passwd", "/etc/mtab", "/etc/no-such-file"])
def test_what_is_laid_into_a_root_never_lands_on_the_machine_s_own_files(tmp_path: Path, path: str) -> None:
    root = mounts.Root(tmp_path / "root", {}, ["/etc"])
    assert root.lay(path) == root.place(path) == tmp_path / f"root{path}"
    assert path not in [target for _, _, target in root.rows]


def test_the_arguments_of_an_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KNOWN", "of the machine")
    view = mounts.Inside(tmp_path / "files", {"/data/x": "/run/volumes/d"})
    (tmp_path / "files" / "in").mkdir(parents=True)
    (tmp_path / "files" / "in" / "f").touch()
    own = {"PLAIN": "secret", "KNOWN": "2", "DOCKER_HOST": "x"}
    pod = Pod("n/main", "img:1", ["sh", "-c"], ["echo hi"], {}, own, "/w", view, ["/in/f", "/in/none"], (), tmp_path / "l", None)
    assert engines.creation(pod, "n") == [
        *("create", "--name", "n", "--network", "host", "--security-opt", "label=disable"),
        *("--volume", "/run/volumes/d:/data/x", "--volume", f"{tmp_path}/files/in/f:/in/f"),
        *("--env", "PLAIN", "--env", "KNOWN=2", "--env", "DOCKER_HOST=x"),
        *("--workdir", "/w", "--entrypoint", "sh", "img:1", "-c", "echo hi"),
    ]


@pytest.mark.parametrize(
    ("kind", "paths", "said"),
    [("docker", "mount", "a container of docker has paths of its own"), ("podman", None, "there is no command podman on this machine")],
)
def test_means_that_are_not_there(kind: Any, paths: Any, said: str, run: Any, shapes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    with pytest.raises(executors.NoSuchMeans, match=said):
        run(shapes.workflow(shapes.shell("main", "true")), executor=kind, path_means=paths)


def test_an_image_that_is_not_there_is_refused(podman: Path, run: Any, shapes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{podman}:{os.environ['PATH']}")
    flow = shapes.workflow(shapes.shell("main", "true"))
    flow["spec"]["templates"][0]["container"]["image"] = "localhost/none:1"
    with pytest.raises(
        local.RefusedWorkflow, match=r"spec.templates\[0\].container.image: podman has no localhost/none:1 and cannot pull it"
    ):
        run(flow, executor="podman")


def test_a_killed_runner_leaves_no_container(podman: Path, shapes: Any, tmp_path: Path) -> None:
    flow = shapes.workflow(shapes.shell("main", "trap '' TERM; echo up > /up/up; while :; do sleep 1; done"))
    flow["spec"]["volumes"] = [{"name": "up", "persistentVolumeClaim": {"claimName": "up"}}]
    flow["spec"]["templates"][0]["container"] |= {"image": IMAGE, "volumeMounts": [{"name": "up", "mountPath": "/up"}]}
    (tmp_path / "flow.yaml").write_text(yaml.safe_dump(flow))
    command = [
        sys.executable,
        "-m",
        "pipelines",
        "run",
        str(tmp_path / "flow.yaml"),
        "--workspace",
        str(tmp_path / "w"),
        "--executor",
        "podman",
    ]
    environment = {**os.environ, "PATH": f"{podman}:{os.environ['PATH']}"}
    for signals in ([signal.SIGKILL], [signal.SIGINT, signal.SIGINT]):
        for path in tmp_path.glob("w/runs/*/volumes/up/up"):
            path.unlink()
        runner = subprocess.Popen(command, cwd=CHECKOUT, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)
        _wait(lambda: bool([*tmp_path.glob("w/runs/*/volumes/up/up")]))
        assert _containers(podman)
        for number in signals:
            runner.send_signal(number)
            time.sleep(0.3)
        runner.communicate(timeout=60)
        _wait(lambda: not _containers(podman))


def _containers(podman: Path) -> str:
    return subprocess.run([podman / "podman", "ps", "--all", "--quiet"], capture_output=True, text=True, check=True, timeout=60).stdout


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_nothing_outlives_a_run_that_is_stopped(shapes: Any, tmp_path: Path, running: Any) -> None:
    """A step, a daemon and a sidecar that ignore SIGTERM, and what they started in sessions of their own."""
    loop = f"echo $$ > {tmp_path}/pids/$$; while :; do sleep 300; done"
    stubborn = f"trap '' TERM; setsid sh -c '{loop}' & {loop}"
    (tmp_path / "pids").mkdir()
    beside = {"name": "beside", "image": "none", "command": ["sh", "-c"], "args": [stubborn]}
    flow = shapes.workflow(
        shapes.steps("main", [{"name": "d", "template": "d"}], [{"name": "s", "template": "s"}]),
        shapes.shell("d", stubborn, daemon=True),
        shapes.shell("s", stubborn, sidecars=[beside]),
    )
    (tmp_path / "flow.yaml").write_text(yaml.safe_dump(flow))
    command = [
        sys.executable,
        "-m",
        "pipelines",
        "run",
        str(tmp_path / "flow.yaml"),
        "--workspace",
        str(tmp_path / "w"),
        "--paths",
        "rewrite",
    ]
    for signals in ([signal.SIGKILL], [signal.SIGINT, signal.SIGINT]):
        runner = subprocess.Popen(command, cwd=CHECKOUT, stderr=subprocess.PIPE, text=True, start_new_session=True)
        _wait(lambda: len([*(tmp_path / "pids").iterdir()]) == 6)
        for number in signals:
            runner.send_signal(number)
            time.sleep(0.3)
        runner.communicate(timeout=60)
        for path in (tmp_path / "pids").iterdir():
            assert not running(int(path.name))
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
