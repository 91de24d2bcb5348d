"""What every step promises: settings from the environment, outputs as files, one table of exit codes.

A step is a module with a frozen dataclass `Settings`, a dataclass `Outputs` and `main(settings) -> Outputs`, run by
`contract.run(main)`. Each field of `Settings` is the environment variable of the same name in capitals; each field of
`Outputs` becomes a file of that name in the folder OUTPUTS_FOLDER. The compiler derives the step's Argo template from
both classes. Standard library only: the compiler reads this module, and a bad setting must be refused in an instant.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import re
import signal
import sys
import threading
import traceback
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

from steps import storage

S = TypeVar("S")

DONE, UNEXPECTED, BAD_INPUT, BELOW_TARGET, BUDGET_SPENT = 0, 1, 2, 3, 4
TRANSIENT, KILLED, TERMINATED = 138, 137, 143


class StepError(Exception):
    """An end of a step that was foreseen. Its message says what, where, expected, got, and what to do."""

    exit_code = UNEXPECTED


class BadInput(StepError):
    """Input, settings or a place that no retry will mend."""

    exit_code = BAD_INPUT


class BelowTarget(StepError):
    """Trained and saved, but below the target: worth another attempt."""

    exit_code = BELOW_TARGET


class BudgetSpent(StepError):
    """Below the target, and no attempt is left."""

    exit_code = BUDGET_SPENT


class Transient(StepError):
    """Storage or network failed for longer than the step itself waits: worth another start."""

    exit_code = TRANSIENT


class Terminated(BaseException):
    """SIGTERM: what lets the step continue has been saved.

    No Exception, as KeyboardInterrupt is none: it comes at any moment, and what a library does about its own errors must not catch it.
    """


@dataclass(frozen=True)
class Kind:
    """A kind of value: how it is read from text, and what a message says was expected."""

    expected: str
    parse: Callable[[str], Any]


def _integer(low: int, high: int | None = None) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]+", text) or len(text) > 18:
            raise ValueError
        value = int(text)
        if value < low or (high is not None and value > high):
            raise ValueError
        return value

    return parse


def _fraction(text: str) -> float | None:
    if text == "":
        return None
    value = float(text)
    if not 0 < value <= 1:
        raise ValueError
    return value


def _matching(pattern: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError
        return text

    return parse


def _absolute(text: str) -> Path:
    if not text.startswith("/"):
        raise ValueError
    return Path(text)


def _optional_port(text: str) -> int | None:
    return _integer(1, 65535)(text) if text else None


def _optional_positive(text: str) -> int | None:
    return _integer(1)(text) if text else None


def _one_of(*words: str) -> Kind:
    return Kind(f"{', '.join(words[:-1])} or {words[-1]}", _matching("|".join(map(re.escape, words))))


def _text(text: str) -> str:
    if "\0" in text or "\n" in text:
        raise ValueError
    return text


TEXT = Kind("one line of text", _text)
NAME = Kind("a name of letters, digits, '.', '_' and '-' that starts with none of '.-'", _matching(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"))
COUNT = Kind("a whole number, 0 or more", _integer(0))
POSITIVE = Kind("a whole number, 1 or more", _integer(1))
PORT = Kind("a port, 1 to 65535", _integer(1, 65535))
FRACTION = Kind("a number above 0 and at most 1 (0.75 for 75 %), or nothing for no check", _fraction)
SHA256 = Kind("64 hexadecimal digits, or nothing", _matching(r"(?:[0-9a-fA-F]{64})?"))
FOLDER = Kind("an absolute path", _absolute)
OPTIONAL_POSITIVE = Kind(f"{POSITIVE.expected}, or nothing", _optional_positive)
OPTIONAL_PORT = Kind("a port, 1 to 65535, or nothing", _optional_port)
# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
QUANTITY = Kind("a quantity such as 2, 500m or 4Gi", _matching(r"[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?"))
# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
OBJECT = Kind("a Kubernetes name: small letters, digits, '-' and '.'", _matching(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"))
OPTIONAL_OBJECT = Kind(f"{OBJECT.expected}; or nothing", _matching(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?)?"))
ACCESS_MODE = _one_of("ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
PULL_POLICY = _one_of("Always", "IfNotPresent", "Never")

Text = Annotated[str, TEXT]
Name = Annotated[str, NAME]
Count = Annotated[int, COUNT]
Positive = Annotated[int, POSITIVE]
Port = Annotated[int, PORT]
Fraction = Annotated[float | None, FRACTION]
Sha256 = Annotated[str, SHA256]
Folder = Annotated[Path, FOLDER]
OptionalPositive = Annotated[int | None, OPTIONAL_POSITIVE]
OptionalPort = Annotated[int | None, OPTIONAL_PORT]
Quantity = Annotated[str, QUANTITY]
Object = Annotated[str, OBJECT]
OptionalObject = Annotated[str, OPTIONAL_OBJECT]
PullPolicy = Annotated[str, PULL_POLICY]


def kinds(settings: type) -> Mapping[str, Kind]:
    """The kind of each field of a settings class, by the name of its environment variable."""
    hints = typing.get_type_hints(settings, include_extras=True)
    return {field.name.upper(): hints[field.name].__metadata__[0] for field in dataclasses.fields(settings)}


def output_names(outputs: type) -> tuple[str, ...]:
    """The names of a step's outputs: files in OUTPUTS_FOLDER, and Argo output parameters."""
    return tuple(field.name for field in dataclasses.fields(outputs))


def parse(name: str, kind: Kind, text: str) -> Any:
    """The value of one setting. Raises BadInput, naming the setting, what was expected and what came."""
    try:
        return kind.parse(text)
    except ValueError:
        raise BadInput(f"{name}: expected {kind.expected}, got {text!r}") from None


def read_settings(settings: type[S], environ: Mapping[str, str]) -> S:
    """The settings of a step, each checked. Raises BadInput for the first that is missing or wrong."""
    values = {}
    for name, kind in kinds(settings).items():
        if name not in environ:
            raise BadInput(f"{name}: expected {kind.expected}, but it is not set; set the environment variable {name}")
        values[name.lower()] = parse(name, kind, environ[name])
    return settings(**values)


def write_outputs(outputs: Any, folder: Path) -> None:
    """Each field of a step's outputs as one file, whole or not there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in output_names(type(outputs)):
        value = getattr(outputs, name)
        storage.write_whole(folder / name, "" if value is None else str(value))


def run(main: Callable[[Any], Any]) -> NoReturn:
    """Run a step and exit by the contract: settings read, outputs written, errors told in a line, a stack trace for bugs only."""
    settings = typing.get_type_hints(main)["settings"]
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminated)
    try:
        outputs = main(read_settings(settings, os.environ))
        folder = os.environ.get("OUTPUTS_FOLDER")
        if folder:
            write_outputs(outputs, Path(folder))
        else:
            for name in output_names(type(outputs)):
                log(f"{name}: {getattr(outputs, name)}")
        code = DONE
    except KeyboardInterrupt:
        log("interrupted; run again to continue")
        code = 128 + signal.SIGINT
    except Terminated as stopped:
        log(str(stopped))
        code = TERMINATED
    except StepError as error:
        log(str(error))
        code = error.exit_code
    except OSError as error:
        code = exit_code_of(error)
        if code == UNEXPECTED:
            traceback.print_exc()
        else:
            log(f"{error.strerror}: {error.filename or 'no file named'}; {_ADVICE[code]}")
    except Exception:
        traceback.print_exc()
        code = UNEXPECTED
    sys.stderr.flush()
    sys.exit(code)


def log(line: str) -> None:
    """One line for people, on stderr."""
    print(line, file=sys.stderr, flush=True)


# What the operating system says, as an exit code: what a person has to mend, and what may mend itself.
_ERRNO = {
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.EROFS), BAD_INPUT),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.ENAMETOOLONG, errno.EADDRINUSE, errno.EFBIG), BAD_INPUT),
    **dict.fromkeys((errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ECONNREFUSED, errno.ECONNRESET), TRANSIENT),
    **dict.fromkeys((errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EPIPE, errno.EAGAIN), TRANSIENT),
}
_ADVICE = {
    BAD_INPUT: "mend the path, its rights or the free space, then run again",
    TRANSIENT: "storage or network failed for now; another start may succeed",
}


def exit_code_of(error: OSError) -> int:
    """The contract's exit code for an error of the operating system."""
    return _ERRNO.get(error.errno or 0, UNEXPECTED)


def _terminated(_signal: int, _frame: Any) -> NoReturn:
    raise Terminated("stopped by SIGTERM; run again to continue")
