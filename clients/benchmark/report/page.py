"""One HTML file that needs nothing else: of a run, of a sweep or search, of a comparison."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from clients.benchmark.report import run_charts, serving
from clients.benchmark.report.markup import Markup, tag, together
from clients.benchmark.report.style import STYLE
from clients.benchmark.report.words import between, figure, ms

Json = dict[str, Any]


def as_html(record: Json) -> str:
    """The page of a record, whatever it is of."""
    if record["kind"] != "run":
        from clients.benchmark.report.sweep_page import as_html as of_many

        return of_many(record)
    return page(f"{record['model']} at {record['server']}", [_head(record), *_run(record)])


def page(title: str, content: Iterable[Markup | None]) -> str:
    """A whole page."""
    head = together(
        Markup('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup('<meta name="color-scheme" content="light dark">'),
        tag("title", title),
        tag("style", Markup(STYLE)),
    )
    body = tag("main", tag("h1", title), *content)
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>{body}</body></html>\n'


def when(record: Json) -> str:
    """When a run was measured."""
    return f"{record['started'][:19].replace('T', ' ')} UTC"


def section(title: str, *content: Markup | None) -> Markup:
    """A part of the page."""
    return tag("section", tag("h2", title), *content)


def table(head: Sequence[str], rows: Iterable[Sequence[object]], kind: str | None = None) -> Markup:
    """A table that scrolls by itself where the page is narrow."""
    body = [tag("tr", tag("th", row[0], scope="row"), *(tag("td", cell) for cell in row[1:])) for row in rows]
    top = tag("thead", tag("tr", *(tag("th", name, scope="col") for name in head))) if any(head) else None
    return tag("div", tag("table", top, tag("tbody", *body), class_=kind), class_="scroll")


def notices(record: Json) -> Iterator[Markup]:
    """What keeps the figures from being trusted, first."""
    if record["warnings"]:
        yield tag("p", tag("b", "Not to be trusted: "), "; ".join(record["warnings"]), class_="notice bad")
    for drift in record["drift"]:
        if not drift["steady"]:
            went = f"{drift['name']} went from {figure(drift['first'])} in the first half to {figure(drift['second'])} in the second"
            yield tag("p", tag("b", "Not steady: "), f"{went} (chance makes such a trend with p = {drift['p_value']:.2g})", class_="notice")


def _head(record: Json) -> Markup:
    version = "" if record["version"] is None else f", version {record['version']}"
    said = f"{record['load']}, batch size {record['batch_size']:,}, signature {record['signature']}{version}; {when(record)}"
    return tag("p", said, class_="lead")


def _run(record: Json) -> Iterator[Markup | None]:
    yield from notices(record)
    yield tag("div", *_tiles(record), class_="tiles")
    if record["requirements"]:
        words = {True: "met", False: "not met", None: "cannot be said"}
        rows = [(verdict["requirement"], words[verdict["met"]], verdict["got"]) for verdict in record["requirements"]]
        yield section("Required", table(("objective", "", "measured"), rows))
    yield section("Latency", *run_charts.of(record))
    yield section("Figures", table(("figure", "value", f"{record['confidence']:.0%} interval"), _figures(record)))
    if record["notes"]:
        yield section("Notes", tag("ul", *(tag("li", note) for note in record["notes"])))
    yield section("How it was measured", table((), _pairs(record), "pairs"))


def _tiles(record: Json) -> Iterator[Markup]:
    intervals = record["intervals"]
    shown = [("throughput", f"{figure(record['throughput_rows_per_s'])} rows/s", intervals["throughput_rows_per_s"])]
    latency = record["latency_ms"]
    shown += [(name, ms(latency[name]), intervals[name]) for name in ("p50", "p99", "p99.9") if latency.get(name) is not None]
    for name, value, bounds in shown:
        yield tag("div", tag("small", name), tag("b", value), tag("small", between(*bounds)) if bounds else None, class_="tile")
    failed = sum(record["failed"].values())
    said = ", ".join(f"{status} {count:,}" for status, count in record["failed"].items())
    yield tag(
        "div", tag("small", "failed"), tag("b", f"{failed:,}"), tag("small", said or f"of {record['requests']:,} calls"), class_="tile"
    )


def _figures(record: Json) -> Iterator[tuple[str, str, str]]:
    intervals = record["intervals"]
    for name, unit in (("throughput_rows_per_s", "rows/s"), ("requests_per_s", "requests/s")):
        yield unit, figure(record[name]), between(*intervals[name])
    for name, value in record["latency_ms"].items():
        bounds = intervals.get(name)
        yield f"latency {name}", "too few samples" if value is None else ms(value), between(*bounds) if bounds else ""
    for name, value in record["lateness_ms"].items():
        yield f"sent late, {name}", ms(value), ""
    for name, value in serving.shares(record):
        yield f"mean {name}", ms(value), ""
    if record["accuracy"] is not None:
        yield "accuracy", f"{record['accuracy']:.4f}", f"over {record['accuracy_rows']:,} rows"


def _pairs(record: Json) -> Iterator[tuple[str, str]]:
    """What this run was told, and ran with; what was left as it is by default and says nothing is left out."""
    yield "calls", f"{record['measured']:,} measured in {record['duration_s']:.3g} s, after {record['warm_up']:,} of warm-up"
    for part in ("settings", "machine", "software"):
        for name, value in record[part].items():
            if value not in (None, False, 0, 0.0, "", {}, []):
                yield name.replace("_", " "), str(value)
