"""Outlives a runner that is killed, to end what it had started. Run as a program of its own: guard.py, groups on stdin.

Each line of stdin is +N or -N: a process group that has begun or ended. At the end of stdin every group that is left is killed.
"""

import contextlib
import os
import signal
import sys


def main() -> None:
    """Follow stdin to its end, then kill what is left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line[0] == "+":
            groups.add(group)
        else:
            groups.discard(group)
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
