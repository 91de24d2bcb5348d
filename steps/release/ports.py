"""Ports of this machine: which are free, and who has one that is not."""

from __future__ import annotations

import contextlib
import errno
import random
import socket
from pathlib import Path

from steps import contract
from steps.release import process

_FIX = "`-p {}=PORT`"


def free(count: int) -> list[int]:
    """Ports that nobody uses now, all different, and none of those that the kernel itself gives to connections meanwhile."""
    ephemeral = _ephemeral()
    candidates = [port for port in range(20000, 60000) if port not in ephemeral] or list(range(20000, 60000))
    found: list[int] = []
    for port in random.SystemRandom().sample(candidates, len(candidates)):
        if len(found) == count:
            break
        if _refusal(port) is None:
            found.append(port)
    return found


def require_two(port: int, rest_port: int) -> None:
    """Raises BadInput unless gRPC and REST have a port each."""
    if port == rest_port:
        raise contract.BadInput(f"TF_SERVING_REST_PORT: expected another port than TF_SERVING_PORT, got {rest_port} for both")


def require_free(port: int, setting: str) -> None:
    """Raises BadInput, naming the setting, unless a server could listen at a port on every address of the machine."""
    refusal = _refusal(port)
    if isinstance(refusal, PermissionError):
        raise contract.BadInput(
            f"{setting}: expected a port that this user may listen at, got {port}; set another with {_FIX.format(setting)}"
        )
    if refusal is not None:
        who = _holder(port) or "another process"
        raise contract.BadInput(
            f"{setting}: expected a free port, but {who} listens at {port}; stop it, or set another with {_FIX.format(setting)}"
        )


def _refusal(port: int) -> OSError | None:
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):  # noqa: S104 - bound for an instant, never listening
        try:
            with socket.socket(family) as one:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                one.bind((address, port))
        except OSError as error:
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                return error
    return None


def _ephemeral() -> range:
    """The ports that the kernel gives to connections (ip-sysctl, ip_local_port_range)."""
    low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    return range(int(low), int(high) + 1)


def _holder(port: int) -> str:
    """Who listens at a port, as "process 123 (its command)", as far as this user may see; empty where unknown."""
    inodes = _listening(port)
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(file.readlink().name in inodes for file in (entry / "fd").iterdir()):
                return f"process {entry.name} ({' '.join(process.command_line(int(entry.name)))[:120]})"
    return ""


def _listening(port: int) -> set[str]:
    """The sockets that listen at a port, as links in /proc/PID/fd name them (proc_net(5))."""
    names = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                    names.add(f"socket:[{fields[9]}]")
    return names
