"""Requests, built before the clock starts: the rows cut into batches, in their order, each row in one of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from clients.benchmark.data.encoding import Encoder, Tensor
from clients.benchmark.data.formats import Format
from clients.benchmark.data.kinds import KINDS, Kind, Uneven, Unfit, convert
from clients.benchmark.data.matching import Input, Matched, fitted, match
from clients.benchmark.data.opening import open_table
from clients.benchmark.data.spool import Building, Spool
from clients.benchmark.data.table import Block, Table
from clients.benchmark.errors import BadInput
from clients.benchmark.judging.outputs import means_classes
from clients.benchmark.model import Model
from clients.benchmark.progress import unheard
from clients.benchmark.settings import Settings
from clients.serving.messages import DATA_TYPES
from clients.serving.tensors import Array

# More distinct requests of generated rows say nothing more.
_GENERATED = 1000
_LABELS = " labels"


@dataclass(frozen=True)
class Target:
    """What requests are addressed to: a model, one of its signatures, and a version where it is not the server's to choose."""

    model: str
    signature: str
    version: int | None


@dataclass(frozen=True)
class Requests:
    """The distinct requests of a run: encoded PredictRequests, their rows, and what a reader of the result should know of them.

    The place of a request is its index in `bodies`, or in `spool` where they do not all fit the memory. `rows` (int64 [N])
    counts the rows of each, `first_rows` (int64 [N]) says where they begin in the data. `labels` are those of all rows,
    class indices or real numbers [rows], None for data without. To be closed.
    """

    bodies: Sequence[bytes]
    rows: Array
    labels: Array | None
    notes: tuple[str, ...]
    spool: Spool | None = None

    @cached_property
    def first_rows(self) -> Array:
        """The index of the first row of each request, int64 [N]."""
        return np.cumsum(self.rows) - self.rows

    def close(self) -> None:
        """Give up the file of those that do not fit the memory."""
        if self.spool is not None:
            self.spool.close()


def prepare(settings: Settings, model: Model, read: Callable[[int], None] = unheard) -> Requests:
    """Read and encode the rows that a run needs; what does not fit the memory goes into a file. `read` hears how many were read.

    The last batch is as short as what is left of the rows. Raises BadInput where columns, rows or values are not what
    the model takes, or there are fewer rows than one batch.
    """
    single = next(iter(model.inputs)) if len(model.inputs) == 1 else None
    if settings.data_file is None:
        from clients.benchmark.data.generated import generate

        table: Table = generate(model.inputs, settings.shapes, settings.batch_size, settings.seed)
    else:
        table = open_table(settings.data_file, settings.columns_file, settings.format, single)
    matched = match(table, model.inputs, settings.label, settings.shapes, settings.batch_size)
    return _build(table, matched, settings, model, read)


def _build(table: Table, matched: Matched, settings: Settings, model: Model, read: Callable[[int], None]) -> Requests:
    label_kind = _label_kind(table.format, means_classes(model.outputs, settings.output))
    target = Target(settings.model, settings.signature, settings.model_version)
    rows: list[int] = []
    labels: list[Array] = []
    done = 0
    with Building(settings.memory_mib << 20) as building:
        for part in _encoded(table, matched, target, settings.batch_size, _most_rows(settings), label_kind):
            building.add(part.bodies)
            rows += part.rows
            done += sum(part.rows)
            read(done)
            if part.labels is not None:
                labels.append(_compact(part.labels))
        spool = building.spool()
    if not rows:
        raise BadInput(f"{table.path}: expected rows{' after the header' if table.names_in_file else ''}, got none")
    if rows[0] < settings.batch_size:
        raise BadInput(f"-b/--batch_size: expected {rows[0]:,} at most, the rows of {table.path}, got {settings.batch_size:,}")
    return Requests(
        building.bodies,
        np.array(rows, np.int64),
        np.concatenate(labels) if labels else None,
        (*matched.notes, *_notes(settings, spool, len(rows))),
        spool,
    )


def _notes(settings: Settings, spool: Spool | None, count: int) -> list[str]:
    found = []
    if spool is not None:
        beyond = f"{count - spool.resident:,} of {count:,} distinct requests"
        found.append(f"{beyond} do not fit --memory, {settings.memory_mib:,} MiB: they were read from disk during the run")
    if settings.data_file is None:
        found.append(f"the rows were generated from the signature (--seed {settings.seed})")
    return found


def _compact(labels: Array) -> Array:
    """The same in as few bytes as hold class indices: those of all rows are kept."""
    if labels.dtype.kind not in "iu" or labels.min(initial=0) < 0:
        return labels
    return labels.astype(np.min_scalar_type(int(labels.max(initial=0))))


def _most_rows(settings: Settings) -> int:
    """How many rows a run can use: those of its requests, where their number is known; of generated ones, which have no end, some."""
    wanted = settings.calls
    if settings.data_file is None:
        wanted = min(wanted or _GENERATED, _GENERATED)
    return sys.maxsize if wanted is None else min(settings.batch_size * wanted, sys.maxsize)


@dataclass(frozen=True)
class Part:
    """Some requests, one after another: their bodies, rows and labels [rows]."""

    bodies: list[bytes]
    rows: list[int]
    labels: Array | None


def _encoded(table: Table, matched: Matched, target: Target, batch_size: int, limit: int, label_kind: Kind) -> Iterator[Part]:
    encoders: dict[tuple[tuple[int, ...], ...], Encoder] = {}
    for values in _batches(_converted(table, matched, limit, batch_size == 1, label_kind), batch_size):
        labels = values.pop(_LABELS, None)
        count = len(next(iter(values.values())))
        size = min(batch_size, count)
        if size < batch_size and matched.whole_only:
            continue
        shapes = tuple(
            (size, *array.shape[1:]) if part.batched else array.shape[1:]
            for part, array in zip(matched.inputs, values.values(), strict=True)
        )
        if shapes not in encoders:
            tensors = [Tensor(part.name, part.dtype, shape) for part, shape in zip(matched.inputs, shapes, strict=True)]
            encoders[shapes] = Encoder(target.model, target.signature, target.version, tensors)
        yield Part(encoders[shapes].encode(values, count // size), [size] * (count // size), labels)


def _batches(blocks: Iterator[dict[str, Array]], batch_size: int) -> Iterator[dict[str, Array]]:
    """The same rows in blocks that are whole batches, but for what is left at the end, which follows alone."""
    held: list[dict[str, Array]] = []
    count = 0
    for block in blocks:
        held.append(block)
        count += len(next(iter(block.values())))
        if count >= batch_size:
            joined = _joined(held)
            whole = count - count % batch_size
            yield {name: array[:whole] for name, array in joined.items()}
            held = [{name: array[whole:] for name, array in joined.items()}] if whole < count else []
            count -= whole
    if count:
        yield _joined(held)


def _joined(blocks: list[dict[str, Array]]) -> dict[str, Array]:
    for name, array in blocks[0].items():
        for block in blocks[1:]:
            if block[name].shape[1:] != array.shape[1:]:
                got = f"{list(array.shape[1:])} and {list(block[name].shape[1:])}"
                raise BadInput(f"input {name}: expected values of one shape in the rows of a batch, got {got}; pad them, or send -b 1")
    return blocks[0] if len(blocks) == 1 else {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def _converted(table: Table, matched: Matched, limit: int, alone: bool, label_kind: Kind) -> Iterator[dict[str, Array]]:
    """The values of each input, and the labels, of some rows at a time: arrays [rows, ...], where all rows have values of one shape."""
    names = dict.fromkeys(column for part in matched.inputs for column in part.columns)
    if matched.label is not None:
        names[matched.label] = None
    for block in table.blocks(tuple(names), limit):
        yield from _alike(table, block, matched, alone, label_kind)


def _alike(table: Table, block: Block, matched: Matched, alone: bool, label_kind: Kind) -> Iterator[dict[str, Array]]:
    """The values of a block, which is parted where each row is sent alone and rows differ in length."""
    try:
        values = {part.name: _values_of(table, block, part) for part in matched.inputs}
        if matched.label is not None:
            values[_LABELS] = _labels(table, block, matched.label, label_kind)
    except _Uneven:
        if not alone or block.rows == 1:
            raise
        half = block.rows // 2
        yield from _alike(table, block.part(0, half), matched, alone, label_kind)
        yield from _alike(table, block.part(half, block.rows), matched, alone, label_kind)
    else:
        yield values


class _Uneven(BadInput):
    """Rows whose values differ in shape."""


def _values_of(table: Table, block: Block, part: Input) -> Array:
    """The values of an input: [rows, ...], in the shape that the model takes."""
    unknown = table.format.unknown if table.format else None
    arrays = [_column(table, block, name, KINDS[part.dtype], unknown) for name in part.columns]
    array = arrays[0] if len(arrays) == 1 else np.stack(arrays, axis=1)
    shaped = fitted(array, part.row_shape)
    if shaped is None:
        got = list(array.shape[1:])
        where = f"{table.path}, {block.place(0)}, column {part.columns[0]}"
        raise BadInput(f"{where}: expected values of the shape {list(part.row_shape or ())}, got {got or 'a single value'}")
    return shaped


def _column(table: Table, block: Block, name: str, kind: Kind, unknown: str | None) -> Array:
    values = block.columns[name]
    if unknown is not None:
        values = ["" if text == unknown else text for text in values]
    try:
        return convert(kind, values, table.is_text)
    except Unfit as error:
        where = f"{table.path}, {block.place(error.row)}, column {name}"
        kind_of_error = _Uneven if isinstance(error, Uneven) else BadInput
        raise kind_of_error(f"{where}: expected {error.expected or kind.expected}, got {error.got}") from None


def _labels(table: Table, block: Block, name: str, kind: Kind) -> Array:
    """One label for each row, [rows]."""
    labels = _column(table, block, name, kind, None)
    if labels.size != block.rows:
        where = f"{table.path}, {block.place(0)}, column {name}"
        raise BadInput(f"{where}: expected one label for each row, got values of the shape {list(labels.shape[1:])}")
    labels = labels.reshape(-1)
    if labels.dtype.kind == "f" and np.isnan(labels).any():
        row = int(np.flatnonzero(np.isnan(labels))[0])
        raise BadInput(f"{table.path}, {block.place(row)}, column {name}: expected {kind.expected}, got a blank or NaN")
    return labels


def _label_kind(known: Format | None, classes: bool) -> Kind:
    if known is not None:
        index_of = {text: index for index, texts in enumerate(known.classes) for text in texts}

        def convert_classes(texts: Sequence[str]) -> Array:
            try:
                return np.array([index_of[text] for text in texts], np.int64)
            except KeyError:
                raise ValueError from None

        return Kind(f"one of {', '.join(index_of)}", np.dtype(np.int64), convert_classes)
    if classes:
        return Kind("a class index: 0, 1, ...", np.dtype("<u4"), _class_indices)
    return replace(KINDS[DATA_TYPES["DT_DOUBLE"]], expected="a class index, or a number")


def _class_indices(texts: Sequence[str]) -> Array:
    if not all(text.isascii() and text.isdecimal() for text in texts):
        raise ValueError
    return np.array(list(map(int, texts)), "<u4")
