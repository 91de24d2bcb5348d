"""`python -m pipelines parameters OVERLAY`."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from pipelines import build
from pipelines.parameters import PARAMETERS

Run = Callable[..., tuple[int, str, str]]

HEAD = ["NAME", "VALUE", "SET BY", "DESCRIPTION", "COUNT", "REQUIRED"]


def cells(markdown: str) -> dict[str, list[str]]:
    """The rows of a Markdown table by their first cell, those that start with a bar."""
    rows = [line.strip("| ").split(" | ") for line in markdown.splitlines() if line.startswith("|")]
    return {row[0]: row[1:] for row in rows}


def add_component(overlay: Path, *names: str) -> None:
    path = overlay / "kustomization.yaml"
    kustomization = yaml.safe_load(path.read_text())
    kustomization["components"] += [f"../../components/{name}" for name in names]
    path.write_text(yaml.safe_dump(kustomization, sort_keys=False))


@pytest.mark.usefixtures("builder")
def test_the_table_of_an_overlay(overlay: Path, run: Run) -> None:
    run("set", overlay, "REPLICAS", "2")
    run("set", overlay, "MODEL_NAME", "a_b")
    code, out, err = run("parameters", overlay, "--markdown")
    assert (code, err) == (0, "")
    rows = cells(out)
    assert ["NAME", *rows["NAME"]] == HEAD
    assert rows["NFS_SERVER"] == ["(not set)", "", "address of the NFS server", "1", "yes"]
    assert rows["USER_ID"] == ["(not set)", "", "user id of the processes", rows["GROUP_ID"][3], "yes"]
    assert rows["GROUP_ID"] == ["1000", "site.env", "group id of the processes", rows["FS_ID"][3], "yes"]
    assert rows["REPLICAS"][:2] == ["2", "site.env"]
    assert rows["MODEL_NAME"][:2] == ["a_b", "site.env"]
    assert rows["STEPS"][:3] == ["500", "default", "training steps in an attempt"]
    assert rows["IMAGE_SUFFIX"][:2] == ["(empty)", "default"]
    assert "EFS_ID" not in rows
    assert out.splitlines()[-2:] == ["not set yet: NFS_SERVER, USER_ID", f"next: python -m pipelines set {overlay} NFS_SERVER VALUE"]


@pytest.mark.usefixtures("builder")
def test_the_terminal_shows_the_same_in_columns(overlay: Path, run: Run) -> None:
    markdown, terminal = (run("parameters", overlay, *option)[1] for option in (["--markdown"], []))
    lines = terminal.splitlines()
    starts = [lines[0].index(name) for name in HEAD]
    table = [[line[start:end].strip() for start, end in zip(starts, [*starts[1:], None], strict=True)] for line in lines[:-2]]
    assert {row[0]: row[1:] for row in table} == {name: row for name, row in cells(markdown).items() if name != "---"}
    assert lines[-2:] == markdown.splitlines()[-2:]


@pytest.mark.usefixtures("builder")
def test_count_is_how_many_fields_of_the_build_hold_the_value(overlay: Path, run: Run) -> None:
    def counts() -> dict[str, int]:
        return {name: int(row[3]) for name, row in cells(run("parameters", overlay, "--markdown")[1]).items() if row[3].isdigit()}

    pods = [yaml.safe_load(build.compile_named(name))["spec"] for name in build.registry()]
    steps = [found["container"] for pod in pods for found in pod["templates"] if "container" in found]
    variables = [row["name"] for step in steps for row in step["env"] if "{{" not in row["value"]]
    arguments = [row["name"] for pod in pods for row in pod["arguments"]["parameters"]]
    before = counts()
    assert before["REGISTRY"] == before["IMAGE_SUFFIX"] == before["GROUP_NAME"] == len(steps)
    assert before["PULL_POLICY"] == len(steps) + variables.count("PULL_POLICY")
    assert before["NFS_PATH"] == 2 * len(steps) + 1
    assert before["USER_ID"] == len(pods) + variables.count("USER_ID")
    assert before["STEPS"] == arguments.count("STEPS")
    assert before["VOLUME_SIZE"] == 2
    add_component(overlay, "gpu", "s3", "pull-secret")
    assert counts() == before | {"TRAIN_GPUS": 2, "S3_SECRET": 2, "PULL_SECRET": len(pods) + variables.count("PULL_SECRET")}


@pytest.mark.usefixtures("builder")
def test_nothing_is_written_beside_the_overlay(overlay: Path, run: Run) -> None:
    tree = overlay.parents[1]
    before = {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    assert run("parameters", overlay)[0] == 0
    assert {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()} == before


@pytest.mark.usefixtures("builder")
def test_an_overlay_elsewhere_with_files_and_links_of_its_own(overlay: Path, tmp_path: Path, run: Run) -> None:
    mine = tmp_path / "sites" / "mine"
    shutil.copytree(overlay, mine)
    (mine / "more").mkdir()
    (mine / "more" / "map.yaml").write_text("{apiVersion: v1, kind: ConfigMap, metadata: {name: more}, data: {a: b}}\n")
    kustomization = (mine / "kustomization.yaml").read_text().replace("../../", "../../kustomize/")
    (mine / "kustomization.yaml").write_text(kustomization.replace("resources:\n", "resources:\n- more/map.yaml\n"))
    (tmp_path / "link").symlink_to(mine)
    for folder in (mine, tmp_path / "link"):
        code, out, err = run("parameters", folder, "--markdown")
        assert (code, err) == (0, "")
        assert cells(out)["NFS_SERVER"][3] == "1"


@pytest.mark.usefixtures("builder")
def test_two_overlays_have_values_of_their_own(overlay: Path, run: Run) -> None:
    other = Path(shutil.copytree(overlay, overlay.parent / "mine"))
    run("set", other, "NFS_SERVER", "nfs.example.org")
    assert cells(run("parameters", other, "--markdown")[1])["NFS_SERVER"][0] == "nfs.example.org"
    assert cells(run("parameters", overlay, "--markdown")[1])["NFS_SERVER"][0] == "(not set)"


@pytest.mark.usefixtures("no_builder")
def test_without_kustomize_nothing_is_counted_and_a_line_says_why(overlay: Path, run: Run) -> None:
    code, out, err = run("parameters", overlay, "--markdown")
    assert (code, err) == (0, "")
    rows = cells(out)
    assert {row[3] for name, row in rows.items() if name not in ("NAME", "---")} == {"?"}
    assert set(rows) - {"NAME", "---"} == set(PARAMETERS)
    assert "COUNT is not known: neither kustomize nor kubectl is on PATH" in out.splitlines()
    assert "NFS_SERVER" in out.splitlines()[-2]


@pytest.mark.usefixtures("builder")
@pytest.mark.parametrize(
    ("component", "name", "value", "said"),
    [
        (
            "pull-secret",
            "SEED",
            "1",
            "PULL_SECRET lands in a field that expects a Kubernetes name: small letters, digits, '-' and '.', got ''",
        ),
        ("node-datasets", "SEED", "1", "DATASET_DIR lands in a field that expects an absolute path, got 'datasets'"),
        (
            "run-now",
            "USER_ID",
            "0",
            "USER_ID lands in a field that expects another id than 0, which is root, unless components/as-root is listed"
            " (kustomize edit add component), got '0'",
        ),
    ],
)
def test_a_value_that_its_field_does_not_take_is_said(component: str, name: str, value: str, said: str, overlay: Path, run: Run) -> None:
    add_component(overlay, component)
    (overlay / "site.env").write_text("NFS_SERVER=a\nUSER_ID=1\nGROUP_ID=1\nFS_ID=1\n")
    code = run("set", overlay, name, value)[0]
    assert code == (2 if said.startswith(name) else 0)
    out = run("parameters", overlay)[1].splitlines()
    assert said in out
    assert out[-1].startswith(f"next: python -m pipelines set {overlay} {said.split()[0]}")


@pytest.mark.usefixtures("builder")
def test_root_is_allowed_where_the_overlay_says_so(overlay: Path, run: Run) -> None:
    add_component(overlay, "as-root")
    (overlay / "site.env").write_text("NFS_SERVER=a\nUSER_ID=0\nGROUP_ID=0\nFS_ID=0\n")
    assert run("parameters", overlay)[1].splitlines()[-1] == f"all is set; next: kustomize build {overlay} | kubectl apply -f -"


@pytest.mark.parametrize("component", ["existing-claim", "host-path", "claim"])
def test_two_components_for_the_volume_are_refused(component: str, overlay: Path, run: Run) -> None:
    """Two together would put a claim that exists already, and its data, under the overlay's control."""
    add_component(overlay, component)
    code, _, err = run("parameters", overlay)
    assert (code, f"expected one component for the volume, got nfs and {component}; take one away: (cd" in err) == (2, True), err
    assert "kustomize edit remove component ../../components/nfs)" in err


def broken(overlay: Path, **files: str | bytes | None) -> Path:
    for name, content in files.items():
        path = overlay / {"site_env": "site.env", "kustomization": "kustomization.yaml"}[name]
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return overlay


@pytest.mark.usefixtures("builder")
@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"site_env": None}, "expected a file site.env in it, and there is none"),
        ({"kustomization": None}, "expected a file kustomization.yaml in it, and there is none"),
        ({"site_env": "# a\n\nNFS_SERVER\n"}, "site.env, line 3: expected NAME=VALUE, without blanks before the =, got 'NFS_SERVER'"),
        ({"site_env": "NFS_SERVER = a\n"}, "site.env, line 1: expected NAME=VALUE, without blanks before the =, got 'NFS_SERVER = a'"),
        ({"site_env": "export NFS_SERVER=a\n"}, "site.env, line 1: export NFS_SERVER: no such parameter; did you mean NFS_SERVER?"),
        ({"site_env": "SEED=1\nNFS_SERVR=a\n"}, "site.env, line 2: NFS_SERVR: no such parameter; did you mean NFS_SERVER?"),
        ({"site_env": "SEED=1\nSEED=2\n"}, "site.env, line 2: SEED is set in line 1 already; remove one of them"),
        ({"site_env": "\nUSER_ID=ann\n"}, "site.env, line 2: USER_ID: expected a whole number, 0 or more, got 'ann'"),
        ({"site_env": "USER_ID=0777\n"}, "site.env, line 1: USER_ID: expected 777, without sign or leading zeros, got '0777'"),
        ({"site_env": b"SEED=1\nDATA_URL=\xff\n"}, "site.env, line 2: expected text in UTF-8, got the byte 0xff"),
        ({"kustomization": "resources: ["}, "kustomization.yaml: no YAML: "),
        (
            {"kustomization": "resources: [../../nothing]\nconfigMapGenerator: [{name: site, envs: [site.env]}]\n"},
            "` builds, but it says: ",
        ),
    ],
)
def test_a_broken_overlay_is_told_by_file_and_line(files: dict[str, str | bytes | None], message: str, overlay: Path, run: Run) -> None:
    code, out, err = run("parameters", broken(overlay, **files))
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {overlay}")
    assert message in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("name", ["nothing-here", "nfs/site.env"])
def test_what_is_no_folder_is_refused(name: str, overlay: Path, run: Run) -> None:
    code, out, err = run("parameters", overlay.parent / name)
    assert (code, out) == (2, "")
    assert f"{overlay.parent / name}: expected an overlay, a folder such as kustomize/overlays/nfs, got " in err
