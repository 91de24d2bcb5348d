"""What is known of a version, and the order in which versions are loaded and dropped."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from steps.serve.errors import ServingError

State = Literal["START", "LOADING", "AVAILABLE", "UNLOADING", "END"]


@dataclass
class Version:
    """One version of a model. `aspired` as long as it is to be served; `failures` counts loads that failed."""

    name: str
    number: int
    path: Path
    state: State = "START"
    aspired: bool = True
    error: ServingError | None = None
    servable: Any = None
    in_flight: int = 0
    failures: int = 0
    retry_at: float = 0.0


def next_action(versions: Iterable[Version], now: float) -> tuple[Literal["load", "unload"], Version] | None:
    """What to do next for the versions of one model, so that it stays available.

    A version that is no longer to be served goes once one that is to be served is there (or none is to be served, or
    there is another one to fall back on); the highest new version is loaded first.
    """
    ranked = sorted(versions, key=lambda version: version.number)
    leaving = [version for version in ranked if not version.aspired and version.state == "AVAILABLE"]
    aspired = [version for version in ranked if version.aspired]
    if leaving and (not aspired or len(leaving) > 1 or any(version.state == "AVAILABLE" for version in aspired)):
        return "unload", leaving[0]
    new = [version for version in aspired if version.state == "START"]
    due = [version for version in aspired if version.state == "LOADING" and version.retry_at <= now]
    return ("load", (new or due)[-1]) if new or due else None
