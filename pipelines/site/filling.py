"""Values put into a compiled manifest, as an overlay's replacements would: for a file that is submitted without an overlay."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from pipelines.site.fields import IMAGE, Field, Manifest, fields, find


def fill(manifest: Manifest, values: Mapping[str, str]) -> dict[str, Any]:
    """The manifest with the values of some parameters. Raises KeyError for a parameter that lands in none of its fields."""
    filled: dict[str, Any] = {**deepcopy(dict(manifest)), "metadata": {"name": "", **manifest["metadata"]}}
    landed = [(name, field) for name, field in fields(filled) if name in values]
    for name, field in landed:
        _set(filled, field, values[name])
    for name in values:
        if name not in dict(landed):
            raise KeyError(name)
    pod = filled["spec"]["securityContext"]
    pod["runAsNonRoot"] = pod["runAsUser"] != 0  # who gives USER_ID 0 by name has asked for root
    return {**filled, "metadata": manifest["metadata"]}


def _set(manifest: dict[str, Any], field: Field, value: str) -> None:
    parent, _, key = field.path.rpartition(".")
    holder = find(manifest, parent)
    before = holder[key]
    if field.side is not None:
        sides = before.split(IMAGE)
        sides[field.side] = value
        holder[key] = IMAGE.join(sides)
    else:
        holder[key] = int(value) if isinstance(before, int) else value
