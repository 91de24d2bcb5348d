"""`python -m pipelines set OVERLAY NAME VALUE`."""

from __future__ import annotations

import resource
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.usefixtures("no_builder")
@pytest.mark.parametrize(
    ("before", "name", "value", "after"),
    [
        ("", "STEPS", "9", "STEPS=9\n"),
        ("STEPS=1\n", "STEPS", "9", "STEPS=9\n"),
        ("STEPS=1", "STEPS", "9", "STEPS=9"),
        ("SEED=1", "STEPS", "9", "SEED=1\nSTEPS=9\n"),
        ("# a\nSEED=1\n\n# b\nSTEPS=1\n# c\n", "STEPS", "9", "# a\nSEED=1\n\n# b\nSTEPS=9\n# c\n"),
        ("# STEPS: of an attempt\n# and more\n\nSEED=1\n", "STEPS", "9", "# STEPS: of an attempt\n# and more\nSTEPS=9\n\nSEED=1\n"),
        ("#STEPS=\nSEED=1\n", "STEPS", "9", "#STEPS=\nSTEPS=9\nSEED=1\n"),
        ("# STEPS_OF_MINE\n", "STEPS", "9", "# STEPS_OF_MINE\nSTEPS=9\n"),
        ("  STEPS=1\n", "STEPS", "9", "  STEPS=9\n"),
        ("SEED=1\r\nSTEPS=1\r\n", "STEPS", "9", "SEED=1\r\nSTEPS=9\r\n"),
        ("SEED=1\r\n", "STEPS", "9", "SEED=1\r\nSTEPS=9\r\n"),
        ("SEED=1\r\nREPLICAS=2", "STEPS", "9", "SEED=1\r\nREPLICAS=2\r\nSTEPS=9\r\n"),
        ("\ufeffSTEPS=1\nSEED=1\n", "STEPS", "9", "\ufeffSTEPS=9\nSEED=1\n"),
        ("STEPS=wrong\n", "STEPS", "9", "STEPS=9\n"),
        ("", "USER_ID", "007", "USER_ID=7\n"),
        ("", "USER_ID", "0", "USER_ID=0\n"),
        ("", "IMAGE_SUFFIX", "-gpu:1.0", "IMAGE_SUFFIX=-gpu:1.0\n"),
        ("IMAGE_SUFFIX=-gpu\n", "IMAGE_SUFFIX", "", "IMAGE_SUFFIX=\n"),
        ("", "DATA_URL", " a=b \"c\" 'd' #é ", "DATA_URL= a=b \"c\" 'd' #é \n"),
        ("TARGET_ACCURACY=0.7\n", "TARGET_ACCURACY", "", "TARGET_ACCURACY=\n"),
    ],
)
def test_it_edits_one_line_and_keeps_the_others(before: str, name: str, value: str, after: str, overlay: Path, run: Run) -> None:
    site_env = overlay / "site.env"
    for start in (before, after):  # the second time it changes nothing
        site_env.write_bytes(start.encode())
        assert run("set", overlay, name, value)[0] == 0
        assert site_env.read_bytes().decode() == after
    assert [path.name for path in overlay.iterdir() if path.name.startswith(".")] == []


@pytest.mark.usefixtures("builder")
@pytest.mark.parametrize(
    "value",
    [
        "a b",
        " a ",
        "a=b=c",
        '"quoted"',
        "it's",
        "#x",
        "é世\u2028",
        "$(HOME) ${X}",
        "a\tb",
        "a|b",
        "- a",
        "a: b",
        "*a",
        "null",
        "on",
        "1e3",
        "",
        "\\n",
    ],
)
def test_what_is_set_is_what_is_built(value: str, overlay: Path, run: Run) -> None:
    for name, text in {"NFS_SERVER": "nfs", "USER_ID": "1", "DATA_URL": value}.items():
        assert run("set", overlay, name, text)[0] == 0
    command = ["kustomize", "build"] if shutil.which("kustomize") else ["kubectl", "kustomize"]
    built = yaml.safe_load_all(subprocess.run([*command, str(overlay)], capture_output=True, check=True).stdout)
    found = [document["spec"]["arguments"]["parameters"] for document in built if document["kind"] == "WorkflowTemplate"]
    assert {row["value"] for rows in found for row in rows if row["name"] == "DATA_URL"} == {value}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("NFS_SERVERS", "x"), "NFS_SERVERS: no such parameter; did you mean NFS_SERVER?"),
        (("nfs_server", "x"), "nfs_server: no such parameter; did you mean NFS_SERVER?"),
        (("NFS_SERVER=10.0.0.1", "x"), "did you mean NFS_SERVER?"),
        (("QQQ", "x"), "QQQ: no such parameter; `python -m pipelines parameters` lists them all"),
        (("NFS_SERVER",), "expected OVERLAY NAME VALUE, got 0 values"),
        (("NFS_SERVER", "a", "b"), "expected OVERLAY NAME VALUE, got 2 values; put quotes around one with blanks"),
        (("NFS_SERVER", ""), "NFS_SERVER: expected one line of text, got nothing"),
        (("USER_ID", ""), "USER_ID: expected a whole number, 0 or more, got ''"),
        (("USER_ID", "ann"), "USER_ID: expected a whole number, 0 or more, got 'ann'"),
        (("USER_ID", "-1"), "USER_ID: expected a whole number, 0 or more, got '-1'"),
        (("REPLICAS", "0"), "REPLICAS: expected a whole number, 1 or more, got '0'"),
        (
            ("TARGET_ACCURACY", "75"),
            "TARGET_ACCURACY: expected a number above 0 and at most 1 (0.75 for 75 %), or nothing for no check, got '75'",
        ),
        (("NFS_PATH", "nfs"), "NFS_PATH: expected an absolute path, got 'nfs'"),
        (("NFS_PATH", "/a\nb"), "NFS_PATH: expected one line of text"),
        (("DATA_URL", "a\rb"), "DATA_URL: expected one line of text"),
        (("VOLUME_ACCESS_MODE", "ReadOnlyMany"), "expected ReadWriteMany, ReadWriteOnce or ReadWriteOncePod"),
        (("TRAIN_MEMORY", "4GB"), "TRAIN_MEMORY: expected a quantity such as 2, 500m or 4Gi, got '4GB'"),
        (("TF_SERVING_PORT", "65536"), "TF_SERVING_PORT: expected a port, 1 to 65535, got '65536'"),
        (("CLAIM", "My_Claim"), "CLAIM: expected a Kubernetes name"),
    ],
)
def test_it_refuses_and_changes_nothing(arguments: tuple[str, ...], message: str, overlay: Path, run: Run) -> None:
    before = (overlay / "site.env").read_bytes()
    code, out, err = run("set", overlay, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert (overlay / "site.env").read_bytes() == before


@pytest.mark.usefixtures("builder")
def test_it_says_what_is_still_to_be_set(overlay: Path, run: Run) -> None:
    for name, value, said in [
        ("GROUP_ID", "7", ["not set yet: NFS_SERVER, USER_ID", f"next: python -m pipelines set {overlay} NFS_SERVER VALUE"]),
        ("NFS_SERVER", "10.35.215.25", ["not set yet: USER_ID", f"next: python -m pipelines set {overlay} USER_ID VALUE"]),
        ("USER_ID", "1000", [f"all is set; next: kustomize build {overlay} | kubectl apply -f -"]),
        (
            "EFS_ID",
            "fs-1",
            [
                "EFS_ID is set, but lands in no field of this overlay; components/efs uses it",
                f"all is set; next: kustomize build {overlay} | kubectl apply -f -",
            ],
        ),
    ]:
        code, out, err = run("set", overlay, name, value)
        assert (code, out.splitlines(), err) == (0, said, "")


@pytest.mark.usefixtures("builder")
def test_it_sets_also_where_the_overlay_does_not_build_yet_and_says_why(overlay: Path, run: Run) -> None:
    shutil.rmtree(overlay.parents[1] / "components" / "image")
    code, out, err = run("set", overlay, "USER_ID", "7")
    assert (code, out) == (0, "")
    assert "USER_ID is set, but" in err
    assert f"{overlay.parents[1]}/components/image" in err
    assert "USER_ID=7\n" in (overlay / "site.env").read_text()


def test_a_disk_that_takes_nothing_is_said_in_a_line_and_the_file_stays(overlay: Path, run: Run) -> None:
    before = {path: path.read_bytes() for path in overlay.iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        code, out, err = run("set", overlay, "USER_ID", "7")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (code, out) == (2, "")
    assert err == f"error: {overlay}/site.env: cannot be written: File too large; nothing was changed\n"
    assert {path: path.read_bytes() for path in overlay.iterdir()} == before
