"""Signatures of a SavedModel as data: what a request must bring, what it gets, and whether requests may be merged."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any

from clients.serving import tensors
from steps.serve.errors import ServingError

DEFAULT = "serving_default"

Shape = tuple[int, ...] | None


@dataclass(frozen=True)
class Tensor:
    """An input or output of a signature: its name in the graph, its data type's number, its shape (-1 unknown; None: unknown rank)."""

    name: str
    dtype: int
    shape: Shape


@dataclass(frozen=True)
class Pack:
    """Inputs alike in type and shape, [N, *inner]: they are read and merged as one array [len(aliases), N, *inner]."""

    aliases: tuple[str, ...]
    dtype: int
    inner: tuple[int, ...]


@dataclass(frozen=True)
class Signature:
    """One signature. `packs` hold its inputs in their order; it is empty where requests must not be merged."""

    name: str
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]
    defaults: Mapping[str, Any]
    packs: tuple[Pack, ...]


def read(name: str, definition: Any) -> Signature:
    """A Signature from a SignatureDef message."""
    inputs = dict(sorted(((alias, _tensor(info)) for alias, info in definition.inputs.items()), key=_likeness))
    outputs = {alias: _tensor(info) for alias, info in sorted(definition.outputs.items())}
    packs = _packs(inputs) if _mergeable(inputs, outputs) and not definition.defaults else ()
    return Signature(name, inputs, outputs, dict(definition.defaults), packs)


def find(signatures: Mapping[str, Signature], name: str) -> Signature:
    """A signature by name, the default one for an empty name. Raises ServingError."""
    key = name or DEFAULT
    if key not in signatures:
        raise ServingError("FAILED_PRECONDITION", f'Serving signature key "{key}" not found.')
    return signatures[key]


def check_inputs(signature: Signature, given: Set[str]) -> None:
    """Raise ServingError unless a request brings just the inputs of the signature."""
    expected = signature.inputs.keys()
    if len(given) > len(expected) or (len(given) < len(expected) and not signature.defaults):
        raise ServingError(
            "INVALID_ARGUMENT",
            f"input size does not match signature: {len(given)}!={len(expected)} len({_set(given)}) != len({_set(expected)})."
            f" Sent extra: {_set(given - expected)}. Missing but required: {_set(expected - given)}.",
        )
    for alias in sorted(expected - given - signature.defaults.keys()):
        raise ServingError(
            "INVALID_ARGUMENT",
            f"Signature input alias: {alias}(feed name: {signature.inputs[alias].name}) not found in request and no default value provided."
            f" Inputs expected to be in the request {_set(given)}, or default input alias set: {','.join(sorted(signature.defaults))}",
        )
    if given - expected:
        raise ServingError(
            "INVALID_ARGUMENT",
            "Inputs contains invalid name. Used request inputs:"
            f" {','.join(sorted(given & expected))}, request input: {','.join(sorted(given))}",
        )


def chosen_outputs(signature: Signature, output_filter: Iterable[str]) -> tuple[str, ...]:
    """The outputs that a request asks for, sorted; all for an empty filter. Raises ServingError."""
    seen: set[str] = set()
    for alias in output_filter:
        if alias not in signature.outputs:
            raise ServingError(
                "INVALID_ARGUMENT",
                f"output tensor alias not found in signature: {alias} Outputs expected to be in the set {_set(signature.outputs.keys())}.",
            )
        if alias in seen:
            raise ServingError("INVALID_ARGUMENT", f"duplicate output tensor alias: {alias}")
        seen.add(alias)
    return tuple(sorted(seen or signature.outputs))


def _tensor(info: Any) -> Tensor:
    shape = None if info.tensor_shape.unknown_rank else tuple(dim.size for dim in info.tensor_shape.dim)
    return Tensor(info.name, info.dtype, shape)


def _mergeable(inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> bool:
    """Rows of several requests may go through the model together where every input and output counts rows in its first dimension.

    The other dimensions of an input must be known, or two requests might not fit together.
    """
    return (
        bool(inputs)
        and all(
            tensor.name and tensor.dtype in tensors.KINDS and tensor.shape and tensor.shape[0] == -1 and -1 not in tensor.shape[1:]
            for tensor in inputs.values()
        )
        and all(tensor.shape is None or tensor.shape[:1] == (-1,) for tensor in outputs.values())
    )


def _likeness(item: tuple[str, Tensor]) -> tuple[int, tuple[int, ...], str]:
    """What inputs are ordered by, so that those alike in type and shape stand together."""
    alias, tensor = item
    return tensor.dtype, (tensor.shape or ())[1:], alias


def _packs(inputs: Mapping[str, Tensor]) -> tuple[Pack, ...]:
    groups = itertools.groupby(inputs.items(), key=lambda item: _likeness(item)[:2])
    return tuple(Pack(tuple(alias for alias, _ in members), dtype, inner) for (dtype, inner), members in groups)


def _set(names: Set[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"
