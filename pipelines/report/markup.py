"""HTML that is escaped unless it was made here."""

from __future__ import annotations

import html


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(tag: str, *children: object, **attributes: object) -> Markup:
    """An element. Children that are no Markup are escaped; None among children and attributes is left out.

    Underscores in attribute names stand for dashes, one at the end for none: class_="a", stroke_width=2.
    """
    names = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"' for name, value in attributes.items() if value is not None
    )
    return Markup(f"<{tag}{names}>{join(*children)}</{tag}>")


def join(*children: object) -> Markup:
    """Children one after another, without an element around them."""
    return Markup("".join(child if isinstance(child, Markup) else html.escape(str(child)) for child in children if child is not None))
