"""Container paths in a workflow's text become paths of this machine; everything else stays as it is."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.local import paths

MAPPING = {"/nfs": "/host/volume", "/nfs/data": "/elsewhere", "/opt/code": "/home/me/code"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/nfs", "/host/volume"),
        ("/nfs/x/y", "/host/volume/x/y"),
        ("/nfs/data/z", "/elsewhere/z"),
        ("/nfs/database", "/host/volume/database"),
        ("cat /nfs/a > /nfs/b; ls '/nfs'", "cat /host/volume/a > /host/volume/b; ls '/host/volume'"),
        ("PATH=/opt/code/bin:/nfs:$PATH", "PATH=/home/me/code/bin:/host/volume:$PATH"),
        ("--out=/nfs/x,/nfs/y", "--out=/host/volume/x,/host/volume/y"),
        ("file:///nfs/x", "file:///host/volume/x"),
        ("/nfs.", "/host/volume."),
        ("/nfsx /nfs-x /nfs.bak /nfs_1", "/nfsx /nfs-x /nfs.bak /nfs_1"),
        ("/a/nfs a/nfs ./nfs ~/nfs", "/a/nfs a/nfs ./nfs ~/nfs"),
        ("http://host/nfs $(pwd)/nfs", "http://host/nfs $(pwd)/nfs"),
        ("$HOME/nfs ${X}/nfs {{inputs.parameters.x}}/nfs", "$HOME/nfs ${X}/nfs {{inputs.parameters.x}}/nfs"),
        ("/nfs{{inputs.parameters.x}} /nfs/{{inputs.parameters.x}}", "/nfs{{inputs.parameters.x}} /host/volume/{{inputs.parameters.x}}"),
    ],
)
def test_whole_components_only(text: str, expected: str) -> None:
    assert paths.rewrite(text, MAPPING) == expected


def _spec(**container: Any) -> dict[str, Any]:
    mounts = [{"name": "claim", "mountPath": "/nfs"}, {"name": "scratch", "mountPath": "/scratch/"}]
    template = {
        "name": "t",
        "inputs": {"parameters": [{"name": "where", "default": "/nfs/in"}]},
        "outputs": {"parameters": [{"name": "o", "valueFrom": {"path": "/out/o.txt"}}, {"name": "p", "valueFrom": {"path": "/scratch/p"}}]},
        "container": {"command": ["sh"], "volumeMounts": mounts, **container},
    }
    step = {"name": "s", "template": "t", "arguments": {"parameters": [{"name": "where", "value": "/nfs/lit"}]}}
    return {
        "arguments": {"parameters": [{"name": "ROOT", "value": "/nfs/root"}, {"name": "CODE", "value": "/opt/code"}]},
        "volumes": [{"name": "claim", "persistentVolumeClaim": {"claimName": "c"}}, {"name": "scratch", "emptyDir": {}}],
        "templates": [{"name": "main", "steps": [[step]]}, template],
    }


def test_every_text_of_a_workflow_is_rewritten_and_private_paths_are_the_pod_s() -> None:
    spec = _spec(
        args=["cat /nfs/a /scratch/b /out/o.txt /tmp/x"],
        env=[{"name": "A", "value": "/nfs:/opt/code"}, {"name": "N"}],
        workingDir="/opt/code",
    )
    local = paths.localize(spec, {"/opt/code": "/home/me/code"}, {"c": "/host/volume"})
    template = local["templates"][1]
    assert template["container"]["args"] == [
        f"cat /host/volume/a {paths.POD}/volumes/scratch/b {paths.POD}/files/out/o.txt {paths.POD}/files/tmp/x"
    ]
    assert template["container"]["env"] == [{"name": "A", "value": "/host/volume:/home/me/code"}, {"name": "N"}]
    assert template["container"]["workingDir"] == "/home/me/code"
    assert template["inputs"]["parameters"] == [{"name": "where", "default": "/host/volume/in"}]
    assert [parameter["valueFrom"]["path"] for parameter in template["outputs"]["parameters"]] == [
        f"{paths.POD}/files/out/o.txt",
        f"{paths.POD}/volumes/scratch/p",
    ]
    assert local["templates"][0]["steps"][0][0]["arguments"]["parameters"] == [{"name": "where", "value": "/host/volume/lit"}]
    assert [parameter["value"] for parameter in local["arguments"]["parameters"]] == ["/host/volume/root", "/home/me/code"]
    assert spec == _spec(
        args=["cat /nfs/a /scratch/b /out/o.txt /tmp/x"],
        env=[{"name": "A", "value": "/nfs:/opt/code"}, {"name": "N"}],
        workingDir="/opt/code",
    ), "the workflow itself is not changed"


def test_a_claim_without_a_folder_is_one_of_the_run() -> None:
    local = paths.localize(_spec(args=["ls /nfs"]), {}, {})
    assert local["templates"][1]["container"]["args"] == [f"ls {paths.RUN}/volumes/c"]


def test_a_path_that_means_two_things_is_left_alone_in_arguments() -> None:
    spec = _spec(args=["ls /nfs"])
    other = {"name": "u", "container": {"command": ["sh"], "volumeMounts": [{"name": "other", "mountPath": "/nfs"}]}}
    spec["volumes"].append({"name": "other", "persistentVolumeClaim": {"claimName": "d"}})
    spec["templates"].append(other)
    local = paths.localize(spec, {}, {})
    assert local["arguments"]["parameters"][0]["value"] == "/nfs/root"
