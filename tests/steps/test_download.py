"""download: what DATA_URL names lies in its folder afterwards, or one clear line says why not."""

import contextlib
import gzip
import hashlib
import io
import json
import os
import random
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from steps import contract, download, storage
from steps.fetch import archive, disk, manifest, patience

ROWS = b"0,1,a\n1,,b\n" * 200


def settings(volume, url, **more):
    given = {"dataset_dir": "datasets", "data_format": "csv", "data_sha256": ""} | more
    return download.Settings(nfs_path=volume, data_url=url, **given)


def fetch(volume, url, **more):
    """The folder that download makes."""
    return volume / download.main(settings(volume, url, **more)).data


def run_step(volume, url, prefix=(), **more):
    given = {"NFS_PATH": str(volume), "DATASET_DIR": "datasets", "DATA_URL": url, "DATA_FORMAT": "csv", "DATA_SHA256": ""}
    environ = {name: value for name, value in os.environ.items() if name != "OUTPUTS_FOLDER"} | given | more
    return subprocess.run([*prefix, sys.executable, "-m", "steps.download"], env=environ, capture_output=True, text=True, check=False)


def test_a_schema_file_beside_a_file_of_ones_own_comes_along(tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "a.csv").write_bytes(ROWS)
    url = f"file://{own}/a.csv"
    bare = fetch(tmp_path / "volume", url)
    assert not (bare / "schema.json").exists()
    (own / "schema.json").write_text("{}")
    folder = fetch(tmp_path / "volume", url)
    assert (folder / "schema.json").read_text() == "{}"
    assert folder != bare, "with a schema it is other data"
    (own / "schema.json").write_text('{"label": "x"}')
    assert (fetch(tmp_path / "volume", url) / "schema.json").read_text() == '{"label": "x"}'
    assert not (fetch(tmp_path / "volume", url, data_format="criteo") / "schema.json").exists()


def zipped(entries):
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries:
            file.writestr(name, content)
    return sink.getvalue()


def tarred(entries, mode="w"):
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode=mode) as file:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return sink.getvalue()


def special(name, kind, target=""):
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:gz") as file:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, target
        file.addfile(info)
    return sink.getvalue()


def linked_zip():
    info = zipfile.ZipInfo("link.csv")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return zipped([(info, b"/etc/passwd")])


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != manifest.NAME}


TWO = [("train.csv", ROWS), ("sub/test.csv", ROWS[:110])]
ARCHIVES = {
    "data.zip": (zipped(TWO), dict(TWO)),
    "data.ZIP": (zipped(TWO), dict(TWO)),
    "data.tar": (tarred(TWO), dict(TWO)),
    "data.tar.gz": (tarred(TWO, "w:gz"), dict(TWO)),
    "data.tgz": (tarred([("./train.csv", ROWS)], "w:gz"), {"train.csv": ROWS}),
    "train.csv.gz": (gzip.compress(ROWS), {"train.csv": ROWS}),
    "two-members.csv.gz": (gzip.compress(ROWS) + gzip.compress(ROWS), {"two-members.csv": ROWS + ROWS}),
    "train.csv": (ROWS, {"train.csv": ROWS}),
    "a name, with blanks & more.csv": (ROWS, {"a name, with blanks & more.csv": ROWS}),
    "no-suffix": (zipped(TWO), dict(TWO)),
    "nested.zip": (zipped([("inner.zip", zipped(TWO))]), {"inner.zip": zipped(TWO)}),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_files_lie_unpacked_beside_a_manifest(tmp_path, name):
    packed, expected = ARCHIVES[name]
    (tmp_path / name).write_bytes(packed)
    folder = fetch(tmp_path / "volume", (tmp_path / name).as_uri())
    found = json.loads((folder / "download.json").read_text())
    assert contents(folder) == expected
    assert found["sha256"] == hashlib.sha256(packed).hexdigest()
    assert {entry["name"]: (entry["size"], entry["sha256"]) for entry in found["files"]} == {
        name: (len(content), hashlib.sha256(content).hexdigest()) for name, content in expected.items()
    }
    assert (found["synthetic"], found["best_accuracy"]) == (False, None)
    assert found["url"] == (tmp_path / name).as_uri()


def bomb():
    return gzip.compress(bytes(archive.RATIO_FLOOR_BYTES + 1))


REFUSED = {
    "parent.zip": (zipped([("../out.csv", ROWS)]), "points outside"),
    "deep-parent.zip": (zipped([("a/../../out.csv", ROWS)]), "points outside"),
    "absolute.zip": (zipped([("/tmp/out.csv", ROWS)]), "points outside"),
    "windows.zip": (zipped([("C:out.csv", ROWS)]), "points outside"),
    "backslash.tar": (tarred([("..\\out.csv", ROWS)]), "points outside"),
    "second.zip": (zipped([("fine.csv", ROWS), ("../out.csv", ROWS)]), "points outside"),
    "link.zip": (linked_zip(), "link or a device"),
    "parent.tar.gz": (tarred([("fine.csv", ROWS), ("../out.csv", ROWS)], "w:gz"), "points outside"),
    "symlink.tar.gz": (special("link.csv", tarfile.SYMTYPE, "/etc/passwd"), "link or a device"),
    "hardlink.tar.gz": (special("link.csv", tarfile.LNKTYPE, "../x"), "link or a device"),
    "device.tar.gz": (special("null", tarfile.CHRTYPE), "link or a device"),
    "fifo.tar.gz": (special("pipe", tarfile.FIFOTYPE), "link or a device"),
    "manifest.zip": (zipped([("download.json", b"{}")]), "cannot be used here"),
    "control.tar": (tarred([("a\nb.csv", ROWS)]), "cannot be used here"),
    "twice.tar": (tarred([("a.csv", ROWS), ("a.csv", ROWS)]), "is there twice"),
    "file-and-folder.tar": (tarred([("a", ROWS), ("a/b.csv", ROWS)]), "is there twice"),
    "truncated.zip": (zipped(TWO)[:-40], "truncated or damaged"),
    "half.zip": (zipped([("a.csv", random.Random(1).randbytes(5000))])[:2500], "truncated or damaged"),
    "truncated.csv.gz": (gzip.compress(ROWS)[:-9], "truncated or damaged"),
    "truncated.tar.gz": (tarred([("a.csv", random.Random(1).randbytes(50000))], "w:gz")[:-5000], "truncated or damaged"),
    "truncated.tar": (tarred(TWO)[:1500], "truncated or damaged"),
    "empty.zip": (b"", "expected the content of a .zip file"),
    "page.zip": (b"<!DOCTYPE html><title>Sign in</title>", "expected the content of a .zip file, got plain content"),
    "page.csv.gz": (b"<!DOCTYPE html>", "expected the content of a .gz file"),
    "bomb.csv.gz": (bomb(), "larger than 250 times the archive"),
    "bomb.zip": (zipped([("a.csv", bytes(archive.RATIO_FLOOR_BYTES + 1))]), "larger than 250 times the archive"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_archives_that_are_damaged_or_point_outside_are_refused(tmp_path, name):
    packed, message = REFUSED[name]
    (tmp_path / name).write_bytes(packed)
    with pytest.raises(contract.BadInput, match=message):
        fetch(tmp_path / "volume", (tmp_path / name).as_uri())
    assert {Path(path).name for path in contents(tmp_path / "volume/datasets")} == {"lock"}
    assert not list(tmp_path.glob("out*"))


def test_an_encrypted_zip_is_refused(tmp_path):
    packed = bytearray(zipped([("a.csv", ROWS)]))
    packed[6] |= 1
    packed[packed.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(packed)
    with pytest.raises(contract.BadInput, match="encrypted"):
        fetch(tmp_path / "volume", (tmp_path / "a.zip").as_uri())


@pytest.mark.parametrize("name", ["data.zip", "data.tar.gz", "train.csv.gz", "data.tar"])
def test_any_damage_to_an_archive_is_bad_input_or_harmless(tmp_path, name):
    random_ = random.Random(7)
    for number in range(60):
        packed = bytearray(ARCHIVES[name][0])
        for _ in range(random_.randint(1, 4)):
            packed[random_.randrange(len(packed))] = random_.randrange(256)
        packed = packed[: random_.choice([len(packed), random_.randrange(len(packed))])]
        (tmp_path / name).write_bytes(packed)
        into = tmp_path / str(number)
        into.mkdir()
        with contextlib.suppress(contract.BadInput):
            placed = archive.place(tmp_path / name, name, into, ours=False)
            assert {entry.name for entry in placed} <= {str(path.relative_to(into)) for path in into.rglob("*")}
    assert {path.name for path in tmp_path.iterdir()} == {name, *map(str, range(60))}, "nothing lands outside"


def test_a_second_run_does_nothing(tmp_path):
    (tmp_path / "a.csv").write_bytes(ROWS)
    folder = fetch(tmp_path, (tmp_path / "a.csv").as_uri())
    before = {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}
    assert fetch(tmp_path, (tmp_path / "a.csv").as_uri()) == folder
    assert {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]} == before


def test_a_changed_file_is_other_data(tmp_path):
    (tmp_path / "a.csv").write_bytes(ROWS)
    first = fetch(tmp_path, (tmp_path / "a.csv").as_uri())
    (tmp_path / "a.csv").write_bytes(ROWS + ROWS)
    second = fetch(tmp_path, (tmp_path / "a.csv").as_uri())
    assert (first / "a.csv").read_bytes() == ROWS
    assert (second / "a.csv").read_bytes() == ROWS + ROWS


@pytest.mark.parametrize("damage", ["shorter", "missing", "no manifest", "half a manifest"])
def test_a_damaged_folder_is_made_anew(tmp_path, damage):
    (tmp_path / "a.csv").write_bytes(ROWS)
    folder = fetch(tmp_path, (tmp_path / "a.csv").as_uri())
    manifest_path = folder / manifest.NAME
    {
        "shorter": lambda: (folder / "a.csv").write_bytes(ROWS[:5]),
        "missing": (folder / "a.csv").unlink,
        "no manifest": manifest_path.unlink,
        "half a manifest": lambda: manifest_path.write_bytes(manifest_path.read_bytes()[:40]),
    }[damage]()
    assert fetch(tmp_path, (tmp_path / "a.csv").as_uri()) == folder
    assert contents(folder) == {"a.csv": ROWS}
    assert manifest.is_whole(folder)


def test_the_checksum_is_of_what_was_fetched(tmp_path):
    packed = ARCHIVES["data.zip"][0]
    (tmp_path / "data.zip").write_bytes(packed)
    right = hashlib.sha256(packed).hexdigest().upper()
    assert contents(fetch(tmp_path, (tmp_path / "data.zip").as_uri(), data_sha256=right)) == dict(TWO)
    with pytest.raises(contract.BadInput, match=f"DATA_SHA256: .*expected checksum {'0' * 64}, got {right.lower()}, twice"):
        fetch(tmp_path, (tmp_path / "data.zip").as_uri(), data_sha256="0" * 64)


URLS = [
    ("ftp://host/a.zip", "DATA_URL: expected a URL of file"),
    ("/data/a.zip", "DATA_URL: expected a URL of file"),
    ("a.zip", "DATA_URL: expected a URL of file"),
    ("file://host/a.zip", "expected file:/// and an absolute path"),
    ("file:a.zip", "expected file:/// and an absolute path"),
    ("file:///no/such/a.zip", "expected a file at /no/such/a.zip, which does not exist"),
    ("file:///tmp", "is a folder"),
    ("http:///a.zip", "expected http://HOST/PATH"),
    ("http://host:port/a", "expected a URL of file"),
    ("http://host:99999/a", "expected a URL of file"),
    ("http://[::1/a.zip", "expected a URL of file"),
    ("https://me:secret@host/a", "without user name and password"),
    ("s3:///key", "bucket's name in the environment variable datasetsbucket"),
    ("generated://census", "only criteo can be generated"),
    ("generated://criteo/x", "only criteo can be generated"),
    ("generated://criteo?row=5", "got .'row'."),
    ("generated://criteo?rows=5&rows=6", "once each"),
    ("generated://criteo?rows=many", "DATA_URL: rows: expected a whole number, 1 or more, got 'many'"),
    ("generated://criteo?rows=0", "expected a whole number, 1 or more"),
    ("generated://criteo?seed=-1", "DATA_URL: seed: expected a whole number, 0 or more"),
]


@pytest.mark.parametrize(("url", "message"), URLS)
def test_a_url_that_names_nothing_is_refused(tmp_path, monkeypatch, url, message):
    monkeypatch.delenv("datasetsbucket", raising=False)
    with pytest.raises(contract.BadInput, match=message) as refused:
        fetch(tmp_path, url, data_format="criteo")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("name", ["criteoo", "", "parquet", "schema.yaml"])
def test_an_unknown_format_is_refused_before_anything_is_fetched(tmp_path, name):
    with pytest.raises(contract.BadInput, match="DATA_FORMAT: expected criteo, census, csv"):
        fetch(tmp_path, "generated://criteo?rows=10", data_format=name)
    assert not list(tmp_path.iterdir())


def test_generated_data_is_of_its_format(tmp_path):
    with pytest.raises(contract.BadInput, match="DATA_FORMAT: expected criteo"):
        fetch(tmp_path, "generated://criteo?rows=10", data_format="census")


def test_data_that_stands_ready_is_used_as_it_is(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "train.csv").write_bytes(ROWS)
    volume = tmp_path / "volume"
    assert download.main(settings(volume, "", dataset_dir=str(data))).data == str(data)
    assert download.main(settings(tmp_path, "", dataset_dir="data")).data == "data"
    assert not volume.exists()
    assert list(data.iterdir()) == [data / "train.csv"]


@pytest.mark.parametrize(
    ("make", "more", "message"),
    [
        (lambda _: None, {}, "DATASET_DIR: expected a folder that holds the data"),
        (lambda data: data.mkdir(), {}, "DATASET_DIR: expected files"),
        (lambda data: data.write_text("x"), {}, "DATASET_DIR: expected a folder that holds the data"),
        (lambda data: data.mkdir(), {"data_sha256": "0" * 64}, "DATA_SHA256: expected nothing"),
        (
            lambda data: fetch(data.parent, "generated://criteo?rows=10", data_format="criteo", dataset_dir="data"),
            {},
            "expected the data of one set",
        ),
        (lambda _: None, {"dataset_dir": ""}, "DATASET_DIR: expected a folder below NFS_PATH"),
        (lambda _: None, {"dataset_dir": "../data"}, "DATASET_DIR: expected a folder below NFS_PATH"),
    ],
)
def test_without_a_url_the_folder_must_hold_data(tmp_path, make, more, message):
    make(tmp_path / "data")
    with pytest.raises(contract.BadInput, match=message):
        download.main(settings(tmp_path, "", **{"dataset_dir": "data"} | more))


def test_too_little_room_is_said_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "free_bytes", lambda _: 1000)
    (tmp_path / "a.csv").write_bytes(ROWS)
    for url, form in (((tmp_path / "a.csv").as_uri(), "csv"), ("generated://criteo?rows=10", "criteo")):
        with pytest.raises(contract.BadInput, match=r"disk is too full for .*bytes are needed, 1,000 are free"):
            fetch(tmp_path, url, data_format=form)
    (tmp_path / "a.zip").write_bytes(zipped([("a.csv", ROWS)]))
    with pytest.raises(contract.BadInput, match="its content is larger than the 1,000 bytes free"):
        fetch(tmp_path, (tmp_path / "a.zip").as_uri())


def test_a_write_that_the_disk_refuses_names_the_file(tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(random.Random(1).randbytes(200_000)))
    ended = run_step(tmp_path, (tmp_path / "a.csv.gz").as_uri(), prefix=("bash", "-c", 'ulimit -f 100; exec "$@"', "-"))
    assert ended.returncode == contract.BAD_INPUT
    assert "File too large" in ended.stderr
    assert "a.csv" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not list(tmp_path.glob("datasets/a*"))


@pytest.mark.parametrize("dataset_dir", ["/proc/no/such", "file/below"])
def test_a_folder_that_cannot_be_written_is_named(tmp_path, dataset_dir):
    (tmp_path / "file").write_text("a file where a folder is wanted")
    (tmp_path / "a.csv").write_bytes(ROWS)
    ended = run_step(tmp_path, (tmp_path / "a.csv").as_uri(), DATASET_DIR=dataset_dir)
    assert ended.returncode == contract.BAD_INPUT
    assert dataset_dir.split("/")[0] in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_step_writes_its_output_as_a_file(tmp_path):
    (tmp_path / "a.csv").write_bytes(ROWS)
    ended = run_step(tmp_path, (tmp_path / "a.csv").as_uri(), OUTPUTS_FOLDER=str(tmp_path / "outputs"))
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / (tmp_path / "outputs/data").read_text() / "a.csv").read_bytes() == ROWS


def test_two_downloads_at_once_leave_one_whole_folder(tmp_path):
    url = "generated://criteo?rows=30000&seed=3"
    command = [sys.executable, "-m", "steps.download"]
    environ = dict(os.environ) | {
        "NFS_PATH": str(tmp_path),
        "DATASET_DIR": "datasets",
        "DATA_URL": url,
        "DATA_FORMAT": "criteo",
        "DATA_SHA256": "",
    }
    running = [subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    said = [process.communicate()[1] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], said
    (folder,) = tmp_path.glob("datasets/synthetic*")
    assert manifest.is_whole(folder)
    assert len(list(folder.iterdir())) == 3
    assert sum("now at" in each for each in said) == 1


def test_waiting_for_another_download_has_an_end(tmp_path, monkeypatch):
    monkeypatch.setattr(patience, "LOCK_BOUND_S", 0.3)
    (tmp_path / "a.csv").write_bytes(ROWS)
    folder = fetch(tmp_path, (tmp_path / "a.csv").as_uri())
    shutil.rmtree(folder)
    with (
        storage.lock(tmp_path / "datasets/.download" / folder.name / "lock"),
        pytest.raises(contract.Transient, match="another process has been busy with it"),
    ):
        fetch(tmp_path, (tmp_path / "a.csv").as_uri())


@pytest.mark.parametrize("kind", ["zip", "generated"])
def test_killed_at_any_file_operation_it_ends_the_same(tmp_path, kind):
    (tmp_path / "data.zip").write_bytes(zipped(TWO))
    url, form = ((tmp_path / "data.zip").as_uri(), "csv") if kind == "zip" else ("generated://criteo?rows=50&seed=1", "criteo")
    environ = dict(os.environ) | {"DATASET_DIR": "datasets", "DATA_URL": url, "DATA_FORMAT": form, "DATA_SHA256": ""}
    environ.pop("OUTPUTS_FOLDER", None)
    script = Path(__file__).with_name("kill_everywhere.py")
    command = [sys.executable, str(script), "steps.download", str(tmp_path / "kills")]
    ended = subprocess.run(command, env=environ | {"PYTHONPATH": os.getcwd()}, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    assert found["wrong"] == []
    assert found["kills"] >= 12
    assert len(found["files"]) == 3
    shutil.rmtree(tmp_path / "kills")
