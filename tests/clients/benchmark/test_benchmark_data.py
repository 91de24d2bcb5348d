"""Kinds of data files other than CSV, as the server receives their rows; and how each is refused where it is damaged."""

import gzip
import io
import json
import math
import struct

import numpy as np
import pytest

from clients.benchmark import BadInput, Settings, run
from clients.benchmark.data.crc32c import crc32c, masked_crc32c
from clients.serving.messages import Example

# The same two rows in every kind of file: a number, a text, a list of two numbers, and the label.
INPUTS = {"x": ("float", (-1,)), "c": ("string", (-1,)), "v": ("int64", (-1, 2))}
ROWS = [{"x": 1.5, "c": "a", "v": [1, 2], "label": 1}, {"x": -2.0, "c": "é", "v": [3, 4], "label": 0}]
X, C, V = [1.5, -2.0], [b"a", "é".encode()], [1, 2, 3, 4]


def json_lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def example(row):
    message = Example()
    for name, value in row.items():
        values = value if isinstance(value, list) else [value]
        feature = message.features.feature[name]
        if isinstance(values[0], str | bytes):
            feature.bytes_list.value.extend(item.encode() if isinstance(item, str) else item for item in values)
        elif isinstance(values[0], float):
            feature.float_list.value.extend(values)
        else:
            feature.int64_list.value.extend(values)
    return message.SerializeToString()


def records(contents):
    out = b""
    for content in contents:
        length = struct.pack("<Q", len(content))
        out += length + struct.pack("<I", masked_crc32c(length)) + content + struct.pack("<I", masked_crc32c(content))
    return out


def npz(save=np.savez, **arrays):
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def columns(rows=ROWS):
    return {name: np.array([row[name].encode() if isinstance(row[name], str) else row[name] for row in rows]) for name in rows[0]}


def parquet(rows=ROWS):
    import pyarrow
    from pyarrow import parquet

    file = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    return file.getvalue()


def csv(rows=ROWS):
    lines = "".join(f"{row['x']},{row['c']},{row['v'][0]},{row['v'][1]},{row['label']}\n" for row in rows)
    return ("x,c,v_0,v_1,label\n" + lines).encode()


FILES = {
    "eval.csv": csv(),
    "eval.csv.gz": gzip.compress(csv()),
    "eval.jsonl": json_lines(ROWS),
    "eval.json.gz": gzip.compress(json_lines(ROWS)),
    "eval.npz": npz(**columns()),
    "packed.npz": npz(np.savez_compressed, **columns()),
    "eval.tfrecord": records(map(example, ROWS)),
    "eval.tfrecord.gz": gzip.compress(records(map(example, ROWS))),
    "no-suffix-json": b"\n" + json_lines(ROWS),
    "no-suffix-npz": npz(**columns()),
    "no-suffix-records": records(map(example, ROWS)),
    "eval.parquet": parquet(),
}


def send(server, path, rows=2, **settings):
    return run(Settings(path, server.address, **{"batch_size": rows, "num_iteration": 1, "warm_up_iteration": 0, **settings}))


@pytest.mark.parametrize("name", FILES)
def test_the_same_rows_arrive_from_every_kind_of_file(server, data, name):
    server.inputs = INPUTS
    result = send(server, data(FILES[name], name))
    assert server.rows("x") == X
    assert server.rows("c") == C
    assert server.rows("v") == V
    assert server.received[0]["v"].shape == (2, 2)
    assert result.accuracy == 1.0


def test_a_link_to_a_file_works(server, data, tmp_path):
    """A mounted ConfigMap is a link to a file in a folder that is a link."""
    server.inputs = INPUTS
    folder = tmp_path / "..2026"
    folder.mkdir()
    data(FILES["eval.csv"]).rename(folder / "eval.csv")
    (tmp_path / "..data").symlink_to(folder)
    (tmp_path / "eval.csv").symlink_to(tmp_path / "..data" / "eval.csv")
    send(server, tmp_path / "eval.csv")
    assert server.rows("x") == X


def test_blanks_in_typed_files(server, data):
    server.inputs = {"x": ("float", (-1,)), "c": ("string", (-1,))}
    rows = [{"x": None, "c": None}, {"x": 2.5, "c": "b"}]
    for name, content in (("a.jsonl", json_lines(rows)), ("a.parquet", parquet(rows))):
        server.received.clear()
        send(server, data(content, name))
        assert math.isnan(server.rows("x")[0])
        assert server.rows("c") == [b"", b"b"]


@pytest.mark.parametrize(
    ("dtype", "values", "received"),
    [
        ("float", [1, 2.5], [1.0, 2.5]),
        ("float", [True, False], None),
        ("half", [0.5, 1], [0.5, 1.0]),
        ("double", [0.1, 1e300], [0.1, 1e300]),
        ("float", [1.0, 1e39], None),
        ("int64", [2**53 + 1, -5], [2**53 + 1, -5]),
        ("int64", [2.0, 3], [2, 3]),
        ("int32", [1, 2.5], None),
        ("int32", [1, 2**31], None),
        ("int64", [1, 2**63], None),
        ("uint64", [2**64 - 1, 0], [2**64 - 1, 0]),
        ("uint8", [255, -1], None),
        ("int32", [1, None], None),
        ("bool", [True, 0], [True, False]),
        ("bool", [True, 2], None),
        ("string", ["a", {"b64": "AP8="}], [b"a", b"\x00\xff"]),
        ("string", ["a", 5], None),
        ("string", ["a", {"b64": "?"}], None),
        ("float", [1, "2"], None),
    ],
)
def test_values_of_json_become_what_the_model_takes_or_are_named(server, data, dtype, values, received):
    server.inputs = {"v": (dtype, (-1,))}
    server.classes_of = lambda values: np.zeros(2, np.int64)
    path = data(json_lines({"v": value} for value in values), "eval.jsonl")
    if received is None:
        with pytest.raises(BadInput, match=rf"^{path}, line [12], column v: expected .*, got "):
            send(server, path)
    else:
        send(server, path)
        assert server.rows("v") == received


@pytest.mark.parametrize(
    ("dtype", "array", "received"),
    [
        ("float", np.array([1, 2], np.int8), [1.0, 2.0]),
        ("float", np.array([1.5, np.nan], ">f8"), [1.5, pytest.approx(math.nan, nan_ok=True)]),
        ("int32", np.array([1.0, 2.0]), [1, 2]),
        ("int32", np.array([1.0, np.nan]), "row 2, column v: expected a whole number .*no blank.*, got not a number"),
        ("int8", np.array([1, 300]), "row 2, column v: expected .* int8 .*, got 300"),
        ("uint64", np.array([1, -1]), "row 2, column v: .*, got -1"),
        ("int64", np.array([1.0, 2.0**63]), "row 2, column v: .*, got 9.22"),
        ("string", np.array(["a", "é"]), [b"a", "é".encode()]),
        ("string", np.array([1, 2]), "row 1, column v: expected text, got the type int64"),
        ("float", np.array(["1", "2"]), "row 1, column v: expected a number .*, got the type <U1"),
        ("bool", np.array([1, 0], np.uint8), [True, False]),
        ("float", np.array([1 + 2j, 0]), "row 1, column v: .*, got the type complex128"),
    ],
)
def test_arrays_become_what_the_model_takes_or_are_named(server, data, dtype, array, received):
    server.inputs = {"v": (dtype, (-1,))}
    server.classes_of = lambda values: np.zeros(2, np.int64)
    for path in (data(npz(v=array), "eval.npz"), data(npy(array), "eval.npy")):
        server.received.clear()
        if isinstance(received, str):
            with pytest.raises(BadInput, match=rf"^{path}, {received}"):
                send(server, path)
        else:
            send(server, path)
            assert server.rows("v") == received


@pytest.mark.parametrize(
    ("shape", "rows", "sent"),
    [
        ((-1, 2, 3), np.arange(24.0).reshape(4, 2, 3), (4, 2, 3)),
        ((-1, 2, 3), np.arange(24.0).reshape(4, 6), (4, 2, 3)),
        ((-1, -1, 3), np.arange(24.0).reshape(4, 6), (4, 2, 3)),
        ((-1, -1), np.arange(4.0), (4, 1)),
        ((-1, -1), np.arange(8.0).reshape(4, 2), (4, 2)),
        (None, np.arange(8.0).reshape(4, 2), (4, 2)),
        ((4, 2), np.arange(8.0).reshape(4, 2), (4, 2)),
        ((-1,), np.asfortranarray(np.arange(4.0).reshape(4, 1)), (4,)),
        ((-1, 2), np.asfortranarray(np.arange(8.0).reshape(4, 2)), (4, 2)),
        ((-1, 2), np.arange(12.0).reshape(4, 3), "expected values of the shape [2], got [3]"),
        ((-1, 2, 2), np.arange(16.0).reshape(4, 1, 4), "expected values of the shape [2, 2], got [1, 4]"),
        ((-1, 2), np.arange(4.0), "expected values of the shape [2], got a single value"),
        ((), np.arange(4.0), "a request is one row, -b/--batch_size is 4, expected 1"),
    ],
)
def test_shapes_of_inputs(server, data, shape, rows, sent):
    server.inputs = {"x": ("float", shape)}
    server.classes_of = lambda values: np.zeros(4, np.int64)
    path = data(npy(rows), "eval.npy")
    if isinstance(sent, str):
        with pytest.raises(BadInput) as error:
            send(server, path, 4)
        assert sent in str(error.value)
    else:
        send(server, path, 4)
        assert server.received[0]["x"].shape == sent
        assert server.rows("x") == rows.ravel().tolist()


@pytest.mark.parametrize("shape", [(), (3,), (2, 2)])
def test_a_signature_without_a_batch_dimension_takes_one_row_in_a_request(server, data, shape):
    server.inputs = {"x": ("float", shape), "c": ("string", (-1,))}
    server.classes_of = lambda values: np.zeros(1, np.int64)
    rows = np.arange(2.0 * math.prod(shape)).reshape(2, *shape)
    send(server, data(npz(x=rows, c=np.array([b"a", b"b"])), "eval.npz"), 1, num_iteration=2)
    assert [values["x"].shape for values in server.received] == [shape, shape]
    assert server.rows("x") == rows.ravel().tolist()
    assert [values["c"].shape for values in server.received] == [(1,), (1,)]


def test_a_signature_of_fixed_batches_gets_no_batch_that_is_not_full(server, data):
    server.inputs = {"x": ("float", (4,))}
    send(server, data("x\n" + "1\n" * 10), 4, num_iteration=3)
    assert [len(values["x"]) for values in server.received] == [4, 4, 4]


def test_columns_of_any_name_make_up_a_single_input(server, data):
    server.inputs = {"image": ("float", (-1, 2, 2))}
    server.classes_of = lambda values: np.zeros(2, np.int64)
    result = send(server, data("label,1x1,1x2,2x1,2x2\n0,1,2,3,4\n0,5,6,7,8\n"))
    assert server.rows("image") == [1, 2, 3, 4, 5, 6, 7, 8]
    assert server.received[0]["image"].shape == (2, 2, 2)
    assert "the 4 columns of the file are sent in their order as the input image" in result.notes
    assert result.accuracy == 1.0


def test_values_that_are_not_as_many_as_the_input_takes(server, data):
    server.inputs = {"v": ("float", (-1, 3)), "x": ("float", (-1,))}
    with pytest.raises(BadInput, match=r"input v takes the shape \[-1, 3\], of which each row has 3 values, the file has 2$"):
        send(server, data("x,v_0,v_1\n1,2,3\n4,5,6\n"))


def test_lists_of_differing_lengths_are_sent_alone(server, data):
    server.inputs = {"v": ("int64", (-1, -1))}
    server.classes_of = lambda values: np.zeros(1, np.int64)
    path = data(json_lines({"v": [1] * length} for length in (1, 2, 2, 3)), "eval.jsonl")
    send(server, path, 1, num_iteration=4)
    assert [values["v"].shape for values in server.received] == [(1, 1), (1, 2), (1, 2), (1, 3)]
    with pytest.raises(BadInput, match=r"line 2, column v: expected 1 values, as in the row before .*, got 2 values"):
        send(server, path, 2)


def test_whole_records_for_a_model_that_parses_them_itself(server, data):
    server.inputs = {"examples": ("string", (-1,))}
    server.classes_of = lambda values: np.array([1, 0])
    contents = list(map(example, ROWS))
    result = send(server, data(records(contents), "eval.tfrecord"))
    assert server.rows("examples") == contents
    assert result.accuracy == 1.0


def test_the_label_is_named(server, data):
    result = send(server, data("y,x,c\n1,1,a\n0,-1,b\n"), label="y")
    assert result.accuracy == 1.0
    with pytest.raises(BadInput, match=r"--label: expected a column of .* \(target, x, c\), got 'tarket'; near: target"):
        send(server, data("target,x,c\n1,1,a\n0,-1,b\n"), label="tarket")


def damaged(content, place=-10):
    out = bytearray(content)
    out[place] ^= 0xFF
    return bytes(out)


def with_objects():
    return npz(x=np.array([1.0, 2.0]), c=np.array(["a", "b"], object))


BAD = {
    "empty.jsonl": (b"", "expected rows (JSON lines), but the file is empty"),
    "blank.jsonl": (b"\n \n", "expected rows, one JSON object in each line, but the file is empty"),
    "list.jsonl": (b'[{"x": 1}]', "line 1: expected one JSON object ({...}), got '[{\"x\": 1}]'"),
    "broken.jsonl": (b'{"x": 1, "c": "a"}\n{"x": 2', "line 2: expected one JSON object, got '{\"x\": 2': "),
    "keys.jsonl": (
        b'{"x": 1, "c": "a"}\n{"x": 2, "d": "b"}\n',
        "line 2: expected the keys of the first line, missing: c; not in the first: d",
    ),
    "deep.jsonl": (b'{"x": ' + b"[" * 100_000, "line 1: expected one JSON object, got "),
    "empty.npz": (b"", "expected rows (NPY or NPZ), but the file is empty"),
    "cut.npz": (npz(x=np.ones(2), c=np.array([b"a", b"b"]))[:-30], "expected a whole NPZ file, but it is damaged: "),
    "crc.npz": (damaged(npz(x=np.ones(2), c=np.array([b"a", b"b"])), 140), "is damaged"),
    "objects.npz": (with_objects(), "array c: expected numbers or text of fixed width, got pickled Python objects"),
    "lengths.npz": (npz(x=np.ones(2), c=np.array([b"a"])), "expected arrays of one number of rows (their first axis), got x 2, c 1"),
    "single.npz": (npz(x=np.float32(1), c=np.array([b"a"])), "array x: expected an array of rows (its first axis), got a single value"),
    "one.npy": (npy(np.ones(2)), "expected arrays by name (NPZ), because the model has several inputs, got one array (NPY)"),
    "cut.parquet": (FILES["eval.parquet"][:-20], "expected a whole Parquet file, but it cannot be read: "),
    "text.parquet": (b"PAR1 is no Parquet", "expected a whole Parquet file, but it cannot be read: "),
    "empty.parquet": (b"", "expected rows (Parquet), but the file is empty"),
    "empty.tfrecord": (b"", "expected rows (TFRecord), but the file is empty"),
    "text.tfrecord": (
        b"x,c\n1,a\n2,b\n",
        "record 1 (at byte 0): the checksum of its length is wrong: ",
    ),
    "cut.tfrecord": (FILES["eval.tfrecord"][:-3], "record 2 (at byte "),
    "head.tfrecord": (FILES["eval.tfrecord"] + b"\0\0", "expected 12 bytes of length and checksum, got 2: the file is cut off"),
    "crc.tfrecord": (damaged(FILES["eval.tfrecord"]), "bytes is wrong: the file is damaged; copy or write it anew"),
    "features.tfrecord": (
        records([example(ROWS[0]), example({"x": 1.0})]),
        "record 2: expected the features of the first record, missing: c",
    ),
    "cut.csv.gz": (gzip.compress(csv() * 100)[:-40], "expected a whole gzip file, but it is damaged: "),
    "crc.csv.gz": (damaged(gzip.compress(b"x,c\n1,a\n2,b\n"), -6), "expected a whole gzip file, but it is damaged: "),
    "header.csv.gz": (gzip.compress(b"x,c\n"), "expected rows after the header, got none"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_damaged_is_refused_in_one_line(server, data, name):
    content, message = BAD[name]
    path = data(content, name)
    with pytest.raises(BadInput) as error:
        send(server, path, 1, num_iteration=5)
    assert str(error.value).startswith(str(path))
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert server.calls == 0


def test_a_cut_array_is_refused_before_anything_is_sent(server, data):
    server.inputs = {"x": ("float", (-1,))}
    path = data(npy(np.ones(1000))[:-8], "eval.npy")
    with pytest.raises(BadInput, match=rf"^{path}, array x: expected 1000 rows, but the file ends before; copy or write it anew$"):
        send(server, path, 10, num_iteration=1000)


def test_parquet_without_pyarrow_names_the_package(server, data, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(BadInput, match=r"reading Parquet needs the package pyarrow: pip install pyarrow$"):
        send(server, data(FILES["eval.parquet"], "eval.parquet"))


@pytest.mark.parametrize("flag", ["columns_file", "format"])
def test_a_file_that_names_its_columns_takes_no_names(server, data, flag):
    path = data(FILES["eval.jsonl"], "eval.jsonl")
    with pytest.raises(BadInput, match=r"^--(columns|format): expected with a CSV file only, got .*, which is JSON lines$"):
        send(server, path, **{flag: data("x,c\n", "header.csv") if flag == "columns_file" else "criteo"})


@pytest.mark.parametrize(
    ("content", "checksum"),
    [(b"", 0), (b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (bytes(range(32)), 0x46DD794E)],
)
def test_checksums_are_those_of_the_standard(content, checksum):
    """The check value of CRC-32C, and the examples of RFC 3720, appendix B.4."""
    assert crc32c(content) == checksum


@pytest.mark.parametrize("size", [15, 16, 17, 2047, 2048, 2049, 2063, 2064, 5000])
def test_checksums_of_long_content_are_those_of_its_bytes_one_by_one(size):
    content = np.random.default_rng(size).integers(0, 256, size, np.uint8).tobytes()
    state = 0xFFFFFFFF
    for byte in content:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)
    assert crc32c(content) == state ^ 0xFFFFFFFF


def test_generated_rows(server):
    server.inputs = {"x": ("float", (-1,)), "c": ("string", (-1,)), "n": ("int32", (-1, -1)), "b": ("bool", (-1, 2)), "r": ("half", None)}
    server.classes_of = lambda values: np.zeros(3, np.int64)
    how = {"generate": True, "shapes": {"n": (4,), "r": (2, 2)}, "num_iteration": 2}
    result = send(server, None, 3, **how)
    first = {name: server.rows(name) for name in server.inputs}
    assert server.received[0]["n"].shape == (3, 4)
    assert server.received[0]["r"].shape == (3, 2, 2)
    assert all(0 <= value < 1 for value in first["x"])
    assert set(first["n"]) <= set(range(10))
    assert all(len(word) == 8 for word in first["c"])
    assert "the rows were generated from the signature (--seed 0)" in result.notes
    for seed, same in ((0, True), (1, False)):
        server.received.clear()
        send(server, None, 3, seed=seed, **how)
        assert (first == {name: server.rows(name) for name in server.inputs}) is same


def test_generated_rows_need_the_shapes_that_the_signature_leaves_open(server):
    server.inputs = {"x": ("float", (-1, -1, 3)), "y": ("float", None), "z": ("float", (-1,))}
    with pytest.raises(BadInput) as error:
        send(server, None, 3, generate=True)
    assert str(error.value) == (
        "rows cannot be generated: input x takes the shape [-1, 3] in each row: give --shape x=8,3; "
        "input y takes any shape in each row: give --shape y=8"
    )
    with pytest.raises(BadInput, match=r"input x takes the shape \[-1, 3\] in each row, --shape gives \[3, 4\]"):
        send(server, None, 3, generate=True, shapes={"x": (3, 4), "y": (1,)})


@pytest.mark.parametrize(
    ("labels", "result"),
    [
        (np.array([1, 0]), 1.0),
        (np.array([[1], [0]]), 1.0),
        (np.array([1.0, 0.0]), 1.0),
        (np.array([True, False]), 1.0),
        (np.array([[0, 1], [1, 0]]), "row 1, column label: expected one label for each row, got values of the shape [2]"),
        (np.array([1, -1]), "row 2, column label: expected a class index: 0, 1, ..., got -1"),
        (np.array([1, 0.5]), "row 2, column label: expected a class index: 0, 1, ..., got 0.5"),
    ],
)
def test_labels_of_arrays(server, data, labels, result):
    path = data(npz(x=np.array([1.0, -1.0]), c=np.array([b"a", b"b"]), label=labels), "eval.npz")
    if isinstance(result, str):
        with pytest.raises(BadInput) as error:
            send(server, path)
        assert str(error.value) == f"{path}, {result}"
    else:
        assert send(server, path).accuracy == result


def test_a_blank_label_beside_real_numbers(server, data):
    server.outputs = {"predictions": ("float", (-1,))}
    path = data("label,x,c\n1.5,1,a\n,2,b\n")
    with pytest.raises(BadInput, match=rf"^{path}, line 3, column label: expected a class index, or a number, got a blank or NaN$"):
        send(server, path)


def test_answers_cannot_be_recorded_where_no_folder_is(server, data, tmp_path):
    path = data(FILES["eval.csv"])
    server.inputs = INPUTS
    with pytest.raises(BadInput, match=r"^--save-answers: expected a file that can be written in a folder that exists, got "):
        send(server, path, save_answers=tmp_path / "none" / "answers.npz")
    assert server.calls == 0
