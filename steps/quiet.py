"""TensorFlow, imported so that a log stays readable and nothing is written at home. Imports nothing of it before it is asked to."""

from __future__ import annotations

import os
import sys
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
