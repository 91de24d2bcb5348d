"""The page of many runs: a sweep with its front, or the search for a rate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from clients.benchmark.report import charts, run_charts
from clients.benchmark.report.charts import Chart, Curve, Dot
from clients.benchmark.report.markup import Markup, tag
from clients.benchmark.report.page import page, section, table
from clients.benchmark.report.words import between, figure, ms
from clients.benchmark.statistics.histogram import Histogram

Json = dict[str, Any]


def as_html(record: Json) -> str:
    """The page of the record of a sweep or a search."""
    first = record["runs"][0]
    return page(f"{_TITLES[record['kind']]} {first['model']} at {first['server']}", _content(record))


_TITLES = {"sweep": "Sweep of", "find-rate": "Highest rate of"}


def _content(record: Json) -> Iterator[Markup | None]:
    if record["kind"] == "find-rate":
        rate = "no rate holds" if record["rate"] is None else f"{figure(record['rate'])} requests/s hold"
        yield tag("p", tag("b", f"{rate} {' '.join(record['objectives'])}"), f"; {record['limit']}", class_="notice")
    for run in record["runs"]:
        if run["warnings"] and record["kind"] == "sweep":
            yield tag("p", tag("b", f"Not to be trusted ({_words(run)}): "), "; ".join(run["warnings"]), class_="notice bad")
    for cell in record["unmeasured"]:
        yield tag("p", tag("b", "Not measured: "), f"{cell['setting']}: {cell['why']}", class_="notice bad")
    chart = _chart(record)
    if chart:
        yield section("Throughput and p99", chart)
    yield section("Runs", table(_head(record), _rows(record), "runs"))
    best = [record["runs"][place] for place in record["front"]][:6]
    if record["kind"] == "sweep" and best:
        yield section("Latency of those on the front", *(_curve(run) for run in best))
    machine = [(name.replace("_", " "), str(value)) for name, value in record["machine"].items() if value is not None]
    yield section("Measured on", table((), machine, "pairs"))


def _chart(record: Json) -> Markup | None:
    """Rows/s against p99: down and to the right is better; on the front, one is only bought with the other."""
    points = [(place, run["throughput_rows_per_s"], run["latency_ms"]["p99"]) for place, run in enumerate(record["runs"])]
    points = [point for point in points if point[2]]
    if len(points) < 2:
        return None
    search, chosen = record["kind"] == "find-rate", set(record["front"])
    dots = []
    for place, rate, p99 in points:
        run = record["runs"][place]
        good = run["setting"]["holds"] if search else place in chosen
        said = f"{_words(run)}: {figure(rate)} rows/s, p99 {ms(p99)}"
        dots.append(Dot((rate, p99), said, "good" if good else "bad" if search else "same", _short(run) if good and not search else ""))
    line = [(rate, p99) for place in record["front"] for at, rate, p99 in points if at == place]
    return charts.draw(
        Chart(
            "p99 in ms, by rows/s",
            "down and to the right is better; green: " + ("holds" if search else "no other has more rows/s and a smaller p99"),
            charts.log_axis(rate for _, rate, _ in points),
            charts.log_axis(p99 for _, _, p99 in points),
            curves=[] if search else [Curve("front", line)],
            dots=dots,
        )
    )


def _head(record: Json) -> Sequence[str]:
    return [*record["runs"][0]["setting"], "rows/s", "95 % interval", "p50", "p99", "95 % interval", "failed"]


def _rows(record: Json) -> Iterator[Sequence[object]]:
    for place, run in enumerate(record["runs"]):
        latency, intervals = run["latency_ms"], run["intervals"]
        setting = [_told(value) for value in run["setting"].values()]
        if place in record["front"] and record["kind"] == "sweep":
            setting[0] = f"{setting[0]} *"
        told = ["too few samples" if latency[name] is None else ms(latency[name]) for name in ("p50", "p99")]
        p99 = between(*intervals["p99"]) if intervals["p99"] else ""
        rows = between(*intervals["throughput_rows_per_s"])
        yield *setting, figure(run["throughput_rows_per_s"]), rows, *told, p99, f"{run['failed_measured']:,}"


def _told(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else f"{value:,g}"


def _curve(run: Json) -> Markup:
    return tag("div", tag("b", _words(run)), run_charts.percentile_curve([("latency", Histogram.from_record(run["latency_counts"]))]))


def _words(run: Json) -> str:
    return ", ".join(f"{name} {value}" for name, value in run["setting"].items())


def _short(run: Json) -> str:
    """The setting as it stands beside a dot: 8 x 32."""
    return " x ".join(str(value) for value in run["setting"].values())
