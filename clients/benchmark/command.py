"""The commands: one run, many, or the comparison of two."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from clients.benchmark import parsing
from clients.benchmark.data.formats import FORMATS
from clients.benchmark.errors import DONE, INTERRUPTED, NOT_MET, BadInput, NotSaved
from clients.benchmark.judging.tolerance import Tolerance
from clients.benchmark.progress import Bar
from clients.benchmark.report.outputs import Outputs, print_result
from clients.benchmark.running import run
from clients.benchmark.settings import ARRIVALS, COMPRESSIONS, Settings
from clients.benchmark.transport import TRANSPORTS

_DEFAULTS = {field.name: field.default for field in fields(Settings)}
_DESCRIPTION = "Measure a served model through TensorFlow Serving's API: latency, throughput, accuracy."
_EPILOG = """The rows are cut into batches in their order; the last one is as short as what is left, and the next pass begins
again with the first. The label (a class index or a number) is compared with the model's answers, every other column is
sent as the input of its name; columns NAME_0, NAME_1, ... make up an input of several values. Exit codes: 0 measured,
2 bad input, 10 nothing succeeded, 11 a requirement or --expect not met, 130 interrupted."""


def main(words: Sequence[str]) -> int:
    """Run a benchmark, or compare two, and print it. Returns the exit code; raises BenchmarkError."""
    if words[:1] == ["compare"]:
        from clients.benchmark.compare import main as compare

        return compare(words[1:])
    return _measure(words)


def _measure(arguments: Sequence[str]) -> int:
    options = vars(_parser().parse_args(arguments))
    outputs = Outputs(*(options.pop(name) for name in ("json", "csv", "html")))
    requirements, axes, objectives = (options.pop(name) for name in ("require", "sweep", "find_rate"))
    outputs.check()
    if requirements or objectives:
        from clients.benchmark.statistics.requirements import parse

        for requirement in [*requirements, *objectives]:
            parse(requirement)
    settings = Settings(**{**options, "shapes": dict(options["shapes"])})
    if not axes and not objectives:
        return _run(settings, requirements, outputs)
    if requirements or (axes and objectives):
        raise BadInput("--require, --sweep and --find-rate: expected one of them, got several")
    from clients.benchmark.many import find, sweep

    return sweep(settings, axes, outputs) if axes else find(settings, objectives, outputs)


def _run(settings: Settings, requirements: Sequence[str], outputs: Outputs) -> int:
    bar, unsaved = Bar(settings), None
    try:
        result = run(settings, bar.tell, bar.read)
    except NotSaved as error:
        result, unsaved = error.result, error
    finally:
        bar.clear()
    # Loaded when the run is over, as what sums it up: the first request does not wait for them.
    from clients.benchmark.objectives import verdicts
    from clients.benchmark.report.record import record
    from clients.benchmark.report.text import text

    judged = verdicts(result, requirements)
    try:
        outputs.write(record(result, judged))
    finally:
        print_result(text(result, judged))
    if unsaved:
        raise unsaved
    if result.interrupted:
        return INTERRUPTED
    skew = result.judgement.skew
    return DONE if all(verdict.met for verdict in judged) and (skew is None or skew.is_none) else NOT_MET


def _parser() -> parsing.Parser:
    parser = parsing.Parser("tiphys-bench", description=_DESCRIPTION, epilog=_EPILOG, allow_abbrev=False)
    add = parser.add_argument
    add("-s", "--server", metavar="HOST:PORT", default=_DEFAULTS["server"], help="the server's gRPC side, or unix:PATH [%(default)s]")
    add("-d", "--data_file", metavar="FILE", type=Path, help="rows: CSV, JSON lines, Parquet, NPY, NPZ or TFRecord")
    add("-b", "--batch_size", metavar="N", type=int, default=_DEFAULTS["batch_size"], help="rows in a request [%(default)s]")
    add(
        "-n",
        "--num_iteration",
        metavar="N",
        type=int,
        help="requests, warm-up included [40; 10 s of --rate; those of --duration]",
    )
    add(
        "-w",
        "--warm_up_iteration",
        metavar="N",
        type=int,
        default=_DEFAULTS["warm_up_iteration"],
        help="of these, the first, which are not timed [%(default)s]",
    )
    add("--model", metavar="NAME", default=_DEFAULTS["model"], help="the model's name at the server [%(default)s]")
    add("--signature", metavar="NAME", default=_DEFAULTS["signature"], help="the model's signature [%(default)s]")
    add("--model-version", metavar="N", type=int, help="the model's version [the one that the server takes]")
    columns = parser.add_mutually_exclusive_group()
    columns.add_argument(
        "--columns", metavar="FILE", type=Path, dest="columns_file", help="a file with the header, for a data file without one"
    )
    columns.add_argument("--format", choices=tuple(FORMATS), help="a data file without a header, as published")
    _add_data(parser.add_argument_group("data"))
    _add_load(parser.add_argument_group("load"))
    _add_connection(parser.add_argument_group("connection"))
    _add_report(parser.add_argument_group("report"))
    return parser


def _add_data(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--label", metavar="NAME", help="the column of labels [label]")
    add("--output", metavar="NAME", help="the model's output that answers the label, where names do not tell")
    add("--generate", action="store_true", help="rows made up from the signature and --seed, in place of -d")
    add("--shape", metavar="NAME=2,3", dest="shapes", action="append", type=parsing.shape, default=[], help="of an input in each row")
    add(
        "--memory",
        metavar="MIB",
        dest="memory_mib",
        type=int,
        default=_DEFAULTS["memory_mib"],
        help="of built requests; others wait on disk [%(default)s]",
    )
    add("--expect", metavar="FILE", type=Path, help="compare the answers with those recorded there (NPZ: outputs by name)")
    add("--tolerance", metavar="REL[,ABS]", type=parsing.tolerance, default=Tolerance(), help="how far numbers may differ [1e-4,1e-6]")
    add("--save-answers", metavar="FILE", type=Path, help="record the answers there, for --expect")


def _add_load(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--concurrency",
        metavar="N",
        type=parsing.count_or_ramp,
        default=_DEFAULTS["concurrency"],
        help="calls in flight, each sent when one ended; FROM..TO with --ramp [%(default)s]",
    )
    add("--rate", metavar="R", type=parsing.rate_or_ramp, help="calls per second, whatever the server does; FROM..TO with --ramp")
    add("--ramp", metavar="SECONDS", type=float, dest="ramp_s", default=0.0, help="the time from FROM to TO")
    add("--arrivals", choices=ARRIVALS, default=_DEFAULTS["arrivals"], help="how the calls of a rate are spread [%(default)s]")
    add("--burst", metavar="N", type=int, dest="burst_size", default=_DEFAULTS["burst_size"], help="calls in a burst [%(default)s]")
    add("--schedule", metavar="FILE", type=Path, dest="schedule_file", help="the second of each call, one in a line, in place of a rate")
    add("--seed", metavar="N", type=int, default=_DEFAULTS["seed"], help="of everything random [%(default)s]")
    add("--duration", metavar="SECONDS", type=float, dest="duration_s", help="measured time, after the warm-up")
    add("--warm-up", metavar="SECONDS", type=float, dest="warm_up_s", default=0.0, help="time that is not measured, beside -w")
    add("--connections", metavar="N", type=int, default=_DEFAULTS["connections"], help="of each process [%(default)s]")
    add("--processes", metavar="N", type=int, default=_DEFAULTS["processes"], help="that share the load [%(default)s]")


def _add_connection(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--transport", choices=tuple(TRANSPORTS), default=_DEFAULTS["transport"], help="how calls travel [%(default)s]")
    add("--deadline", metavar="SECONDS", type=float, dest="deadline_s", default=_DEFAULTS["deadline_s"], help="of a call [%(default)s]")
    add("--max-message-size", metavar="BYTES", type=int, dest="max_message_bytes", help="the largest request or answer [no limit]")
    add("--compression", choices=COMPRESSIONS, default=_DEFAULTS["compression"], help="of requests [%(default)s]")
    add("--tls", action="store_true", help="encrypt, and trust the system's authorities")
    add("--ca", metavar="FILE", type=Path, dest="ca_file", help="encrypt, and trust this authority (PEM)")
    add("--cert", metavar="FILE", type=Path, dest="cert_file", help="the client's certificate (PEM)")
    add("--key", metavar="FILE", type=Path, dest="key_file", help="its key (PEM)")
    add("--metadata-file", metavar="FILE", type=Path, help="lines `name: value`, sent with every call")
    add("--token-file", metavar="FILE", type=Path, help="a bearer token, sent with every call")
    add("--token-env", metavar="NAME", help="the environment variable with it")
    add("--metrics", metavar="URL", dest="metrics_url", help="where the server tells Prometheus of its calls: its share of the latency")


def _add_report(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--require",
        metavar="OBJECTIVE",
        nargs="+",
        action="extend",
        default=[],
        help="such as 'p99<10ms' 'errors<0.1%%' 'throughput>1000/s' 'accuracy>=0.8': exit code 11 where one is not met",
    )
    add("--find-rate", metavar="OBJECTIVE", nargs="+", default=[], help="search for the highest rate that holds them, such as 'p99<10ms'")
    add("--sweep", metavar="NAME=VALUES", nargs="+", default=[], help="measure all combinations, such as batch=1,8,64 concurrency=1,8")
    add("--json", metavar="FILE", type=Path, help="write the record there: all figures and histograms, settings, versions, machine")
    add("--csv", metavar="FILE", type=Path, help="write the figures there, a run in each line")
    add("--html", metavar="FILE", type=Path, help="write a page there, with charts")
