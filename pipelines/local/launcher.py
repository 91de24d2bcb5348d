"""Starts and ends the processes of pods. A program of its own, which outlives a runner that is killed and then ends them all.

It reads orders from stdin, a JSON object a line, and answers on stdout in the same way:

    {"start": ID, "command": [...], "environment": {...}, "folder": ..., "log": ..., "output": ..., "root": ..., "place": ...,
     "mounts": [...], "sweep": true}                     -> {"ended": ID, "code": N} or {"failed": ID, "error": "..."}
    {"will": ID, "command": [...]}           to be run at the end of stdin, in place of an earlier one of that id; null is none
    {"signal": ID, "number": N}              to the process group of a pod; after SIGKILL nothing of it is left

Each pod has a keeper between this program and its first process: the keeper enters the pod's mount namespace, passes signals on,
and when the first process has ended kills what that left behind: its process group, and with `sweep` every descendant, also one
that made a session of its own. What is no descendant, such as a container, is ended by a will.
The root of a pod is a folder; `mounts` are rows (kind, source, target) in it, see `mounts.py`; `place` is an empty folder to mount on.

With arguments, a root, a place and mounts, it only tries whether a process may have a root of its own.
Imports the standard library only, and little of it: a pod is a fork of this.
"""

import contextlib
import ctypes
import gc
import json
import os
import select
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_NEW_MOUNTS, _NEW_USERS = 0x00020000, 0x10000000
_RECURSIVE, _BIND, _PRIVATE, _NODEV_NOSUID = 0x4000, 0x1000, 1 << 18, 6
_SUBREAPER, _PARENT_DEATH = 36, 1
_MOUNT_SETATTR, _AT_RECURSIVE, _READ_ONLY = 442, 0x8000, 1
_DETACH = 2
_KILL = signal.SIGUSR1
# What a pod is told before it listens must not be lost.
_LATER = (signal.SIGTERM, _KILL)
_DEFAULT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ, _KILL)
_LIBC = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Follow stdin to its end, then end what is left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    gc.disable()
    gc.freeze()
    keepers: dict[str, int] = {}
    wills: dict[str, list[str]] = {}
    _follow(woken, keepers, wills)
    for keeper in keepers.values():
        _signal(keeper, _KILL)
    while keepers:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(keepers.popitem()[1], 0)
    for command in filter(None, wills.values()):
        with contextlib.suppress(OSError):
            os.waitpid(_spawn(command, os.environ, {}), 0)


def _follow(woken: int, keepers: dict[str, int], wills: dict[str, list[str]]) -> None:
    rest = b""
    while True:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(woken, 4096)
            _reap(keepers)
        if 0 in ready:
            piece = os.read(0, 1 << 16)
            if not piece:
                return
            *lines, rest = (rest + piece).split(b"\n")
            for order in map(json.loads, lines):
                if "will" in order:
                    wills[order["will"]] = order["command"]
                else:
                    _obey(order, keepers)


def _obey(order: Mapping[str, Any], keepers: dict[str, int]) -> None:
    if "signal" in order:
        if order["signal"] in keepers:
            _signal(keepers[order["signal"]], _KILL if order["number"] == signal.SIGKILL else order["number"])
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, _LATER)
    keeper = os.fork()
    if keeper == 0:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            _keep(order)
            code = 0
        finally:
            os._exit(code)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _LATER)
    keepers[order["start"]] = keeper


def _reap(keepers: dict[str, int]) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        for name in [name for name, keeper in keepers.items() if keeper == pid]:
            del keepers[name]
            if status:  # it had no time to tell
                _tell({"ended": name, "code": 137})


def _keep(order: Mapping[str, Any]) -> None:
    """Start a pod's first process, wait for it, clear up after it, tell how it ended."""
    name = order["start"]
    answer: dict[str, Any] = {"failed": name}
    try:
        with open(order["log"], "ab") as log, open(order["output"] or os.devnull, "wb") as output:
            if order["sweep"]:
                _LIBC.prctl(_SUBREAPER, 1, 0, 0, 0)
            if order["root"]:
                enter(order["root"], order["place"], order["mounts"])
            _LIBC.prctl(_PARENT_DEATH, int(_KILL), 0, 0, 0)
            answer = _run(order, {1: (output if order["output"] else log).fileno(), 2: log.fileno()})
    except (OSError, ValueError) as error:
        answer["error"] = f"cannot start {order['command'][0]}: {error}"
    _tell(answer)


def _run(order: Mapping[str, Any], streams: Mapping[int, int]) -> dict[str, Any]:
    os.chdir(order["folder"])
    first = _spawn(order["command"], order["environment"], streams)
    signal.signal(signal.SIGTERM, lambda number, _frame: _signal_group(first, number))
    signal.signal(_KILL, lambda _number, _frame: _signal_group(first, signal.SIGKILL))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _LATER)
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
    signal.pthread_sigmask(signal.SIG_BLOCK, _LATER)
    # The group is killed while its first process still holds the number.
    _signal_group(first, signal.SIGKILL)
    _, status = os.waitpid(first, 0)
    if order["sweep"]:
        _sweep()
    code = os.waitstatus_to_exitcode(status)
    return {"ended": order["start"], "code": 128 - code if code < 0 else code}


def _spawn(command: Sequence[str], environment: Mapping[str, str], streams: Mapping[int, int]) -> int:
    """Start a command as a session of its own, in the current folder; what is not in `streams` is nothing. Raises OSError."""
    os.environ["PATH"] = environment.get("PATH", os.defpath)  # where it is looked for
    nothing = os.open(os.devnull, os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, streams.get(stream, nothing), stream) for stream in (0, 1, 2)]
    try:
        return os.posix_spawnp(command[0], list(command), environment, file_actions=actions, setsid=True, setsigmask=(), setsigdef=_DEFAULT)
    finally:
        os.close(nothing)


def enter(root: str, place: str, rows: Sequence[Sequence[str]]) -> None:
    """Be in a mount namespace of one's own, whose root is a folder, seen at the empty folder `place`, with `rows` mounted in it.

    Raises OSError.
    """
    user, group = os.getuid(), os.getgid()
    _checked(_LIBC.unshare(_NEW_MOUNTS | (_NEW_USERS if user else 0)), "unshare")
    if user:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    _mount("", "/", "", _RECURSIVE | _PRIVATE)
    _mount(root, place, "", _BIND)
    for kind, source, target in rows:
        _KINDS[kind](source, place + target)
    os.chdir(place)
    _checked(_LIBC.pivot_root(b".", b"."), "pivot_root")
    _checked(_LIBC.umount2(b".", _DETACH), "umount")
    os.chdir("/")


def _show(source: str, target: str) -> None:
    """Mount a folder or file of the machine, and what is mounted below it, so that nothing in it can be changed."""
    _mount(source, target, "", _BIND | _RECURSIVE)
    attributes = (ctypes.c_uint64 * 4)(_READ_ONLY, 0, 0, 0)
    _checked(_LIBC.syscall(_MOUNT_SETATTR, -100, target.encode(), _AT_RECURSIVE, attributes, 32), target)


_KINDS: dict[str, Callable[[str, str], None]] = {
    "show": _show,
    "bind": lambda source, target: _mount(source, target, "", _BIND | _RECURSIVE),
    "memory": lambda _source, target: _mount("tmpfs", target, "tmpfs", _NODEV_NOSUID),
}


def _mount(source: str, target: str, kind: str, flags: int) -> None:
    _checked(_LIBC.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), None), target)


def _checked(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def _sweep() -> None:
    """Kill every descendant; those of a child become children when it has ended."""
    while True:
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        for name in filter(str.isdigit, os.listdir("/proc")):
            if _parent(name) == os.getpid():
                _signal(int(name), signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, 0)


def _parent(name: str) -> int:
    try:
        with open(f"/proc/{name}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _tell(answer: Mapping[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):
        os.write(1, json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    if len(sys.argv) > 1:  # only try whether a root of one's own can be had
        enter(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
    else:
        main()
