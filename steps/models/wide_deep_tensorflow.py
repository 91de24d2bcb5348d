"""TensorFlow as training needs it: the same steps give the same bits."""

from __future__ import annotations

from steps import quiet


def prepare(seed: int) -> None:
    """Import it, for a seed."""
    tf = quiet.import_tensorflow()
    tf.config.experimental.enable_op_determinism()
    tf.random.set_seed(seed % 2**31)


def versions() -> dict[str, str]:
    """The versions of what the figures depend on."""
    import keras
    import numpy as np
    import tensorflow as tf

    return {"numpy": np.__version__, "keras": keras.__version__, "tensorflow": tf.__version__}
