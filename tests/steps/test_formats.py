"""Formats: which files of a folder are read, and what a user's own CSV is taken for."""

import json
import random

import pyarrow as pa
import pytest

from steps import contract
from steps.models import formats
from steps.models.formats import Column, Format
from steps.reading import batches, lines, numbers

CRITEO = ",".join(["1", *["2"] * 13, *["ab"] * 26]) + "\n"
CENSUS = "39, State-gov, 77516, Bachelors, 13, Never-married, Adm-clerical, Not-in-family, White, Male, 2174, 0, 40, United-States, <=50K\n"


def lay(folder, **texts):
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
    return folder


def resolve(folder, name="csv"):
    return formats.resolve(name, folder, folder.parent)


def names(paths):
    return [path.name for path in paths]


@pytest.mark.parametrize(
    ("files", "train", "evaluation"),
    [
        (["a.csv"], ["a.csv"], []),
        (["train.csv"], ["train.csv"], []),
        (["train.csv", "test.csv"], ["train.csv"], ["test.csv"]),
        (["my_train.csv", "my_eval.csv"], ["my_train.csv"], ["my_eval.csv"]),
        (["training.csv", "validation.csv"], ["training.csv"], ["validation.csv"]),
        (["train.csv", "valid.csv", "test.csv"], ["train.csv"], ["valid.csv"]),
        (["churn.csv", "churn.test"], ["churn.csv"], ["churn.test"]),
        (["test.csv"], ["test.csv"], []),
        (["constrained.csv", "latest.csv"], ["constrained.csv", "latest.csv"], []),
        (["part-0001", "part-0000"], ["part-0000", "part-0001"], []),
        (["sub__train.csv", "README.txt", "LICENSE", ".hidden.csv", "__MACOSX__train.csv", "notes.md", "Index"], ["train.csv"], []),
        (["train.csv", "sample_submission.csv"], ["train.csv"], []),
    ],
)
def test_files_are_told_by_their_names(tmp_path, files, train, evaluation):
    folder = lay(tmp_path / "data", **dict.fromkeys(files, "a,label\n1,0\n"))
    _, parts = resolve(folder)
    assert (names(parts.train), names(parts.evaluation)) == (train, evaluation)


def test_a_folder_without_data_files_is_refused(tmp_path):
    folder = lay(tmp_path / "data", **{"data.parquet": "x", "README": "x"})
    with pytest.raises(contract.BadInput, match=r"expected data files .*got README, data\.parquet"):
        resolve(folder)


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_criteo_comes_with_comma_or_tab(tmp_path, delimiter):
    folder = lay(tmp_path / "data", **{"train.txt": CRITEO.replace(",", delimiter)})
    format_, _ = resolve(folder, "criteo")
    assert format_.delimiter == delimiter
    assert [column.name for column in format_.columns] == [*(f"I{n}" for n in range(1, 14)), *(f"C{n}" for n in range(1, 27))]


def test_the_published_test_file_of_criteo_has_no_labels_and_is_left_aside(tmp_path, capsys):
    line = CRITEO.replace(",", "\t")
    folder = lay(tmp_path / "data", **{"train.txt": line, "test.txt": line.partition("\t")[2], "readme.txt": "about"})
    _, parts = resolve(folder, "criteo")
    assert (names(parts.train), names(parts.evaluation)) == (["train.txt"], [])
    assert "test.txt: left aside" in capsys.readouterr().err


def test_census_takes_the_published_files_from_among_the_others(tmp_path):
    files = {
        "adult.data": CENSUS,
        "adult.test": "|1x3 Cross validator\n" + CENSUS,
        "adult.names": "x",
        "Index": "x",
        "old.adult.names": "x",
    }
    _, parts = resolve(lay(tmp_path / "data", **{f"adult__{name}": text for name, text in files.items()}), "census")
    assert (names(parts.train), names(parts.evaluation)) == (["adult.data"], ["adult.test"])


HEADERS = [
    ("age,plan,churn,label\n1,a,b,0\n", "label", [("age", "number"), ("plan", "category"), ("churn", "category")]),
    ("target;age\nyes;1,5\n", "target", [("age", "category")]),
    ("target;age\nyes;1.5\n", "target", [("age", "number")]),
    ("age\tclass\n5\tx\n", "class", [("age", "number")]),
    ('"age","Target"\n"5","x"\n', "Target", [("age", "number")]),
    (
        "a,b,c,d,e,f,label\nNA,nan,,?,1e5,true,0\n1,2,,3,,false,1\n",
        "label",
        [*((n, "number") for n in "ab"), ("c", "category"), *((n, "number") for n in "de"), ("f", "category")],
    ),
    ("\ufeffage,label\n5,1\n", "label", [("age", "number")]),
    ("age,label\r\n5,1\r\n", "label", [("age", "number")]),
]


@pytest.mark.parametrize(("text", "label", "columns"), HEADERS)
def test_a_csv_is_inferred_from_header_and_content(tmp_path, text, label, columns):
    format_, _ = resolve(lay(tmp_path / "data", **{"a.csv": text}))
    assert (format_.label, format_.classes) == (label, None)
    assert [(column.name, column.kind) for column in format_.columns] == columns


BAD_HEADERS = [
    ("age,churn\n5,1\n", r"a\.csv:1: expected a label column called label, target or class, got the columns age, churn; .*schema file"),
    ("5,1\n6,0\n", "expected a label column"),
    ("age,age,label\n", "got 'age' 2 times"),
    ("age,Age,label\n", "differ in more than case"),
    ("age,,label\n", "column ''"),
    ("my age,label\n", "column 'my age': expected names of letters"),
    ("my-age,label\n", "column 'my-age'"),
    ("1st,label\n", "column '1st'"),
    ("_age,label\n", "column '_age'"),
    ("class,label\n", "no word of Python"),
    ("Label,target,label\n", "column 'label': a feature cannot be called so"),
    ("label\n1\n", "at least two columns"),
    ("", "got an empty file"),
    ("\n\n", "at least two columns"),
    ("a\0b,label\n", "a NUL byte at place 2"),
    ("a,label\r1,0\r", "a carriage return alone"),
]


@pytest.mark.parametrize(("text", "message"), BAD_HEADERS)
def test_a_header_that_cannot_be_served_is_refused(tmp_path, text, message):
    with pytest.raises(contract.BadInput, match=message):
        resolve(lay(tmp_path / "data", **{"a.csv": text}))


def test_a_header_in_another_encoding_is_refused(tmp_path):
    lay(tmp_path / "data")
    (tmp_path / "data/a.csv").write_bytes("größe,label\n".encode("latin-1"))
    with pytest.raises(contract.BadInput, match=r"a\.csv:1: expected UTF-8 text, got byte 0xf6 at place 3"):
        resolve(tmp_path / "data")


def test_files_of_one_set_have_one_header(tmp_path):
    folder = lay(tmp_path / "data", **{"train.csv": "a,label\n", "test.csv": "label,a\n"})
    with pytest.raises(contract.BadInput, match=r"test\.csv:1: expected the header of train\.csv, 'a, label', got 'label, a'"):
        resolve(folder)


def test_a_test_file_without_labels_is_left_aside(tmp_path, capsys):
    folder = lay(tmp_path / "data", **{"train.csv": "a,label,b\n1,0,2\n", "test.csv": "a,b\n1,2\n"})
    _, parts = resolve(folder)
    assert (names(parts.train), names(parts.evaluation)) == (["train.csv"], [])
    assert "test.csv: left aside, for it has no column label" in capsys.readouterr().err


SCHEMA = {"label": "churn", "classes": ["no", "yes"], "columns": {"age": "number", "plan": "category"}}


@pytest.mark.parametrize("place", ["beside", "in the data", "on the volume", "absolute"])
def test_a_schema_file_describes_a_csv(tmp_path, place):
    folder = lay(tmp_path / "data", **{"a.csv": "id,churn,plan,age\n7,no,a,1\n"})
    path, name = {
        "beside": (folder / "schema.json", "csv"),
        "in the data": (folder / "my.json", "my.json"),
        "on the volume": (tmp_path / "my.json", "my.json"),
        "absolute": (tmp_path / "elsewhere.json", str(tmp_path / "elsewhere.json")),
    }[place]
    path.write_text(json.dumps(SCHEMA))
    format_, _ = resolve(folder, name)
    assert (format_.label, format_.classes, format_.file_columns) == ("churn", ("no", "yes"), ("id", "churn", "plan", "age"))
    assert format_.columns == (Column("age", "number"), Column("plan", "category"))


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ("{", "expected JSON such as"),
        ("[]", "expected an object, got list"),
        (json.dumps(SCHEMA | {"id": "x"}), "expected label, classes and columns, got id"),
        (json.dumps(SCHEMA | {"label": ""}), "label: expected the name of a column"),
        (json.dumps(SCHEMA | {"classes": "no"}), "classes: expected two texts"),
        (json.dumps(SCHEMA | {"classes": ["a", "b", "c"]}), "3 classes found: a, b, c"),
        (json.dumps(SCHEMA | {"classes": ["a", "a"]}), "1 classes found"),
        (json.dumps(SCHEMA | {"columns": {}}), "columns: expected names with their kinds"),
        (json.dumps(SCHEMA | {"columns": {"age": "float"}}), "columns: age: expected number or category, got 'float'"),
        (json.dumps(SCHEMA | {"columns": {"churn": "number"}}), "churn is the label, and no feature"),
        (json.dumps(SCHEMA | {"columns": {"salary": "number"}}), r"a\.csv:1: expected the column 'salary' that .*schema\.json names"),
        ('{"label": "churn", "columns": {"age": "number", "age": "number"}}', "a name is there twice"),
    ],
)
def test_a_schema_file_with_a_mistake_is_refused(tmp_path, schema, message):
    folder = lay(tmp_path / "data", **{"a.csv": "id,churn,plan,age\n7,no,a,1\n", "schema.json": schema})
    with pytest.raises(contract.BadInput, match=message):
        resolve(folder)


def test_a_schema_file_that_is_not_there_is_named(tmp_path):
    folder = lay(tmp_path / "data", **{"a.csv": "a,label\n"})
    with pytest.raises(contract.BadInput, match=r"DATA_FORMAT: expected a schema file, found none at .*data/my\.json or .*my\.json"):
        resolve(folder, "my.json")


NUMBERS = ["1", "-1", "+1", "1.5", ".5", "5.", " 5 ", "1e5", "1E-5", "1e-60", "3.4028e38", "-0", "007"]
TEXTS = [
    "abc",
    "1_0",
    "0x10",
    "1,5",
    "1d",
    "--1",
    "1e",
    "e5",
    ".",
    "+",
    "1 2",
    "inf",
    "-inf",
    "Infinity",
    "nan",
    "1e39",
    "1e400",
    "٣",
    "5\u00a0",
    "TRUE",
]


def fast(text):
    """Whether the fast reader takes text for a number."""
    format_ = Format("test", ("a", "b"), "b", ("0", "1"), (Column("a", "number"),), delimiter=";")
    try:
        table = batches._table(f"{text};0\n".encode(), format_)
    except (batches._Fault, pa.ArrowInvalid):
        return False
    return table["a"][0].as_py() is not None


@pytest.mark.parametrize("text", NUMBERS + TEXTS)
def test_all_readers_agree_on_what_is_a_number(text):
    assert numbers.is_number(text) == fast(text) == (text in NUMBERS)


def test_all_readers_agree_on_random_texts():
    random_ = random.Random(9)
    for _ in range(3000):
        text = "".join(random_.choice("0123456789+-.eE nax_") for _ in range(random_.randint(1, 6)))
        if text.strip():
            assert numbers.is_number(text) == fast(text), text


def quoted_records(seed):
    random_ = random.Random(seed)
    values = ["", "a", "b c", 'say ""hi""', "x,y", "line\nbreak", "crlf\r\nin", '""']
    for _ in range(400):
        end = random_.choice(["\n", "\r\n"])
        yield (
            ",".join(
                f'"{value}"' if random_.random() < 0.7 or set(value) & set(',"\n\r') else value for value in random_.choices(values, k=3)
            )
            + end
        )


@pytest.mark.parametrize("size", [7, 64, 1000])
def test_chunks_hold_whole_records_and_know_their_lines(tmp_path, monkeypatch, size):
    monkeypatch.setattr(lines, "CHUNK_BYTES", size)
    text = "a,b,label\n" + "".join(quoted_records(size)) + 'last,"one",without end'
    (tmp_path / "a.csv").write_text(text, newline="")
    format_ = Format("csv", ("a", "b", "label"), "label", None, (Column("a", "category"),), header=True, quoted=True)
    starts = {1}
    place = 0
    for record in ["a,b,label\n", *quoted_records(size)]:
        place += len(record)
        starts.add(1 + text.count("\n", 0, place))
    joined = b""
    for chunk in lines.chunks(tmp_path / "a.csv", format_):
        assert chunk.first_line in starts
        assert chunk.first_line == 2 + joined.count(b"\n")
        joined += chunk.data
    assert joined.decode() == text.partition("\n")[2]
