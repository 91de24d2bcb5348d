"""The root that a pod sees, where it has one of its own: what is mounted in it, decided here as data and done in `launcher.py`.

The root is a folder of the run. Mounted in it are the machine's own folders, to read only; the volumes and what the caller
maps, to write; and for everything else the folder itself: what a pod writes to /tmp, or to a path that no volume has, lies
below it under the same path. Nothing of the machine is written, and no mount point is made outside the run's folder.
"""

from __future__ import annotations

import contextlib
import functools
import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

# What a process shares with the machine and may write, what is in memory, and what each pod has empty and for itself.
_SHARED = ("/dev", "/proc", "/sys")
_MEMORY = ("/dev/shm",)  # noqa: S108 - a mount point, no file
_PRIVATE = ("/tmp", "/var/tmp")  # noqa: S108 - those of the pod
_MOST_LINKS = 40
# Where Argo's own program lays a script.
STAGING = "/argo/staging"
# What is done (see launcher.py), the path on this machine, the path in the pod.
Row = tuple[str, str, str]


@dataclass(frozen=True)
class _Shown:
    """How the machine's folders are shown in a root: what is made for that, by its path in the root, and then mounted.

    `rows` are (kind, whether the source lies in the root, path): the path of a source is that of its target.
    """

    folders: tuple[str, ...]
    files: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, bool, str], ...]


class View(Protocol):
    """What a container sees of this machine."""

    # The folder that is its root, "" where it gets none from us; what is mounted in it.
    root: str
    rows: list[Row]
    # The folder, as the container sees it, of a script; and the one in which it begins, "" for that of its image.
    staging: str
    begins: str

    def place(self, path: str) -> Path:
        """Where one of its paths is on this machine."""

    def lay(self, path: str) -> Path:
        """Where a file or folder is to be laid that the container finds at a path, whatever this machine has there."""


class Same:
    """A container whose paths are this machine's: the text that names them was rewritten."""

    def __init__(self, folder: Path) -> None:
        self.root, self.rows, self.staging, self.begins = "", list[Row](), str(folder.parent), str(folder)

    def place(self, path: str) -> Path:
        """The path itself."""
        return Path(path)

    def lay(self, path: str) -> Path:
        """The path itself."""
        return Path(path)


class Inside:
    """A container with an image, in which folders of this machine are mounted."""

    def __init__(self, folder: Path, mounted: Mapping[str, str]) -> None:
        self.root, self.staging, self.begins = "", STAGING, ""
        self.rows: list[Row] = [("bind", source, path) for path, source in mounted.items()]
        self._folder = folder

    def place(self, path: str) -> Path:
        """Where a path is: in what is mounted, or, for what is handed to the container and kept of it, in the pod's own files."""
        path = posixpath.normpath(path)
        found = [row for row in self.rows if within(path, row[2])]
        _, source, target = max(found, key=lambda row: len(row[2]), default=("", str(self._folder), "/"))
        return Path(source + path[len(target.rstrip("/")) :])

    def lay(self, path: str) -> Path:
        """Where the path is."""
        return self.place(path)


class Root:
    """A container that has a root of its own."""

    def __init__(self, folder: Path, mounted: Mapping[str, str], writable: Iterable[str] = ()) -> None:
        """`mounted` has folders and files of this machine by their paths in the pod, `writable` the folders that the pod may write.

        Makes the mount points. Raises OSError.
        """
        self.root, self.staging, self.begins = str(folder), STAGING, "/"
        self.rows: list[Row] = []
        targets = {**dict.fromkeys(_PRIVATE, ""), **{os.path.realpath(path): source for path, source in mounted.items()}}
        known = [path for path in map(os.path.realpath, [*writable, self.staging]) if not _covered(path, targets)]
        own = {path for path in known if os.path.isdir(path)}
        missing = [path for path in [*targets, *known] if not os.path.lexists(path)]
        own |= {_nearest(path) for path in missing if not _covered(posixpath.dirname(path), targets)}
        shown = _shown(tuple((path, _changed(path)) for path in sorted({"/", *own}, key=len)), frozenset({*targets, *own}))
        self._make(shown)
        self.rows += [(kind, self.root + path if is_own else path, path) for kind, is_own, path in shown.rows]
        for path, source in sorted(targets.items(), key=lambda item: len(item[0])):
            self._mount(path, source)

    def place(self, path: str) -> Path:
        """Where a pod's path is on this machine; links on the way are followed as the pod follows them."""
        rest, seen, links = [*reversed(posixpath.normpath(path).split("/"))], "/", 0
        while rest:
            part = rest.pop()
            if part in ("", ".", ".."):
                seen = posixpath.dirname(seen) if part == ".." else seen
                continue
            before, seen = seen, posixpath.join(seen, part)
            here = self._at(seen)
            if here.is_symlink() and links < _MOST_LINKS:
                links += 1
                target = os.readlink(here)
                seen = "/" if target.startswith("/") else before
                rest += reversed(target.split("/"))
        return self._at(seen)

    def lay(self, path: str) -> Path:
        """Where a path is, without what the machine has there: that is no longer shown, and its links are not followed."""
        folder, name = posixpath.split(posixpath.normpath(path))
        shown = posixpath.join(os.path.realpath(folder), name)
        self.rows[:] = [row for row in self.rows if row[0] != "show" or row[2] != shown]
        laid = self.place(folder) / name
        if laid.is_symlink():
            laid.unlink()
        return laid

    def _row(self, path: str) -> Row:
        found = [row for row in self.rows if within(path, row[2])]
        return max(found, key=lambda row: len(row[2]), default=("bind", self.root, "/"))

    def _at(self, path: str) -> Path:
        _, source, target = self._row(path)
        return Path(source + path[len(target.rstrip("/")) :])

    def _make(self, shown: _Shown) -> None:
        """The mount points for what is shown, and links: a few system calls for each pod, so nothing is asked twice."""
        os.makedirs(self.root, exist_ok=True)
        for path in shown.folders:
            with contextlib.suppress(FileExistsError):
                os.mkdir(self.root + path)
        for path in shown.files:
            with contextlib.suppress(FileExistsError):
                os.mknod(self.root + path)
        for path, target in shown.links:
            with contextlib.suppress(FileExistsError):
                os.symlink(target, self.root + path)

    def _mount(self, path: str, source: str) -> None:
        if self._row(path)[0] == "bind":
            _make(self._at(path), not source or os.path.isdir(source))
        if not source:
            own = Path(self.root + path)
            own.mkdir(parents=True, exist_ok=True)
            own.chmod(0o1777)
        self.rows.append(("bind", source or self.root + path, path))


@functools.lru_cache(maxsize=64)
def _shown(own: tuple[tuple[str, int], ...], others: frozenset[str]) -> _Shown:
    """Have the pod's own folders take the place of the machine's, with all that is in those, to read, but for `others`.

    Pods of one run want the same, so it is looked up once for each time at which a folder has changed: `own` has the folders, the
    outer ones first, with that time.
    """
    folders, files, links, rows = dict[str, None](), list[str](), list[tuple[str, str]](), list[tuple[str, bool, str]]()
    for folder, _ in own:
        if folder != "/":
            folders |= dict.fromkeys(_above(folder))
            rows.append(("bind", True, folder))
        for entry in _entries(folder):
            if entry.is_symlink():
                links.append((entry.path, os.readlink(entry.path)))
            elif entry.path in _SHARED:
                folders[entry.path] = None
                rows += [("bind", False, entry.path), *(("memory", True, path) for path in _MEMORY if within(path, entry.path))]
            elif entry.path not in others and not _is_empty(entry.path) and (entry.is_dir() or entry.is_file()):
                if entry.is_dir():
                    folders[entry.path] = None
                else:
                    files.append(entry.path)
                rows.append(("show", False, entry.path))
    return _Shown(tuple(folders), tuple(files), tuple(links), tuple(rows))


def _above(folder: str) -> list[str]:
    """A folder and those it lies in, the outer ones first, without the root."""
    parts = folder.strip("/").split("/")
    return ["/" + "/".join(parts[: place + 1]) for place in range(len(parts))]


def _changed(folder: str) -> int:
    """When the entries of a folder last changed, in ns; 0 where it is not there."""
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return 0


def within(path: str, folder: str) -> bool:
    """Whether a path is a folder, or lies in it."""
    return folder == "/" or path == folder or path.startswith(f"{folder}/")


def _covered(path: str, targets: Mapping[str, str]) -> bool:
    return any(within(path, target) for target in targets)


def _nearest(path: str) -> str:
    """The nearest folder of this machine above a path."""
    while not os.path.isdir(path):
        path = posixpath.dirname(path)
    return path


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from sorted(entries, key=lambda entry: entry.name)


def _is_empty(path: str) -> bool:
    """Whether a folder of this machine has nothing to show."""
    try:
        with os.scandir(path) as entries:
            return next(entries, None) is None
    except OSError:
        return False


def _make(path: Path, is_folder: bool) -> None:
    """A mount point."""
    if os.path.lexists(path):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir() if is_folder else path.touch()
