"""download from a real S3 server: that of TEST_S3_ENDPOINT, with TEST_S3_KEY and TEST_S3_SECRET."""

import hashlib
import os
import random
import subprocess
import sys
import uuid

import pytest

from steps import contract, download
from steps.fetch import address as addresses
from steps.fetch import partial, patience, s3

pytestmark = pytest.mark.skipif(
    "TEST_S3_ENDPOINT" not in os.environ, reason="TEST_S3_ENDPOINT, TEST_S3_KEY and TEST_S3_SECRET name no S3 server"
)

ROWS = b"a,label\n1,0\n2,1\n" * 1000
NAMES = (*s3._ENDPOINT, *s3._REGION, *s3._KEY, *s3._SECRET, *s3._SIGNATURE, *s3._BUCKET, "AWS_SESSION_TOKEN", "AWS_PROFILE")


def standard():
    return {
        "AWS_ENDPOINT_URL": os.environ["TEST_S3_ENDPOINT"],
        "AWS_ACCESS_KEY_ID": os.environ["TEST_S3_KEY"],
        "AWS_SECRET_ACCESS_KEY": os.environ["TEST_S3_SECRET"],
        "AWS_REGION": "us-east-1",
    }


def original():
    return {
        "endpoint_url": os.environ["TEST_S3_ENDPOINT"],
        "aws_access_key_id": os.environ["TEST_S3_KEY"],
        "aws_secret_access_key": os.environ["TEST_S3_SECRET"],
        "signature_version": "s3v4",
        "region_name": "us-east-1",
    }


@pytest.fixture
def put():
    """Put objects into a bucket of this test; its name."""
    import boto3
    from botocore.config import Config

    client = boto3.session.Session().client(
        "s3",
        endpoint_url=os.environ["TEST_S3_ENDPOINT"],
        aws_access_key_id=os.environ["TEST_S3_KEY"],
        aws_secret_access_key=os.environ["TEST_S3_SECRET"],
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )
    bucket = f"tiphys-test-{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=bucket)

    def put(**objects):
        for key, content in objects.items():
            client.put_object(Bucket=bucket, Key=key, Body=content)
        return bucket

    yield put
    for entry in client.list_objects_v2(Bucket=bucket).get("Contents", []):
        client.delete_object(Bucket=bucket, Key=entry["Key"])
    client.delete_bucket(Bucket=bucket)
    client.close()


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    """The settings of the standard names, and nothing of a home folder."""
    monkeypatch.setattr(patience, "FIRST_WAIT_S", 0.01)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    def use(given):
        for name in NAMES:
            monkeypatch.delenv(name, raising=False)
        for name, value in given.items():
            monkeypatch.setenv(name, value)

    use(standard())
    return use


def fetch(volume, url, sha256=""):
    return volume / download.main(download.Settings(volume, "datasets", url, "csv", sha256)).data


@pytest.mark.parametrize("given", [standard, original])
def test_an_object_comes_by_the_standard_names_and_by_those_of_the_original(tmp_path, put, environment, given):
    bucket = put(**{"sets/a b.csv": ROWS})
    environment(given())
    folder = fetch(tmp_path, f"s3://{bucket}/sets/a%20b.csv", hashlib.sha256(ROWS).hexdigest())
    assert (folder / "a b.csv").read_bytes() == ROWS
    assert not (tmp_path / "home").exists()


def test_the_bucket_can_be_named_by_datasetsbucket(tmp_path, put, environment):
    environment(original() | {"datasetsbucket": put(**{"a.csv": ROWS})})
    assert (fetch(tmp_path, "s3:///a.csv") / "a.csv").read_bytes() == ROWS


def test_a_prefix_stands_for_all_objects_below(tmp_path, put):
    bucket = put(**{"set/train/a.csv": ROWS, "set/test.csv": ROWS[:40], "set/": b"", "settled.csv": b"no"})
    folder = fetch(tmp_path, f"s3://{bucket}/set/")
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == {"download.json", "train/a.csv", "test.csv"}
    assert (folder / "train/a.csv").read_bytes() == ROWS
    lines = f"{hashlib.sha256(ROWS[:40]).hexdigest()}  test.csv\n{hashlib.sha256(ROWS).hexdigest()}  train/a.csv\n"
    assert fetch(tmp_path, f"s3://{bucket}/set/", hashlib.sha256(lines.encode()).hexdigest()).is_dir()


def test_a_transfer_goes_on_where_it_stopped(tmp_path, put):
    content = random.Random(3).randbytes(1_000_000)
    bucket = s3.Bucket(addresses.parse(f"s3://{put(**{'a.csv': content})}/a.csv"))
    (item,) = bucket.objects()
    begun = partial.Partial(tmp_path / "part")
    begun.begin(item.tag, item.size)
    begun.path.write_bytes(content[:400_000])
    opened = []

    def opener(offset, tag):
        opened.append(offset)
        return bucket.opener(item)(offset, tag)

    partial.transfer(begun, opener, "a.csv")
    assert opened == [400_000]
    assert begun.path.read_bytes() == content


def test_an_object_that_changed_meanwhile_is_never_mixed(tmp_path, put):
    name = put(**{"a.csv": bytes(1_000_000)})
    bucket = s3.Bucket(addresses.parse(f"s3://{name}/a.csv"))
    (item,) = bucket.objects()
    put(**{"a.csv": ROWS})
    with pytest.raises(contract.Transient, match="changed while it was fetched"):
        partial.transfer(partial.Partial(tmp_path / "part"), bucket.opener(item), "a.csv")
    assert (fetch(tmp_path, f"s3://{name}/a.csv") / "a.csv").read_bytes() == ROWS


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("no-such.csv", {}, "the S3 server answers 404"),
        ("no-such/", {}, "expected objects under this prefix, found none"),
        ("a.csv", {"AWS_SECRET_ACCESS_KEY": "wrong"}, "the S3 server answers 403"),
        ("a.csv", {"AWS_ACCESS_KEY_ID": "nobody"}, "the S3 server answers 40[34]"),
        ("a.csv", {"AWS_ENDPOINT_URL": "nonsense"}, "Invalid endpoint"),
        ("a.csv", {"signature_version": "nonsense"}, "nonsense"),
        ("a.csv", {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "Unable to locate credentials"),
    ],
)
def test_what_the_server_or_the_settings_refuse_is_bad_input(tmp_path, put, environment, key, change, message):
    bucket = put(**{"a.csv": ROWS})
    environment(standard() | change)
    with pytest.raises(contract.BadInput, match=message) as refused:
        fetch(tmp_path, f"s3://{bucket}/{key}")
    assert bucket in str(refused.value)
    assert os.environ["TEST_S3_SECRET"] not in str(refused.value)


def test_a_server_that_is_not_there_ends_as_transient(tmp_path, environment, monkeypatch):
    monkeypatch.setattr(patience, "RETRY_BOUND_S", 0.3)
    environment(standard() | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    with pytest.raises(contract.Transient, match="tried for"):
        fetch(tmp_path, "s3://bucket/a.csv")


def test_killed_at_random_moments_it_ends_the_same(tmp_path, put):
    content = random.Random(4).randbytes(20_000_000)
    bucket = put(**{"set/a.csv": content, "set/b.csv": ROWS})
    given = {
        "NFS_PATH": str(tmp_path),
        "DATASET_DIR": "datasets",
        "DATA_URL": f"s3://{bucket}/set/",
        "DATA_FORMAT": "csv",
        "DATA_SHA256": "",
    }
    environ = {name: value for name, value in os.environ.items() if name != "OUTPUTS_FOLDER"} | given
    random_ = random.Random(6)
    for _ in range(6):
        with subprocess.Popen([sys.executable, "-m", "steps.download"], env=environ, stderr=subprocess.PIPE) as process:
            try:
                process.communicate(timeout=random_.uniform(0.2, 1.0))
            except subprocess.TimeoutExpired:
                process.kill()
    folder = fetch(tmp_path, f"s3://{bucket}/set/")
    assert (folder / "a.csv").read_bytes() == content
    assert (folder / "b.csv").read_bytes() == ROWS
    assert {path.name for path in (tmp_path / "datasets/.download").glob("*/*")} == {"lock"}
