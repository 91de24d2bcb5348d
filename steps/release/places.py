"""Where a release keeps its things: every path under one model's output folder, and the lock that keeps releases apart."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from steps import contract, storage

_WAIT_S = 120.0
_RESERVED = ("staging", "rejected", "evidence", "benchmark")


@dataclass(frozen=True)
class Places:
    """The output folder of one model: `volume`/`user`/`model`/`output`."""

    volume: Path
    output: Path
    model: str

    @classmethod
    def of(cls, volume: Path, user: str, model: str, output: str) -> Places:
        """The places of a step's settings. Raises BadInput for a model whose repository would lie on one of the other folders."""
        if model in _RESERVED:
            raise contract.BadInput(
                f"MODEL_NAME: {model!r} is the name of a folder that {output} has for itself ({', '.join(_RESERVED)}); choose another name"
            )
        return cls(volume, volume / user / model / output, model)

    @property
    def staging(self) -> Path:
        """Exported, not yet validated."""
        return self.output / "staging"

    @property
    def rejected(self) -> Path:
        """Candidates that validation refused."""
        return self.output / "rejected"

    @property
    def repository(self) -> Path:
        """What a server reads: validated models only, `VERSION/saved_model.pb`."""
        return self.output / self.model

    @property
    def records(self) -> Path:
        """What was released, and what failed: one JSON object a line."""
        return self.output / "releases.jsonl"

    def version(self, version: int) -> Path:
        """The folder of a published version."""
        return self.repository / str(version)

    def resolve(self, text: str) -> Path:
        """A path that another step gave: relative to the volume, or absolute."""
        return self.volume / text

    def relative(self, path: Path) -> str:
        """A path as other steps are given it: relative to the volume, the same in a container and in a folder."""
        return str(path.relative_to(self.volume))

    @contextlib.contextmanager
    def lock(self, wait_s: float = _WAIT_S) -> Iterator[None]:
        """Hold the output folder, so that two releases never interleave. Raises Transient where another holds it for too long."""
        with locked(self.output, wait_s):
            yield


@contextlib.contextmanager
def locked(output: Path, wait_s: float = _WAIT_S) -> Iterator[None]:
    """Hold an output folder's release lock; waits for another holder, then raises Transient."""
    path = output / "release.lock"
    deadline = time.monotonic() + wait_s
    told = False
    while True:
        with storage.lock(path) as descriptor:
            if descriptor is not None:
                yield
                return
        if time.monotonic() > deadline:
            raise contract.Transient(
                f"{output}: another release has been under way for {wait_s:.0f} s (it holds {path.name}); run again when it is done"
            )
        if not told:
            contract.log(f"waiting for another release in {output}")
            told = True
        time.sleep(0.1)
