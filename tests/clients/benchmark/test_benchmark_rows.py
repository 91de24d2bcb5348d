"""Data files, good and bad, as the server receives them or the user hears of them."""

import math

import pytest

from clients.benchmark import BadInput, Settings, run
from clients.benchmark.data.formats import FORMATS

CRITEO_INPUTS = {
    **{f"I{number}": ("float", (-1,)) for number in range(1, 14)},
    **{f"C{number}": ("string", (-1,)) for number in range(1, 27)},
}


def send(server, path, rows=2, **settings):
    """One request with the rows of a file."""
    return run(
        Settings(data_file=path, server=server.address, **{"batch_size": rows, "num_iteration": 1, "warm_up_iteration": 0, **settings})
    )


@pytest.mark.parametrize(
    ("content", "x", "c"),
    [
        ("x,c\n1,a\n2.5,b\n", [1, 2.5], [b"a", b"b"]),
        ("c,x\na,1\nb,2.5\n", [1, 2.5], [b"a", b"b"]),
        ("x\tc\n1\ta,b\n2.5\tb\n", [1, 2.5], [b"a,b", b"b"]),
        ("x;c\n1;a,b\n2.5;b\n", [1, 2.5], [b"a,b", b"b"]),
        ("x|c\n1|a\n2.5|b\n", [1, 2.5], [b"a", b"b"]),
        ("x,c\n1,a\n2.5,b", [1, 2.5], [b"a", b"b"]),
        ("x,c\r\n1,a\r\n2.5,b\r\n", [1, 2.5], [b"a", b"b"]),
        ("\ufeffx,c\n1,a\n2.5,b\n", [1, 2.5], [b"a", b"b"]),
        ("x,c\n1,a\n\n2.5,b\n\n", [1, 2.5], [b"a", b"b"]),
        (" x , c\n 1,a\n2.5 , b \n", [1, 2.5], [b"a", b" b "]),
        ('x,c\n1,"a,""b"""\n2.5,"two\nlines"\n', [1, 2.5], [b'a,"b"', b"two\nlines"]),
        ("x,c\n-1e-3,é\n+.5,\u4e2d\n", [-0.001, 0.5], ["é".encode(), "\u4e2d".encode()]),
    ],
)
def test_rows_arrive_as_written(server, data, content, x, c):
    send(server, data(content))
    assert server.rows("x") == pytest.approx(x)
    assert server.rows("c") == c


def test_blanks_are_not_a_number_and_no_text(server, data):
    send(server, data("x,c\n,\n1,\n,a\nnan,b\n"), 4)
    assert [math.isnan(value) for value in server.rows("x")] == [True, False, True, True]
    assert server.rows("c") == [b"", b"", b"a", b"b"]


@pytest.mark.parametrize(
    ("dtype", "written", "received"),
    [
        ("float", ["1.5", "16777217"], [1.5, 16777216.0]),
        ("double", ["0.1", "16777217"], [0.1, 16777217.0]),
        ("half", ["0.5", "-2"], [0.5, -2.0]),
        ("int64", ["-9223372036854775808", "9007199254740993"], [-9223372036854775808, 9007199254740993]),
        ("int32", ["-5", "2147483647"], [-5, 2147483647]),
        ("int8", ["-128", "127"], [-128, 127]),
        ("uint8", ["0", "255"], [0, 255]),
        ("uint64", ["0", "18446744073709551615"], [0, 18446744073709551615]),
        ("bool", ["1", "False"], [True, False]),
        ("string", ["1", "a"], [b"1", b"a"]),
    ],
)
@pytest.mark.parametrize("shape", [(-1,), (-1, 1), None])
def test_each_type_of_input(server, data, dtype, written, received, shape):
    server.inputs = {"x": ("float", (-1,)), "v": (dtype, shape)}
    send(server, data("x,v\n" + "".join(f"1,{text}\n" for text in written)))
    assert server.rows("v") == received
    assert server.received[0]["v"].shape == ((2, 1) if shape == (-1, 1) else (2,))


@pytest.mark.parametrize(
    ("dtype", "text"),
    [
        *((dtype, text) for dtype in ("float", "int32", "bool") for text in ("abc", "1_000", "٣", "--1", " ")),
        *(("float", text) for text in ("1e39", "inf", "1,5")),
        *(("int32", text) for text in ("1.0", "2147483648", "", "nan")),
        ("uint8", "-1"),
        ("uint8", "99999999999999999999999"),
        ("bool", "2"),
    ],
)
def test_a_value_of_the_wrong_type_is_named_by_line_and_column(server, data, dtype, text):
    server.inputs = {"x": ("float", (-1,)), "v": (dtype, (-1,))}
    path = data(f'x,v\n1,1\n2,"{text}"\n3,1\n')
    with pytest.raises(BadInput) as error:
        send(server, path)
    got = repr(text) if text else "a blank"
    assert str(error.value).startswith(f"{path}, line 3, column v: expected ")
    assert str(error.value).endswith(f", got {got}")
    assert server.calls == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "{path}: expected a header and rows, but the file is empty"),
        ("\n\n", "{path}: expected a header and rows, but the file is empty"),
        ("x,c\n", "{path}: expected rows after the header, got none"),
        ("x,c\n1,a\n2\n", "{path}, line 3: expected 2 columns, as in the header, got 1"),
        ("x,c\n1,a\n2,b,3\n", "{path}, line 3: expected 2 columns, as in the header, got 3"),
        ("x,x\n1,1\n", "{path}, line 1: expected a name of its own for each column, got twice: x"),
        ("x,c,\n1,1,\n", "{path}, line 1: expected a name for each column, but column 3 has none"),
        ("x,c\n1,a\n2,b\0b\n", "{path}, line 3: expected text, got a NUL byte (byte 4 of the line)"),
        (b"x,c\n1,a\n2,\xff\n", "{path}, line 3: expected UTF-8 text, got the byte 0xff"),
        ('x,c\n1,a\n2,"b\n3,c\n', "{path}, line 4: expected a CSV row: unexpected end of data"),
        ("x,c\n1,a\n2," + "b" * 200_000 + "\n", "{path}, line 3: expected a CSV row: field larger than field limit (131072)"),
        ("label,x,c\n0,1,a\n,2,b\n", "{path}, line 3, column label: expected a class index: 0, 1, ..., got a blank"),
        ("label,x,c\n0,1,a\n>50K,2,b\n", "{path}, line 3, column label: expected a class index: 0, 1, ..., got '>50K'"),
        ("label,x,c\n0,1,a\n-1,2,b\n", "{path}, line 3, column label: expected a class index: 0, 1, ..., got '-1'"),
    ],
)
def test_a_file_that_is_not_right_is_refused_by_its_line(server, data, content, message):
    path = data(content)
    with pytest.raises(BadInput) as error:
        send(server, path)
    assert str(error.value) == message.format(path=path)
    assert server.calls == 0


@pytest.mark.parametrize(
    ("inputs", "header", "parts"),
    [
        (
            {"age": ("float", (-1,)), "education_num": ("float", (-1,)), "sex": ("string", (-1,))},
            "Age,educationnum,colour",
            ["missing: age (near: Age), education_num (near: educationnum), sex", "not taken by the model: Age, educationnum, colour"],
        ),
        ({"x": ("float", (-1,)), "y": ("float", (-1,))}, "x", ["missing: y"]),
        (
            {"x": ("float", (-1, 7)), "m": ("float", (-1,))},
            "x",
            ["missing: m", "input x takes the shape [-1, 7], of which each row has 7 values"],
        ),
        ({"x": ("bfloat16", (-1,)), "z": ("complex64", (-1,))}, "x,z", ["input x takes bfloat16", "input z takes complex64"]),
        ({"x": ("float", (8,))}, "x", ["input x takes batches of 8 rows only, -b/--batch_size is 2"]),
        ({"x": ("float", ())}, "x", ["input x takes the shape []"]),
        (
            {"x": ("float", (-1,))},
            "1.5,2",
            ["missing: x", "line 1 was taken for the header: for a file without one give --format or --columns"],
        ),
    ],
)
def test_columns_that_do_not_fit_the_model_are_all_named_at_once(server, data, inputs, header, parts):
    server.inputs = inputs
    with pytest.raises(BadInput) as error:
        send(server, data(f"{header}\n{','.join('1' for _ in header.split(','))}\n"))
    for part in parts:
        assert part in str(error.value)


def test_columns_that_the_model_does_not_take_are_not_sent_and_noted(server, data):
    result = send(server, data("id,x,c,when\n7,1,a,now\n"), 1)
    assert set(server.received[0]) == {"x", "c"}
    assert "not sent, because the model takes no such input: id, when" in result.notes


def test_an_input_called_label_is_sent(server, data):
    server.inputs["label"] = ("int64", (-1,))
    result = send(server, data("label,x,c\n5,1,a\n"), 1)
    assert server.rows("label") == [5]
    assert result.accuracy is None


@pytest.mark.parametrize("names", ["label,x,c\n", "label\nx\nc\n", "label\tx\tc", "\ufefflabel,x,c\r\n"])
def test_a_header_in_a_file_of_its_own(server, data, names):
    result = send(server, data("1,2,a\n0,3,b\n"), columns_file=data(names, "header.csv"))
    assert server.rows("x") == [2, 3]
    assert result.accuracy == 0.5


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("", "header.csv: expected the names of columns, but the file is empty"),
        ("x,c,x", "header.csv, line 1: expected a name of its own for each column, got twice: x"),
        ("x,c,d", "eval.csv, line 1: expected 3 columns, as in .*header.csv, got 2"),
    ],
)
def test_a_bad_header_in_a_file_of_its_own(server, data, names, message):
    with pytest.raises(BadInput, match=message):
        send(server, data("1,a\n"), columns_file=data(names, "header.csv"))


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_criteo_as_published(server, data, delimiter):
    server.inputs = CRITEO_INPUTS
    server.classes_of = lambda values: (values["I2"] > 0).astype("int64")
    first = ["0", "", "-1", *["3"] * 11, "", *["68fd1e64"] * 25]
    second = ["1", "7", "12", *[""] * 11, '05"b9d', *[""] * 25]
    result = send(server, data("\n".join(map(delimiter.join, (first, second)))), format="criteo")
    assert math.isnan(server.rows("I1")[0])
    assert server.rows("I2") == [-1, 12]
    assert server.rows("C1") == [b"", b'05"b9d']
    assert result.accuracy == 1.0


@pytest.mark.parametrize(("first", "stop"), [("", ""), ("|1x3 Cross validator\n", ".")], ids=["adult.data", "adult.test"])
def test_census_as_published(server, data, first, stop):
    numbers = ("age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week")
    categories = ("workclass", "education", "marital_status", "occupation", "relationship", "race", "sex", "native_country")
    server.inputs = dict.fromkeys(numbers, ("float", (-1,))) | dict.fromkeys(categories, ("string", (-1,)))
    server.classes_of = lambda values: (values["age"] > 50).astype("int64")
    rows = (
        "39, State-gov, 77516, Bachelors, 13, Never-married, Adm-clerical, Not-in-family, White, Male, 2174, 0, 40, United-States, <=50K",
        "54, ?, 180211, Some-college, 10, Married-civ-spouse, ?, Husband, Asian-Pac-Islander, Male, 0, 0, 60, South, >50K",
    )
    result = send(server, data(f"{first}{rows[0]}{stop}\n{rows[1]}{stop}\n\n"), format="census")
    assert server.rows("age") == [39, 54]
    assert server.rows("workclass") == [b"State-gov", b""]
    assert server.rows("native_country") == [b"United-States", b"South"]
    assert (result.accuracy, result.accuracy_rows) == (1.0, 2)


@pytest.mark.parametrize("known", ["criteo", "census"])
def test_a_header_where_a_format_has_none(server, data, known):
    path = data(",".join(FORMATS[known].columns) + "\n")
    with pytest.raises(BadInput) as error:
        send(server, path, format=known)
    assert str(error.value) == f"{path}, line 1: expected a row, got a header; leave out --format or --columns"


@pytest.mark.parametrize(("known", "label"), [("criteo", "2"), ("census", ">=50K")])
def test_a_label_that_a_format_does_not_have(server, data, known, label):
    columns = FORMATS[known].columns
    server.inputs = {columns[1]: ("string", (-1,))}
    path = data(",".join(label if column == "label" else "1" for column in columns) + "\n")
    with pytest.raises(BadInput, match=rf"line 1, column label: expected one of .*, got '{label}'"):
        send(server, path, format=known)


def test_only_the_rows_that_are_needed_are_read(server, data):
    send(server, data("x,c\n" + "1,a\n" * 6 + "this line,is,bad\n"), batch_size=3, num_iteration=2)
    assert len(server.rows("x")) == 6
