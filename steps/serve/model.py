"""One version of a model in memory: a SavedModel in a TensorFlow session, as TensorFlow Serving holds it.

The session, not `tf.saved_model.load`, because it is what TensorFlow Serving runs, needs no Python objects of the model,
and is left behind whole when a version goes. TensorFlow is imported when the first model is loaded.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from clients.serving import messages
from clients.serving.tensors import Array
from steps import quiet
from steps.serve import signatures
from steps.serve.errors import ServingError
from steps.serve.signatures import Signature

_MOST_CALLABLES = 64


@dataclass(frozen=True)
class SessionOptions:
    """How sessions run: threads within an operation and between operations (0: TensorFlow chooses), and the tags of the graph."""

    intra_op_threads: int
    inter_op_threads: int
    tags: tuple[str, ...]


class Model:
    """A loaded SavedModel. Thread-safe; `close` must come after the last call."""

    def __init__(self, path: Path, options: SessionOptions) -> None:
        """Load a SavedModel. Raises ServingError with the reason where it cannot be loaded."""
        self._tf = quiet.import_tensorflow()
        self.signature_definitions = _read_signatures(path, options.tags)
        self.signatures: Mapping[str, Signature] = {
            name: signatures.read(name, definition) for name, definition in self.signature_definitions.signature_def.items()
        }
        self._callables: dict[tuple[str, tuple[str, ...]], Callable[..., list[Any]]] = {}
        self._lock = threading.Lock()
        with _told_as_status(self._tf):
            self._session = self._load(path, options)

    def run(self, signature: Signature, outputs: tuple[str, ...], columns: Sequence[Array]) -> list[Array]:
        """The outputs asked for, from one array for each input, in the order of `signature.inputs`. Raises ServingError."""
        key = signature.name, outputs
        call = self._callables.get(key)
        with _told_as_status(self._tf):
            if call is None:
                call = self._callable(signature, outputs)
                with self._lock:
                    if len(self._callables) >= _MOST_CALLABLES:
                        self._callables.clear()
                    self._callables[key] = call
            results = call(*columns)
        return [np.array(result, object) if isinstance(result, bytes) else np.asarray(result) for result in results]

    def close(self) -> None:
        """Give back the memory of the model."""
        self._callables.clear()
        self._session.close()
        del self._session

    def _load(self, path: Path, options: SessionOptions) -> Any:
        v1 = self._tf.compat.v1
        graph = self._tf.Graph()
        config = v1.ConfigProto(
            intra_op_parallelism_threads=options.intra_op_threads,
            inter_op_parallelism_threads=options.inter_op_threads,
            use_per_session_threads=True,
        )
        with graph.as_default():
            session = v1.Session(graph=graph, config=config)
            v1.saved_model.load(session, list(options.tags), str(path))
        return session

    def _callable(self, signature: Signature, outputs: tuple[str, ...]) -> Callable[..., list[Any]]:
        """What TensorFlow Serving's own session would run.

        Not Session.make_callable: where there are inputs, it goes through all of Session.run in Python, which takes ten
        times as long as the model (1.0 ms for 39 inputs, against 0.1 ms).
        """
        from tensorflow.core.protobuf import config_pb2

        feeds = [tensor.name for tensor in signature.inputs.values()]
        fetches = [signature.outputs[alias].name for alias in outputs]
        if not all((*feeds, *fetches)):
            raise ServingError("UNIMPLEMENTED", f"signature {signature.name} has inputs or outputs that are not dense tensors")
        options = config_pb2.CallableOptions(feed=feeds, fetch=fetches)
        return self._session._make_callable_from_options(options)


@contextlib.contextmanager
def _told_as_status(tf: Any) -> Iterator[None]:
    """What TensorFlow raises, as the status that TensorFlow Serving would answer."""
    try:
        yield
    except tf.errors.OpError as error:
        code = next((name for name, number in messages.ERROR_CODES.items() if number == error.error_code), "UNKNOWN")
        raise ServingError(code, error.message) from None
    except (ValueError, TypeError, OSError, RuntimeError, KeyError) as error:
        raise ServingError("INVALID_ARGUMENT", str(error)) from None


def _read_signatures(path: Path, tags: tuple[str, ...]) -> Any:
    """The SignatureDefMap of the graph with these tags. Raises ServingError."""
    file = path / "saved_model.pb"
    try:
        saved_model = messages.SavedModel.FromString(file.read_bytes())
    except OSError as error:
        raise ServingError(
            "NOT_FOUND", f"Could not find SavedModel .pb at supplied export directory path: {path} ({error.strerror})"
        ) from None
    except DecodeError as error:
        raise ServingError("DATA_LOSS", f"Can't parse {file} as binary proto: {error}") from None
    for meta_graph in saved_model.meta_graphs:
        if set(meta_graph.meta_info_def.tags) == set(tags):
            definitions = messages.SignatureDefMap()
            definitions.signature_def.MergeFrom(meta_graph.signature_def)
            return definitions
    raise ServingError("NOT_FOUND", f"Could not find meta graph def matching supplied tags: {{ {' '.join(tags)} }} in {file}")
