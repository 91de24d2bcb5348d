"""The UCI census income data (Kohavi & Becker, 1996) as published: adult.data to train, adult.test to evaluate.

Blanks after the commas, `?` for unknown, no header; adult.test begins with a line of its own and ends each label with a full stop.
"""

from __future__ import annotations

from pathlib import Path

from steps.models.formats import Column, Format, Parts, files, find_parts, tell_unused

COLUMNS = (
    Column("age", "number"),
    Column("workclass", "category"),
    Column("fnlwgt", "number"),
    Column("education", "category"),
    Column("education_num", "number"),
    Column("marital_status", "category"),
    Column("occupation", "category"),
    Column("relationship", "category"),
    Column("race", "category"),
    Column("sex", "category"),
    Column("capital_gain", "number"),
    Column("capital_loss", "number"),
    Column("hours_per_week", "number"),
    Column("native_country", "category"),
)
CENSUS = Format(
    "census",
    (*(column.name for column in COLUMNS), "income"),
    "income",
    ("<=50K", ">50K"),
    COLUMNS,
    blanks=("?",),
    blanks_in=("number", "category"),
    trim=True,
    comment="|",
    label_end=".",
)


def find(folder: Path) -> tuple[Format, Parts]:
    """The format, and the published files wherever they lie in the folder; else files by their names."""
    published = {name: tuple(path for path in files(folder) if path.name == name) for name in ("adult.data", "adult.test")}
    parts = Parts(published["adult.data"], published["adult.test"]) if published["adult.data"] else find_parts(folder)
    tell_unused(folder, parts)
    return CENSUS, parts
