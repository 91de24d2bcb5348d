"""prepare: raw text becomes Parquet, a CSV and schema.json, or one line names file, line and column."""

import csv
import hashlib
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from steps import contract, download, prepare
from steps.fetch import manifest
from steps.reading import lines, parts

NUMBERS, CATEGORIES = ["2"] * 13, ["ab"] * 26
CENSUS = Path(__file__).parents[3] / "shared/data/census"
CENSUS_ROW = "39, State-gov, 77516, Bachelors, 13, Never-married, Adm-clerical, Not-in-family, White, Male, 2174, 0, 40, United-States, "


def criteo(rows=60, delimiter=",", end="\n"):
    """Lines whose labels alternate."""
    return [delimiter.join([str(row % 2), str(row), *NUMBERS[1:], *CATEGORIES]) + end for row in range(rows)]


def table(rows=60):
    return ["age,plan,label\n", *(f"{row},{'abc'[row % 3]},{'no' if row % 2 else 'yes'}\n" for row in range(rows))]


def lay(volume, **texts):
    (volume / "data").mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (volume / "data" / name).write_bytes(text if isinstance(text, bytes) else "".join(text).encode())
    return volume


def run(volume, form="criteo", seed=1):
    """The prepared folder."""
    return volume / prepare.main(prepare.Settings(volume, "me", "model", "data", form, seed)).prepared


def rows_of(path):
    return pq.read_table(path).to_pylist()


def schema_of(folder):
    return json.loads((folder / "schema.json").read_text())


def test_the_folder_holds_what_readers_need(tmp_path):
    files = {"train.csv": criteo(200), "eval.csv": criteo(20)}
    folder = run(lay(tmp_path, **files))
    schema = schema_of(folder)
    assert str(folder.relative_to(tmp_path)).startswith("me/model/prepared/")
    assert sorted(path.name for path in folder.iterdir()) == ["eval.csv", "eval.parquet", "schema.json", "train.parquet"]
    assert schema["columns"] == [{"name": f"I{n}", "kind": "number"} for n in range(1, 14)] + [
        {"name": f"C{n}", "kind": "category"} for n in range(1, 27)
    ]
    assert schema["train"] == {"rows": 200, "class_counts": [100, 100]}
    assert schema["eval"] == {"rows": 20, "class_counts": [10, 10]}
    assert schema["label"] == {"name": "label", "classes": ["0", "1"]}
    assert (schema["format"], schema["synthetic"], schema["best_accuracy"], schema["source"]) == (
        "criteo",
        False,
        None,
        str(tmp_path / "data"),
    )
    assert len(schema["data_sha256"]) == 64
    stored = pq.read_schema(folder / "train.parquet")
    assert stored.names == ["label", *(column["name"] for column in schema["columns"])]
    assert {str(stored.field(name).type) for name in stored.names} == {
        "int8",
        "float",
        "dictionary<values=string, indices=int32, ordered=0>",
    }


def test_values_blanks_and_the_csv_of_the_evaluation_rows(tmp_path):
    row = ["1", "", "-3", "1.5", *NUMBERS[3:], "", 'say "x"', *CATEGORIES[2:]]
    folder = run(lay(tmp_path, **{"train.csv": criteo(), "eval.csv": [*criteo(10), ",".join(row) + "\n"]}))
    last = rows_of(folder / "eval.parquet")[-1]
    assert math.isnan(last.pop("I1"))
    assert (last["label"], last["I2"], last["I3"], last["C1"], last["C2"], last["C3"]) == (1, -3.0, 1.5, "", 'say "x"', "ab")
    with open(folder / "eval.csv", newline="") as file:
        written = list(csv.reader(file))
    assert written[0] == ["label", *(f"I{n}" for n in range(1, 14)), *(f"C{n}" for n in range(1, 27))]
    assert written[-1] == row


def test_the_order_of_the_training_rows_is_kept_over_row_groups_and_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "ROW_GROUP_ROWS", 64)
    monkeypatch.setattr(lines, "CHUNK_BYTES", 3000)
    folder = run(lay(tmp_path, **{"train.csv": criteo(1000), "eval.csv": criteo(50)}))
    assert [row["I1"] for row in rows_of(folder / "train.parquet")] == list(range(1000))
    stored = pq.ParquetFile(folder / "train.parquet")
    assert [stored.metadata.row_group(group).num_rows for group in range(stored.num_row_groups)] == [64] * 15 + [40]


def test_a_tenth_is_held_back_by_seed_whatever_the_chunks(tmp_path, monkeypatch):
    folder = run(lay(tmp_path, **{"a.csv": criteo(3000), "b.csv": criteo(1000)}))
    held = [(row["label"], row["I1"]) for row in rows_of(folder / "eval.parquet")]
    assert 320 < len(held) < 480
    assert schema_of(folder)["train"]["rows"] == 4000 - len(held)
    other_seed = run(tmp_path, seed=2)
    assert other_seed != folder
    assert [(row["label"], row["I1"]) for row in rows_of(other_seed / "eval.parquet")] != held
    monkeypatch.setattr(lines, "CHUNK_BYTES", 5000)
    for path in folder.iterdir():
        path.unlink()
    assert run(tmp_path) == folder
    assert [(row["label"], row["I1"]) for row in rows_of(folder / "eval.parquet")] == held


def same(change):
    """Criteo lines written in another way, but of the same content."""
    return change(criteo())


@pytest.mark.parametrize(
    "text",
    [
        same(lambda rows: [row.replace("\n", "\r\n") for row in rows]),
        same(lambda rows: [*rows[:-1], rows[-1].rstrip("\n")]),
        same(lambda rows: [row.replace(",", "\t") for row in rows]),
        same(lambda rows: ["\ufeff", *rows]),
        same(lambda rows: [*rows[:5], "\n", "\r\n", *rows[5:], "\n\n"]),
    ],
    ids=["Windows line ends", "no line end at the end", "tabs", "byte order mark", "empty lines"],
)
def test_other_ways_to_write_the_same_rows(tmp_path, text):
    plain = run(lay(tmp_path / "plain", **{"train.csv": criteo(), "eval.csv": criteo(10)}))
    other = run(lay(tmp_path / "other", **{"train.csv": text, "eval.csv": criteo(10, "\t" if "\t" in text[0] else ",")}))
    assert rows_of(other / "train.parquet") == rows_of(plain / "train.parquet")


def test_a_constant_column_is_a_column_like_any_other(tmp_path):
    rows = rows_of(run(lay(tmp_path, **{"train.csv": criteo(), "eval.csv": criteo(10)})) / "train.parquet")
    assert {row["I2"] for row in rows} == {2.0}


def broken(row, place, value, rows=60, end="\n"):
    """Criteo lines with one value replaced."""
    found = criteo(rows, end=end)
    cells = found[row].rstrip("\r\n").split(",")
    cells[place] = value
    found[row] = ",".join(cells) + end
    return found


HEADER = ",".join(["label", *(f"I{n}" for n in range(1, 14)), *(f"C{n}" for n in range(1, 27))]) + "\n"
CRITEO_FAULTS = [
    ("too few columns", [*criteo(7), "1,2,3\n", *criteo()], r"train\.csv:8: expected 40 columns cut by ',', got 3"),
    ("too many columns", [*criteo(7), criteo(1)[0].rstrip() + ",x\n", *criteo()], r"train\.csv:8: expected 40 columns cut by ',', got 41"),
    ("spaces", [*criteo(7), "   \n", *criteo()], r"train\.csv:8: expected 40 columns cut by ',', got 1"),
    ("after empty lines", [*criteo(7), "\n\r\n", "1,2,3\n", *criteo()], r"train\.csv:10: expected 40 columns"),
    ("text in a number column", broken(41, 5, "abc"), r"train\.csv:42: column I5: expected a number such as 12, .*, got 'abc'"),
    ("Windows line ends", broken(41, 13, "abc", end="\r\n"), r"train\.csv:42: column I13: expected a number"),
    ("infinite", broken(3, 1, "inf"), r"train\.csv:4: column I1: expected a number .*float32, got 'inf'"),
    ("too large", broken(3, 1, "1e39"), r"train\.csv:4: column I1: expected a number .*float32, got '1e39'"),
    ("not a number", broken(3, 1, "nan"), r"train\.csv:4: column I1: expected a number .*float32, got 'nan'"),
    ("long text", broken(3, 1, "x" * 1000), r"got 'x{60}\.\.\.'"),
    (
        "header",
        [HEADER, *criteo()],
        r"train\.csv:1: .*got 'I1' \(a header, where criteo data has none: 'label,I1,I2.*remove the first line",
    ),
    (
        "unknown label",
        broken(9, 0, "yes"),
        r"train\.csv:10: column label \(the label\): expected 0 or 1, got 'yes' \(3 classes found in lines 1 to 60: 0, 1, yes",
    ),
    (
        "three classes",
        broken(9, 0, "2"),
        r"train\.csv:10: .*expected 0 or 1, got '2' \(3 classes found in lines 1 to 60: 0, 1, 2; two are supported\)",
    ),
    ("blank label", broken(9, 0, ""), r"train\.csv:10: column label \(the label\): expected 0 or 1, got nothing"),
    (
        "one class",
        [row for row in criteo() if row.startswith("1")],
        "expected rows of two classes to train, 1 class found: none of 30 rows has the label 0",
    ),
    ("NUL byte", broken(9, 20, "a\0b"), r"train\.csv:10: expected UTF-8 text, got a NUL byte at place \d+ of the line"),
    (
        "not UTF-8",
        "".join(broken(9, 20, "x")).encode().replace(b",x,", b",\xff,"),
        r"train\.csv:10: expected UTF-8 text, got byte 0xff at place \d+",
    ),
    ("empty file", "", r"train\.csv: expected lines of data, got an empty file"),
    ("empty lines only", "\n\n\n", "expected rows to train, got none"),
    ("binary", bytes(range(256)) * 50, r"train\.csv:1: expected UTF-8 text|train\.csv:1: expected text"),
]


@pytest.mark.parametrize(("text", "message"), [fault[1:] for fault in CRITEO_FAULTS], ids=[fault[0] for fault in CRITEO_FAULTS])
def test_a_fault_is_named_by_file_line_and_column(tmp_path, text, message):
    lay(tmp_path, **{"train.csv": text, "eval.csv": criteo(10)})
    with pytest.raises(contract.BadInput, match=message):
        run(tmp_path)
    assert not list(tmp_path.glob("me/model/prepared/[!.]*"))
    assert not list(tmp_path.glob("me/model/prepared/.aside*"))


def test_a_fault_far_into_a_file_has_the_right_line(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "CHUNK_BYTES", 2000)
    lay(tmp_path, **{"train.csv": broken(4321, 3, "abc", rows=5000)})
    with pytest.raises(contract.BadInput, match=r"train\.csv:4322: column I3: .*got 'abc'"):
        run(tmp_path)


TABLE_FAULTS = [
    ("three classes", [*table(), "1,a,maybe\n"], r"column label \(the label\): expected two classes, 3 classes found: maybe, no, yes"),
    ("many classes", ["x,label\n", *(f"1,{n}\n" for n in range(20))], r"20 classes found: 0, 1, 2, 3, 4, \.\.\."),
    ("one class", ["x,label\n", *(["1,a\n"] * 20)], "expected two classes, 1 classes found: a"),
    ("no rows", ["x,label\n"], "0 classes found: no rows"),
    ("blank label", [*table(), "1,a,\n"], r"a\.csv:62: column label \(the label\): expected no or yes, got nothing"),
    ("column count", [*table(), "1,a\n"], r"a\.csv:62: expected 3 columns cut by ',', got 2"),
    ("a quote that is never closed", [*table(), '1,"a,no\n', "2,b,no\n"], r"a\.csv:62: expected 3 columns cut by ',', got 2"),
    ("a carriage return alone", [*table(), "1,a\rb,no\n"], r"a\.csv:62: expected 3 columns cut by ',', got 2"),
    ("a long value", [*table(), f"1,{'x' * 200_000},no\n", "1,a\n"], r"a\.csv:63: expected 3 columns cut by ',', got 2"),
    ("few rows", ["x,label\n", "1,a\n", "2,b\n"], r"expected rows to evaluate, got none; more rows|expected rows of two classes"),
]


@pytest.mark.parametrize(("text", "message"), [fault[1:] for fault in TABLE_FAULTS], ids=[fault[0] for fault in TABLE_FAULTS])
def test_a_fault_in_a_csv_of_ones_own_is_named_too(tmp_path, text, message):
    with pytest.raises(contract.BadInput, match=message):
        run(lay(tmp_path, **{"a.csv": text}), "csv")


def test_text_behind_the_sample_that_made_a_column_a_number_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("steps.models.table.SAMPLE_BYTES", 200)
    with pytest.raises(contract.BadInput, match=r"a\.csv:62: column age: expected a number such as .*, got 'old'"):
        run(lay(tmp_path, **{"a.csv": [*table(), "old,a,no\n"]}), "csv")


def test_lines_are_counted_over_quoted_line_ends(tmp_path):
    text = [*table(), '5,"two\nlines",no\n', '6,"a ""b"", c",yes\n', "7,a,no\n", "x,a,no\n"]
    lay(tmp_path, **{"a.csv": text, "schema.json": json.dumps({"label": "label", "columns": {"age": "number", "plan": "category"}})})
    with pytest.raises(contract.BadInput, match=r"a\.csv:66: column age: expected a number .*got 'x'"):
        run(tmp_path, "csv")


def test_a_csv_of_ones_own_with_quotes_and_missing_values(tmp_path):
    text = [*table(400), '5,"two\nlines, and ""more""",no\n', 'NA,"",yes\n', "?,NA,no\n"]
    folder = run(lay(tmp_path, **{"train.csv": text, "test.csv": text}), "csv")
    schema, rows = schema_of(folder), rows_of(folder / "eval.parquet")
    assert schema["label"] == {"name": "label", "classes": ["no", "yes"]}
    assert schema["columns"] == [{"name": "age", "kind": "number"}, {"name": "plan", "kind": "category"}]
    assert [row["plan"] for row in rows[-3:]] == ['two\nlines, and "more"', "", "NA"]
    assert [math.isnan(row["age"]) for row in rows[-3:]] == [False, True, True]
    with open(folder / "eval.csv", newline="") as file:
        written = list(csv.reader(file))
    assert written[0] == ["label", "age", "plan"]
    assert written[-3:] == [["0", "5", 'two\nlines, and "more"'], ["1", "", ""], ["0", "", "NA"]]


def test_a_schema_file_leaves_columns_out_and_names_the_classes(tmp_path):
    schema = {"label": "churn", "classes": ["yes", "no"], "columns": {"age": "category"}}
    text = ["id,age,churn\n", *(f"{row},{row % 5},{'no' if row % 2 else 'yes'}\n" for row in range(300))]
    folder = run(lay(tmp_path, **{"a.csv": text, "schema.json": json.dumps(schema)}), "csv")
    assert schema_of(folder)["label"] == {"name": "churn", "classes": ["yes", "no"]}
    assert set(rows_of(folder / "train.parquet")[0]) == {"label", "age"}


@pytest.mark.parametrize(
    ("texts", "classes"), [(("10", "9"), ["9", "10"]), (("-1", "1"), ["-1", "1"]), (("true", "false"), ["false", "true"])]
)
def test_found_classes_are_in_the_order_of_numbers_or_the_alphabet(tmp_path, texts, classes):
    text = ["x,label\n", *(f"1,{texts[row % 2]}\n" for row in range(300))]
    assert schema_of(run(lay(tmp_path, **{"a.csv": text}), "csv"))["label"]["classes"] == classes


CENSUS_FAULTS = [
    ("label", CENSUS_ROW + "60K\n", r"adult\.data:3: column income \(the label\): expected <=50K or >50K, got '60K'"),
    ("number", CENSUS_ROW.replace("77516", "many") + ">50K\n", r"adult\.data:3: column fnlwgt: expected a number such as .*got ' many'"),
    ("count", CENSUS_ROW + "White, >50K\n", r"adult\.data:3: expected 15 columns cut by ',', got 16"),
]


@pytest.mark.parametrize(("line", "message"), [fault[1:] for fault in CENSUS_FAULTS], ids=[fault[0] for fault in CENSUS_FAULTS])
def test_a_fault_in_census_data_is_named_too(tmp_path, line, message):
    with pytest.raises(contract.BadInput, match=message):
        run(lay(tmp_path, **{"adult.data": [CENSUS_ROW + "<=50K\n", CENSUS_ROW + ">50K\n", line]}), "census")


@pytest.mark.skipif(not CENSUS.is_dir(), reason=f"the census data, which the project does not contain, is not at {CENSUS}")
def test_the_published_census_data(tmp_path):
    with zipfile.ZipFile(tmp_path / "adult.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for name in ("adult.data", "adult.test"):
            packed.write(CENSUS / name, name)
    got = download.main(download.Settings(tmp_path, "datasets", (tmp_path / "adult.zip").as_uri(), "census", ""))
    folder = tmp_path / prepare.main(prepare.Settings(tmp_path, "me", "model", got.data, "census", 1)).prepared
    schema, rows = schema_of(folder), rows_of(folder / "eval.parquet")
    assert schema["train"] == {"rows": 32561, "class_counts": [24720, 7841]}
    assert schema["eval"] == {"rows": 16281, "class_counts": [12435, 3846]}
    assert schema["source"] == (tmp_path / "adult.zip").as_uri()
    assert rows[0] == {
        "label": 0,
        "age": 25.0,
        "workclass": "Private",
        "fnlwgt": 226802.0,
        "education": "11th",
        "education_num": 7.0,
        "marital_status": "Never-married",
        "occupation": "Machine-op-inspct",
        "relationship": "Own-child",
        "race": "Black",
        "sex": "Male",
        "capital_gain": 0.0,
        "capital_loss": 0.0,
        "hours_per_week": 40.0,
        "native_country": "United-States",
    }
    assert sum(row["workclass"] == "" for row in rows) == 963
    assert (folder / "eval.csv").read_text().splitlines()[1].startswith("0,25,Private,226802,11th,7,")


def test_generated_data_is_called_synthetic(tmp_path):
    got = download.main(download.Settings(tmp_path, "datasets", "generated://criteo?rows=500&seed=1", "criteo", ""))
    folder = tmp_path / prepare.main(prepare.Settings(tmp_path, "me", "model", got.data, "criteo", 1)).prepared
    schema = schema_of(folder)
    assert schema["synthetic"] is True
    assert schema["best_accuracy"] == manifest.read(tmp_path / got.data).best_accuracy
    assert (schema["train"]["rows"], schema["eval"]["rows"]) == (500, 50)


def test_a_second_run_does_nothing_and_other_content_is_another_folder(tmp_path):
    folder = run(lay(tmp_path, **{"a.csv": criteo(400)}))
    before = {path: path.stat().st_mtime_ns for path in [folder, *folder.iterdir()]}
    assert run(tmp_path) == folder
    assert {path: path.stat().st_mtime_ns for path in [folder, *folder.iterdir()]} == before
    assert run(lay(tmp_path, **{"a.csv": criteo(402)})) != folder


@pytest.mark.parametrize("data", ["", "no/such", "data/a.csv"])
def test_data_that_is_not_there_is_named(tmp_path, data):
    lay(tmp_path, **{"a.csv": criteo()})
    with pytest.raises(contract.BadInput, match="DATA: expected the folder of the data"):
        prepare.main(prepare.Settings(tmp_path, "me", "model", data, "criteo", 1))


def command(volume, form="criteo"):
    given = {"NFS_PATH": str(volume), "USER_NAME": "me", "MODEL_NAME": "model", "DATA": "data", "DATA_FORMAT": form, "SEED": "1"}
    return {name: value for name, value in os.environ.items() if name != "OUTPUTS_FOLDER"} | given


def test_the_exit_code_of_bad_data_is_2(tmp_path):
    lay(tmp_path, **{"train.csv": broken(41, 5, "abc")})
    ended = subprocess.run([sys.executable, "-m", "steps.prepare"], env=command(tmp_path), capture_output=True, text=True, check=False)
    assert ended.returncode == contract.BAD_INPUT
    assert "train.csv:42: column I5" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_full_disk_ends_with_2_and_leaves_nothing(tmp_path):
    lay(tmp_path, **{"train.csv": [row.replace("ab", f"{random.Random(n).getrandbits(60):x}") for n, row in enumerate(criteo(4000))]})
    limited = ["bash", "-c", 'ulimit -f 40; exec "$@"', "-", sys.executable, "-m", "steps.prepare"]
    ended = subprocess.run(limited, env=command(tmp_path), capture_output=True, text=True, check=False)
    assert ended.returncode == contract.BAD_INPUT, ended.stderr
    assert "File too large" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert [path.name for path in tmp_path.glob("me/model/prepared/*")] == [".lock"]


def test_killed_at_any_file_operation_it_ends_the_same(tmp_path):
    data = tmp_path / "data"
    lay(tmp_path, **{"a.csv": criteo(300)})
    script = [sys.executable, str(Path(__file__).with_name("kill_everywhere.py")), "steps.prepare", str(tmp_path / "kills")]
    ended = subprocess.run(
        script, env=command(tmp_path) | {"DATA": str(data), "PYTHONPATH": os.getcwd()}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    assert found["wrong"] == []
    assert found["kills"] >= 10
    assert len(found["files"]) == 4


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_at_random_moments_it_ends_the_same(tmp_path, number):
    text = "".join(criteo(120_000))
    expected = contents(run(lay(tmp_path / "whole", **{"train.csv": text})))
    volume, random_ = lay(tmp_path / "killed", **{"train.csv": text}), random.Random(2)
    for _ in range(5):
        with subprocess.Popen([sys.executable, "-m", "steps.prepare"], env=command(volume), stderr=subprocess.DEVNULL) as process:
            try:
                assert process.wait(timeout=random_.uniform(0.2, 1.0)) == 0
            except subprocess.TimeoutExpired:
                process.send_signal(number)
        for folder in volume.glob("me/model/prepared/[!.]*"):
            assert contents(folder) == expected
            shutil.rmtree(folder)
    folder = run(volume)
    assert contents(folder) == expected
    assert {path.name for path in folder.parent.iterdir()} == {".lock", folder.name}


def contents(folder):
    """Every file of a prepared folder, the source's path left out of schema.json."""
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if path.name != "schema.json"}
    return found | {"schema.json": schema_of(folder) | {"source": None}}
