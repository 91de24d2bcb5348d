"""Outlives a runner that is killed, to end what it had started. Run as a program of its own; reads lines from stdin.

`?MARK` announces a process group whose first process will have MARK in its environment, `+N` says that it has begun as group
N, `!` that it could not, `-N` that it has ended. At the end of stdin every group that is left is killed.
"""

import contextlib
import os
import signal
import sys
import time

_RECENT_S = 5.0
_PATIENCE_S = 0.5


def main() -> None:
    """Follow stdin to its end, then kill what is left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    announced = ""
    for line in sys.stdin:
        what, rest = line[0], line[1:].strip()
        announced = rest if what == "?" else ""
        if what == "+":
            groups.add(int(rest))
        elif what == "-":
            groups.discard(int(rest))
    for group in groups:
        _kill(group)
    if announced:
        _kill_announced(announced.encode())


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _kill_announced(mark: bytes) -> None:
    """Kill the group that the runner had no time to name: it began a moment ago, or begins now."""
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        for name in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else ()):
            if _is_announced(int(name), mark):
                _kill(int(name))
                return
        time.sleep(0.01)


def _is_announced(pid: int, mark: bytes) -> bool:
    try:
        if os.getsid(pid) != pid:
            return False
        with open(f"/proc/{pid}/stat", "rb") as file:
            began_s = int(file.read().rpartition(b")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
        with open(f"/proc/{pid}/environ", "rb") as file:
            is_marked = mark in file.read().split(b"\0")
    except (OSError, ValueError, IndexError):
        return False
    return is_marked and time.clock_gettime(time.CLOCK_BOOTTIME) - began_s < _RECENT_S


if __name__ == "__main__":
    main()
