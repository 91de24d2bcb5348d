"""TensorFlow, imported so that a log stays readable and nothing is written at home; and what it says of the disk, as an OSError.

Imports nothing of it before it is asked to.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "KERAS_BACKEND": "tensorflow",
    "KERAS_HOME": os.devnull,  # a place where Keras finds no settings and can write none
}


def import_tensorflow() -> Any:
    """TensorFlow, without the lines that its libraries write on stderr at whatever log level, and with only errors told afterwards."""
    os.environ |= {name: value for name, value in _ENVIRONMENT.items() if not os.environ.get(name)}
    sys.stderr.flush()
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import tensorflow as tf
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
    tf.get_logger().setLevel("ERROR")
    return tf


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise what TensorFlow's own file system meets while it writes (a full disk, a folder without rights) as the OSError it was.

    TensorFlow keeps of it only the operating system's words, behind the file's name.
    """
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as error:
        said = [number for number in errno.errorcode if f"; {os.strerror(number)}" in error.message]
        if not said:
            raise
        raise OSError(said[0], os.strerror(said[0]), str(path)) from error
