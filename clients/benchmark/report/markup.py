"""HTML in which everything is escaped that was not made here."""

from __future__ import annotations

import html


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """An element. Children that are no Markup are escaped, None is left out; class_ and aria_label are class and aria-label."""
    pairs = ((key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items() if value is not None)
    listed = "".join(f' {key}="{html.escape(str(value))}"' for key, value in pairs)
    return Markup(f"<{name}{listed}>{together(*children)}</{name}>")


def together(*children: object) -> Markup:
    """Children side by side."""
    return Markup("".join(child if isinstance(child, Markup) else html.escape(str(child)) for child in children if child is not None))
