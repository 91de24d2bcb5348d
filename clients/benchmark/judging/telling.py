"""A judgement as lines for people and as a record for programs."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from clients.benchmark.judging.judgement import Judgement, Quality
from clients.benchmark.judging.metrics import Figure
from clients.benchmark.samples import wall_clock_s


def lines(judgement: Judgement) -> list[tuple[str, str]]:
    """Name and text of each line."""
    quality = judgement.quality
    if quality is None:
        found = [("accuracy", "not measured")]
    else:
        over = f" over {judgement.rows:,} rows{_unkept(judgement)}"
        found = [(name, f"{_figure(figure)}{over}") for name, figure in _figures(quality) if figure is not None]
        if quality.calibration is not None:
            part = quality.calibration
            text = f"error {part.error:.4f}, predicted {part.predicted:.4f} on average, {part.observed:.4f} came true"
            found.append(("calibration", text))
    if judgement.skew is not None:
        skew = judgement.skew
        text = f"{skew.rows:,} rows compared in {', '.join(skew.outputs)}, {skew.mismatched:,} differ{_unkept(judgement)}"
        found.append(("recorded", f"{text}; worst: {skew.worst}" if skew.worst else text))
    return found


def _unkept(judgement: Judgement) -> str:
    """What figures of answers leave out."""
    return f" ({judgement.unkept:,} answers were not judged: too many different ones came to keep)" if judgement.unkept else ""


def warnings(judgement: Judgement, described: int | None) -> list[str]:
    """What keeps the answers from being trusted. `described` is the version that the server named before the run."""
    found = []
    if judgement.unfit:
        found.append(f"{judgement.unfit:,} answers did not hold one value for each row sent")
    skew = judgement.skew
    if skew is not None and not skew.rows:
        found.append("no answer was compared with the recorded ones, because none is to a row that they have")
    if skew is not None and skew.mismatched:
        found.append(f"{skew.mismatched:,} of {skew.rows:,} rows differ from the recorded answers ({skew.worst})")
    seen = [(version.number, f"{version.number} (first seen at {moment(version.first_ns)})") for version in judgement.versions]
    if described is not None and all(number != described for number, _ in seen):
        seen.insert(0, (described, str(described)))
    if len(seen) > 1:
        found.append(f"the model's version changed during the run: {seen[0][0]}, then {', then '.join(text for _, text in seen[1:])}")
    return found


def moment(instant_ns: int) -> str:
    """The wall clock's time of an instant, ISO 8601."""
    return datetime.fromtimestamp(wall_clock_s(instant_ns), UTC).isoformat(timespec="milliseconds")


def record(judgement: Judgement) -> dict[str, Any]:
    """As JSON's types: what was not measured is None."""
    quality = judgement.quality or Quality()
    figures = {name.replace(" ", "_"): figure and asdict(figure) for name, figure in _figures(quality)}
    skew = judgement.skew
    return {
        "rows": judgement.rows,
        "unjudged_answers": judgement.unkept,
        **figures,
        "calibration": quality.calibration and asdict(quality.calibration),
        "versions": [{"version": version.number, "first_seen": moment(version.first_ns)} for version in judgement.versions],
        "recorded": skew
        and {
            "rows": skew.rows,
            "mismatched": skew.mismatched,
            "outputs": list(skew.outputs),
            "worst": skew.worst and str(skew.worst),
        },
    }


def _figures(quality: Quality) -> list[tuple[str, Figure | None]]:
    return [
        ("accuracy", quality.accuracy),
        ("log loss", quality.log_loss),
        ("AUC", quality.auc),
        ("squared error", quality.mean_squared_error),
        ("absolute error", quality.mean_absolute_error),
    ]


def _figure(figure: Figure) -> str:
    return f"{figure.value:.4f} ({figure.low:.4f} to {figure.high:.4f})"
