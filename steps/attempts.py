"""The folder that a run's attempts share: its name, its lock, and the count of attempts beside the checkpoints."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from steps import contract, gate, storage

_LOCK_WAIT_S = 5.0  # as long as a program may take to die with the step that was killed
_IDENTITY = "identity.json"


def folder_of(home: Path, identity: Mapping[str, Any]) -> Path:
    """The folder for checkpoints of this data, program and settings, made if need be; says so where training starts afresh in it."""
    text = json.dumps(identity, indent=1, sort_keys=True) + "\n"
    folder = home / hashlib.sha256(text.encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / _IDENTITY).exists():
        _say_what_changed(home, folder, identity)
        storage.write_whole(folder / _IDENTITY, text)
    return folder


def _say_what_changed(home: Path, folder: Path, identity: Mapping[str, Any]) -> None:
    others = sorted(home.glob(f"*/{_IDENTITY}"), key=lambda path: path.stat().st_mtime)
    if not others:
        return
    before = json.loads(others[-1].read_text())
    changed = ", ".join(f"{name} is {identity[name]}, was {before.get(name)}" for name in identity if identity[name] != before.get(name))
    contract.log(f"starting afresh in {folder}: {changed}; the checkpoints in {others[-1].parent} stay")


@contextlib.contextmanager
def held(folder: Path) -> Iterator[int]:
    """Hold a checkpoint folder's lock; yields its descriptor. Raises BadInput where another run holds it."""
    until = time.monotonic() + _LOCK_WAIT_S
    while True:
        with storage.lock(folder / "lock") as descriptor:
            if descriptor is not None:
                yield descriptor
                return
        if time.monotonic() > until:
            raise contract.BadInput(
                f"{folder}: another run trains or exports here (it holds the file lock); wait until it is done, or stop it, "
                "or train in a CHECKPOINT_DIR of your own"
            )
        time.sleep(0.05)


def load(folder: Path, run: str) -> gate.State:
    """What a run has used up so far: nothing, before its first start."""
    path = _path(folder, run)
    return gate.read_state(path.read_text(), str(path)) if path.exists() else gate.State(run)


def save(folder: Path, state: gate.State) -> None:
    """Write down what a run has used up."""
    storage.write_whole(_path(folder, state.run), gate.write_state(state))


def _path(folder: Path, run: str) -> Path:
    return folder / f"attempts-{run}.json"
