"""Data files as they are published: the columns that they do not name themselves, and how they write things."""

from __future__ import annotations

from dataclasses import dataclass

LABEL = "label"


@dataclass(frozen=True)
class Format:
    """`classes` are the label's texts by class index; `unknown` is how an unknown value is written, beside a blank.

    `trim`: blanks around a value are not part of it. `comment` begins a first line that is no row.
    """

    columns: tuple[str, ...]
    classes: tuple[tuple[str, ...], ...]
    unknown: str | None = None
    trim: bool = False
    comment: str | None = None


FORMATS = {
    # Criteo's display advertising data (Kaggle, and the larger sets): label, 13 counts, 26 hashed categories.
    "criteo": Format(
        columns=(LABEL, *(f"I{number}" for number in range(1, 14)), *(f"C{number}" for number in range(1, 27))),
        classes=(("0",), ("1",)),
    ),
    # The census income data of UCI (Kohavi and Becker): adult.data and adult.test; the latter has a first line that
    # is no row, and a full stop behind each label.
    "census": Format(
        columns=(
            *("age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation", "relationship"),
            *("race", "sex", "capital_gain", "capital_loss", "hours_per_week", "native_country", LABEL),
        ),
        classes=(("<=50K", "<=50K."), (">50K", ">50K.")),
        unknown="?",
        trim=True,
        comment="|",
    ),
}
