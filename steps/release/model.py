"""A SavedModel in this process, through TensorFlow: what its signature declares, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from steps import contract, quiet
from steps.release.checks import SIGNATURE, Array, BadModel, Tensor


class LoadedModel:
    """A loaded SavedModel's `serving_default`. Raises BadModel where it cannot be loaded or has no such signature."""

    def __init__(self, folder: Path) -> None:
        self._tf = tf = quiet.import_tensorflow()
        self._loaded = self._try(f"the SavedModel {folder.name} does not load", lambda: tf.saved_model.load(str(folder)))
        signatures = getattr(self._loaded, "signatures", {})
        if SIGNATURE not in signatures:
            raise BadModel(f"the SavedModel {folder.name}: expected a signature {SIGNATURE}, got {', '.join(signatures) or 'none'}")
        self._signature = signatures[SIGNATURE]
        self.inputs = {name: _tensor(spec) for name, spec in self._signature.structured_input_signature[1].items()}
        self.outputs = {name: _tensor(spec) for name, spec in self._signature.structured_outputs.items()}

    def answer(self, inputs: Mapping[str, Array], what: str) -> dict[str, Array]:
        """The outputs for some rows (numbers float32 [N], categories text [N]). Raises BadModel where it fails; `what` names the rows."""
        tensors = {name: self._tf.constant(values.tolist() if values.dtype == object else values) for name, values in inputs.items()}
        answers = self._try(f"the model fails to answer {what}", lambda: self._signature(**tensors))
        return {name: np.asarray(tensor.numpy()) for name, tensor in answers.items()}

    def _try(self, what: str, action: Any) -> Any:
        errors = self._tf.errors
        try:
            return action()
        except (errors.UnavailableError, errors.ResourceExhaustedError, errors.DeadlineExceededError, MemoryError) as error:
            raise contract.Transient(f"{what} for now: {_reason(error)}") from error
        except OSError as error:
            if contract.exit_code_of(error) == contract.TRANSIENT:
                raise
            raise BadModel(f"{what}: {_reason(error)}") from error
        except Exception as error:
            raise BadModel(f"{what}: {type(error).__name__}: {_reason(error)}") from error


def _tensor(spec: Any) -> Tensor:
    return Tensor(spec.dtype.name, None if spec.shape.rank is None else tuple(spec.shape.as_list()))


def _reason(error: BaseException) -> str:
    """The line of an error's message that says why: in one of a graph, the last before the node that failed, `[[{{node ...`."""
    lines = [line.strip() for line in str(error).partition("[[{{")[0].splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return lines[-1] if "[[{{" in str(error) else lines[0]


def warm_up_file(path: Path, requests: list[Any]) -> None:
    """Write requests (messages) for a server to answer before it takes traffic: a TFRecord file of PredictionLog messages."""
    import tensorflow as tf

    with quiet.writing(path), tf.io.TFRecordWriter(str(path)) as writer:
        for request in requests:
            writer.write(request.SerializeToString())
