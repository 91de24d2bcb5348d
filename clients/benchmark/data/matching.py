"""Which columns of a file make up which input of the model: by name, all mismatches told at once."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clients.benchmark.data.formats import LABEL
from clients.benchmark.data.kinds import KINDS
from clients.benchmark.data.table import Table
from clients.benchmark.errors import BadInput
from clients.benchmark.model import TensorSpec
from clients.serving.tensors import STRING, Array, type_name

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Input:
    """An input of the model, and the columns that it is made of: one, or one for each value, in row-major order.

    `row_shape` is the shape of one row's values: -1 where any size goes, None where any rank does. `batched`: the
    rows of a request stand along a first dimension of their own; else a request is one row.
    """

    name: str
    dtype: int
    row_shape: Shape | None
    batched: bool
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Matched:
    """The inputs, the column of labels (None for a file without), and what a reader of the result should know of them.

    `whole_only`: the signature has a fixed number of rows, so that a batch that is not full is not taken.
    """

    inputs: tuple[Input, ...]
    label: str | None
    whole_only: bool
    notes: tuple[str, ...]


def match(table: Table, specs: Mapping[str, TensorSpec], label: str | None, shapes: Mapping[str, Shape], batch_size: int) -> Matched:
    """The columns of each input. `label` is the column of labels as asked for; `shapes` are shapes of one row as given.

    Raises BadInput that names every mismatch at once.
    """
    label = _label(table, specs, label)
    others = [name for name in table.columns if name != label or name in specs]
    found: dict[str, tuple[str, ...]] = {}
    missing: list[str] = []
    problems: list[str] = []
    notes: list[str] = []
    for name, spec in specs.items():
        if spec.dtype not in KINDS:
            problems.append(f"input {name} takes {type_name(spec.dtype)}, which no data file gives")
        elif columns := _columns_of(name, others):
            found[name] = columns
        elif table.whole and spec.dtype == STRING and len(specs) == 1:
            found[name] = (table.whole,)
        else:
            missing.append(name)
    if len(specs) == 1 and missing and _takes_all(next(iter(specs.values())), shapes.get(missing[0]), len(others)):
        notes.append(f"the {len(others)} columns of the file are sent in their order as the input {missing[0]}")
        found[missing.pop()] = tuple(others)
    taken = {column for columns in found.values() for column in columns}
    unsent = [name for name in others if name not in taken]
    inputs = []
    peek = _row_shapes(table, specs, found)
    for name, columns in found.items():
        row_shape, batched, why = _shaped(name, specs[name], shapes.get(name), peek[name], batch_size)
        problems += why
        inputs.append(Input(name, specs[name].dtype, row_shape, batched, columns))
    problems = [*_missing(missing, unsent), *problems]
    if problems:
        raise BadInput(f"{table.path}: the columns are not what the model takes: {'; '.join(problems)}{_hint(table, missing, specs)}")
    if unsent and table.whole not in taken:
        notes.append(f"not sent, because the model takes no such input: {', '.join(unsent)}")
    whole_only = any(part.batched and (specs[part.name].shape or (-1,))[0] != -1 for part in inputs)
    return Matched(tuple(inputs), label, whole_only, tuple(notes))


def _label(table: Table, specs: Mapping[str, TensorSpec], asked: str | None) -> str | None:
    if asked is None:
        return LABEL if LABEL in table.columns and LABEL not in specs else None
    if asked not in table.columns:
        near = difflib.get_close_matches(asked, table.columns, 1)
        listed = ", ".join(table.columns[:40]) or "none by name"
        raise BadInput(f"--label: expected a column of {table.path} ({listed}), got {asked!r}{f'; near: {near[0]}' if near else ''}")
    return asked


def _columns_of(name: str, columns: Sequence[str]) -> tuple[str, ...]:
    """The column of this name, or name_0, name_1, ..."""
    if name in columns:
        return (name,)
    known = set(columns)
    parts: list[str] = []
    while f"{name}_{len(parts)}" in known:
        parts.append(f"{name}_{len(parts)}")
    return tuple(parts)


def _takes_all(spec: TensorSpec, given: Shape | None, count: int) -> bool:
    """Whether a model's only input takes as many values in each row as the file has columns."""
    shape = given or (spec.shape or ())[1:]
    return count > 1 and spec.dtype in KINDS and (math.prod(shape) == count if -1 not in shape else len(shape) == 1)


def _missing(missing: list[str], unsent: list[str]) -> list[str]:
    if not missing:
        return []
    near = {name: difflib.get_close_matches(name.lower(), [other.lower() for other in unsent], 1) for name in missing}
    spelt = {other.lower(): other for other in unsent}
    names = [f"{name} (near: {spelt[near[name][0]]})" if near[name] else name for name in missing]
    return [f"missing: {', '.join(names)}", *([f"not taken by the model: {', '.join(unsent)}"] if unsent else [])]


def _hint(table: Table, missing: list[str], specs: Mapping[str, TensorSpec]) -> str:
    if table.names_in_file and len(missing) == len(specs):
        return "; line 1 was taken for the header: for a file without one give --format or --columns"
    return ""


def _row_shapes(table: Table, specs: Mapping[str, TensorSpec], found: Mapping[str, tuple[str, ...]]) -> dict[str, Shape | None]:
    """The shape of one row's values as the file has them; None where that is left to the values.

    Where the signature leaves open whether a batch has a dimension of its own, the first row is looked at.
    """
    peek: dict[str, Shape | None] = {name: (len(columns),) if len(columns) > 1 else None for name, columns in found.items()}
    if table.is_text:
        return {name: shape or () for name, shape in peek.items()}
    open_to_doubt = [name for name in found if (shape := specs[name].shape) and shape[0] != -1 and peek[name] is None]
    if open_to_doubt:
        names = {found[name][0] for name in open_to_doubt}
        for block in table.blocks(names, 1):
            for name in open_to_doubt:
                peek[name] = _shape_of(block.columns[found[name][0]][0])
    return peek


def _shape_of(value: object) -> Shape:
    if isinstance(value, list):
        return (len(value), *(_shape_of(value[0]) if value else ()))
    return tuple(getattr(value, "shape", ()))


def _shaped(name: str, spec: TensorSpec, given: Shape | None, peek: Shape | None, batch_size: int) -> tuple[Shape | None, bool, list[str]]:
    """Shape of one row, whether rows have a dimension of their own, and what is wrong."""
    if spec.shape is None:
        return given, True, []
    batched = _is_batched(spec.shape, peek, batch_size)
    shape = spec.shape[1:] if batched else spec.shape
    if not batched and batch_size > 1:
        what = f"input {name} takes the shape {list(spec.shape)}, without a dimension for the rows of a batch"
        return shape, batched, [f"{what}: a request is one row, -b/--batch_size is {batch_size}, expected 1"]
    if batched and spec.shape[0] not in (-1, batch_size):
        return shape, batched, [f"input {name} takes batches of {spec.shape[0]} rows only, -b/--batch_size is {batch_size}"]
    if given is not None:
        if len(given) != len(shape) or any(size not in (-1, want) for size, want in zip(shape, given, strict=True)):
            return shape, batched, [f"input {name} takes the shape {list(shape)} in each row, --shape gives {list(given)}"]
        shape = given
    if -1 not in shape and peek is not None and math.prod(shape) != math.prod(peek):
        count = f"{'of which each row has' if batched else 'that is'} {math.prod(shape)} values"
        return shape, batched, [f"input {name} takes the shape {list(spec.shape)}, {count}, the file has {math.prod(peek)}"]
    return shape, batched, []


def _is_batched(shape: Shape, peek: Shape | None, batch_size: int) -> bool:
    """Whether the first dimension counts rows: where its size is fixed, the values of one row tell, and -b where they do not."""
    if not shape:
        return False
    if shape[0] == -1:
        return True
    count = None if peek is None else math.prod(peek)
    whole, row = math.prod(shape), math.prod(shape[1:])
    return count == row if count in (whole, row) and whole != row else shape[0] == batch_size


def fitted(array: Array, row_shape: Shape | None) -> Array | None:
    """Values [rows, ...] in the shape that the model takes; None where they do not make it. Flat values are folded, row-major."""
    shape = array.shape[1:]
    if row_shape is None or (len(shape) == len(row_shape) and all(want in (-1, size) for size, want in zip(shape, row_shape, strict=True))):
        return array
    if len(shape) > 1:
        return None
    if not shape or row_shape.count(-1) > 1:
        row_shape = tuple(1 if size == -1 else size for size in row_shape)
    count, known = math.prod(shape), math.prod(size for size in row_shape if size != -1)
    folded = tuple(count // max(1, known) if size == -1 else size for size in row_shape)
    return array.reshape(len(array), *folded) if math.prod(folded) == count else None
