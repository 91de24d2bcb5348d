"""Plain YAML words, as Kubernetes' reader takes them."""

from __future__ import annotations

import pytest

from pipelines.language import evaluate, parser, scalars, types


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[("y", True), ("Off", False), ("true", True), ("", None), ("~", None), ("NULL", None), ("5", 5), ("-3", -3), ("017", 15)],
        *[("0x1F", 31), ("0b11", 3), ("1_000", 1000), ("1.5", 1.5), (".5", 0.5), ("1e3", 1000.0), ("2001-01-01", "2001-01-01")],
        *[("e5", "e5"), ("-e5", "-e5"), ("0x_", "0x_"), ("0b_", "0b_"), ("1:30", "1:30"), ("abc", "abc"), (".", "."), ("+", "+")],
    ],
)
def test_the_value_of_a_word(text: str, value: object) -> None:
    assert scalars.plain(text) == value
    assert type(scalars.plain(text)) is type(value)


def test_a_number_that_is_too_large_is_no_number() -> None:
    with pytest.raises(OverflowError):
        scalars.plain("1e999")


def test_types_know_of_members_only_what_they_are_told() -> None:
    env = evaluate.environment({"inputs.parameters.x": "3"})
    node = parser.parse("inputs.parameters.x")
    assert types.kind(node, env) is None
    assert types.kind(node, env, members={"inputs.parameters.x": "string"}.get) == "string"
