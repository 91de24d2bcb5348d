"""The folder of a run, where every change of its state is kept: `status.json` and, after it, `journal.jsonl`.

The status is Argo's `.status`. Writing it whole at each change would cost the square of the number of nodes, so changes
are added to the journal, which is folded into the status now and then, and at the end.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import string
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from pipelines.local import rewind
from pipelines.local.errors import BusyWorkspace, DamagedRun
from pipelines.local.nodes import COMPLETED, Node, Nodes

_RUN, WORKFLOW, _STATUS, _JOURNAL, _LOCK = "run.json", "workflow.yaml", "status.json", "journal.jsonl", ".lock"
_FOLD_BYTES = 4 * 1024 * 1024
_LETTERS = string.ascii_lowercase + string.digits


@dataclass(frozen=True)
class Identity:
    """What stays the same when a run goes on; `created` is in seconds since the epoch, `digest` tells workflow and parameters."""

    name: str
    uid: str
    created: float
    digest: str


def digest(workflow: Mapping[str, Any], parameters: Mapping[str, str], means: str) -> str:
    """The same for the same workflow with the same parameters, run by the same means: steps keep paths as they see them."""
    return hashlib.sha256(json.dumps([workflow, dict(parameters), means], sort_keys=True).encode()).hexdigest()


@contextlib.contextmanager
def locked(workspace: Path) -> Iterator[None]:
    """Hold a workspace while the block runs. Raises BusyWorkspace where another run does."""
    folder = workspace / "runs"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / _LOCK, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise BusyWorkspace(
                f"{workspace}: another run uses this workspace (process {holder}); wait for it, stop it, or use another workspace"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


class RunFolder:
    """The folder of one run and the state in it."""

    def __init__(self, path: Path, identity: Identity) -> None:
        self.path, self.identity = path, identity
        self.status: dict[str, Any] = {}
        self._changed: dict[str, Node] = {}
        self._edges: list[tuple[str, str]] = []
        self._nodes: Nodes | None = None
        self._soon: Callable[[Callable[[], None]], object] = lambda _flush: None
        self._written, self._folded = 0, _FOLD_BYTES
        self._journal: int | None = None

    @classmethod
    def create(cls, workspace: Path, workflow: Mapping[str, Any], base: str, fixed: str, run_digest: str) -> RunFolder:
        """A folder for a new run: `base` begins its name; `fixed` is the workflow's name where that is given."""
        while True:
            name = f"{base}-{''.join(secrets.choice(_LETTERS) for _ in range(5))}"
            path = workspace / "runs" / name
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                continue
            break
        identity = Identity(fixed or name, str(uuid.uuid4()), time.time(), run_digest)
        write_whole(path / WORKFLOW, yaml.dump(dict(workflow), Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False))
        write_whole(path / _RUN, json.dumps(asdict(identity)))
        return cls(path, identity)

    @classmethod
    def unfinished(cls, workspace: Path, run_digest: str) -> RunFolder | None:
        """The newest run of a digest, if it has not finished."""
        newest = cls.newest(workspace, run_digest)
        return None if newest is None or newest.load()["phase"] in COMPLETED else newest

    @classmethod
    def newest(cls, workspace: Path, run_digest: str) -> RunFolder | None:
        """The newest run of a digest."""
        newest: RunFolder | None = None
        for path in (workspace / "runs").glob(f"*/{_RUN}"):
            with contextlib.suppress(OSError, ValueError, TypeError):
                identity = Identity(**json.loads(path.read_text()))
                if identity.digest == run_digest and (newest is None or identity.created > newest.identity.created):
                    newest = cls(path.parent, identity)
        return newest

    def rewind(self, name: str) -> None:
        """Take the run back to before the node of a name. Raises DamagedRun and NoSuchNode."""
        status = self.load()
        gone = rewind.rewind(status, rewind.find(status["nodes"], name), time.time())
        write_whole(self.path / _STATUS, json.dumps(status, indent=1))
        (self.path / _JOURNAL).unlink(missing_ok=True)
        for identity in gone:
            shutil.rmtree(self.path / "nodes" / identity, ignore_errors=True)

    def load(self) -> dict[str, Any]:
        """Read the state that an earlier start left. Raises DamagedRun."""
        self.status = {"phase": "Pending", "nodes": {}, **read_status(self.path)}
        return self.status

    def follow(self, known: Nodes, soon: Callable[[Callable[[], None]], object]) -> None:
        """Write down whatever changes in the nodes, beginning with those that were loaded; `soon` calls a function a little later."""
        self._soon = soon
        known.restore(self.status.pop("nodes", {}))
        self._nodes = known
        known.changed, known.connected = self._node_changed, self._connected
        self._fold()

    def change(self, **fields: Any) -> None:
        """Set fields of the workflow's own status."""
        self.status |= fields
        self._append([{"status": fields}])

    def flush(self) -> None:
        """Put every change on the disk that is not there yet."""
        kept = ({key: value for key, value in node.items() if key != "children"} for node in self._changed.values())
        lines: list[dict[str, Any]] = [*({"node": node} for node in kept), *({"edge": edge} for edge in self._edges)]
        if lines:
            self._append(lines)
        self._changed.clear()
        self._edges.clear()

    def close(self) -> None:
        """Fold everything into the status."""
        self.flush()
        self._fold()
        if self._journal is not None:
            os.close(self._journal)
            self._journal = None
        (self.path / _JOURNAL).unlink(missing_ok=True)

    def _node_changed(self, node: Node) -> None:
        if not self._changed and not self._edges:
            self._soon(self._flush_quietly)
        self._changed[node["id"]] = node

    def _connected(self, parent: str, child: str) -> None:
        if not self._changed and not self._edges:
            self._soon(self._flush_quietly)
        self._edges.append((parent, child))

    def _flush_quietly(self) -> None:
        """Nobody would hear of an error here; what was not written is tried again, loudly, before the next pod starts."""
        with contextlib.suppress(OSError):
            self.flush()

    def _append(self, lines: list[dict[str, Any]]) -> None:
        if self._journal is None:
            self._journal = os.open(self.path / _JOURNAL, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        content = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines).encode()
        try:
            while content:
                content = content[os.write(self._journal, content) :]
        except OSError:
            # A line that is there in part would spoil those after it.
            os.ftruncate(self._journal, self._written)
            raise
        self._written = os.fstat(self._journal).st_size
        if self._written > self._folded:
            self._fold()

    def _fold(self) -> None:
        by_id = {} if self._nodes is None else self._nodes.by_id
        content = json.dumps({**self.status, "nodes": by_id}, indent=1)
        write_whole(self.path / _STATUS, content)
        self._folded = max(_FOLD_BYTES, 2 * len(content))
        if self._journal is not None:
            os.ftruncate(self._journal, 0)
            self._written = 0
        else:
            (self.path / _JOURNAL).unlink(missing_ok=True)


def identity_of(folder: Path) -> Identity:
    """What stays the same of the run in a folder. Raises DamagedRun."""
    try:
        return Identity(**json.loads((folder / _RUN).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise DamagedRun(f"{folder}: it is not known whose run this is ({error!r}); remove the folder to begin anew") from None


def read_status(folder: Path) -> dict[str, Any]:
    """The state of a run, also while it goes on: Argo's `.status`. Raises DamagedRun."""
    status: dict[str, Any] = {"nodes": {}}
    try:
        if (folder / _STATUS).exists():
            status = json.loads((folder / _STATUS).read_text())
        if (folder / _JOURNAL).exists():
            _replay(status, (folder / _JOURNAL).read_bytes())
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DamagedRun(f"{folder}: the state of this run cannot be read ({error!r}); remove the folder to begin anew") from None
    return status


def write_whole(path: Path, content: str) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part."""
    aside = path.with_name(f".{path.name}.aside")
    with open(aside, "w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)


def _replay(status: dict[str, Any], journal: bytes) -> None:
    """Apply the journal's lines; the last one may be torn."""
    known = status["nodes"]
    edges = {(parent, child) for parent, node in known.items() for child in node.get("children") or ()}
    for line in journal.split(b"\n")[:-1]:
        change = json.loads(line)
        if "status" in change:
            status |= change["status"]
        elif "node" in change:
            node = change["node"]
            children = known.get(node["id"], {}).get("children")
            known[node["id"]] = {**node, **({"children": children} if children else {})}
        else:
            parent, child = change["edge"]
            if (parent, child) not in edges:
                edges.add((parent, child))
                known[parent].setdefault("children", []).append(child)
