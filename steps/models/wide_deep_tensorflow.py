"""TensorFlow and Keras, imported so that the log stays readable, nothing is written at home, and the same steps give the same bits."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

_ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "KERAS_BACKEND": "tensorflow",
    "KERAS_HOME": os.devnull,  # a place where Keras finds no settings and can write none
}


def prepare(seed: int) -> None:
    """Import both, for a seed."""
    os.environ |= {name: value for name, value in _ENVIRONMENT.items() if not os.environ.get(name)}
    with _without_greeting():
        import keras  # noqa: F401
        import tensorflow as tf
    tf.get_logger().setLevel("ERROR")
    tf.config.experimental.enable_op_determinism()
    tf.random.set_seed(seed % 2**31)


def versions() -> dict[str, str]:
    """The versions of what the figures depend on."""
    import keras
    import numpy as np
    import tensorflow as tf

    return {"numpy": np.__version__, "keras": keras.__version__, "tensorflow": tf.__version__}


@contextlib.contextmanager
def _without_greeting() -> Iterator[None]:
    """Keep what TensorFlow's libraries say while they are imported, whatever the log level, out of a log for people."""
    sys.stderr.flush()
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
