"""The root that a pod sees, where it has one of its own: what is mounted in it, decided here as data and done in `launcher.py`.

The root is a folder of the run. Mounted in it are the machine's own folders, to read only; the volumes and what the caller
maps, to write; and for everything else the folder itself: what a pod writes to /tmp, or to a path that no volume has, lies
below it under the same path. Nothing of the machine is written, and no mount point is made outside the run's folder.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Collection, Iterable, Iterator, Mapping
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
        for path in sorted({"/", *own}, key=len):
            self._split(path, {*targets, *own})
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

    def _split(self, folder: str, others: Collection[str]) -> None:
        """Have the pod's own folder take the place of the machine's, with all that is in that one, to read."""
        own = Path(self.root + folder)
        own.mkdir(parents=True, exist_ok=True)
        if folder != "/":
            self.rows.append(("bind", str(own), folder))
        for entry in _entries(folder):
            inside = own / entry.name
            if entry.is_symlink():
                _link(os.readlink(entry.path), inside)
            elif entry.path in _SHARED:
                _make(inside, is_folder=True)
                memory = (path for path in _MEMORY if within(path, entry.path))
                self.rows += [("bind", entry.path, entry.path), *(("memory", self.root + path, path) for path in memory)]
            elif entry.path not in others and not _is_empty(entry.path) and (entry.is_dir() or entry.is_file()):
                _make(inside, entry.is_dir())
                self.rows.append(("show", entry.path, entry.path))

    def _mount(self, path: str, source: str) -> None:
        if self._row(path)[0] == "bind":
            _make(self._at(path), not source or os.path.isdir(source))
        if not source:
            own = Path(self.root + path)
            own.mkdir(parents=True, exist_ok=True)
            own.chmod(0o1777)
        self.rows.append(("bind", source or self.root + path, path))


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


def _link(target: str, path: Path) -> None:
    if not os.path.lexists(path):
        path.symlink_to(target)


def _make(path: Path, is_folder: bool) -> None:
    """A mount point."""
    if os.path.lexists(path):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir() if is_folder else path.touch()
