"""One version of a model in memory: a SavedModel in a TensorFlow session, as TensorFlow Serving holds it.

The session, not `tf.saved_model.load`, because it is what TensorFlow Serving runs, needs no Python objects of the model,
and is left behind whole when a version goes. TensorFlow is imported when the first model is loaded.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clients.serving import messages
from clients.serving.tensors import Array
from steps.serve import signatures
from steps.serve.errors import ServingError
from steps.serve.signatures import Pack, Signature

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
        self._tf = import_tensorflow()
        meta_graph = _read_meta_graph(path, options.tags)
        definitions = messages.SignatureDefMap()
        for name, definition in meta_graph.signature_def.items():
            definitions.signature_def[name].MergeFromString(definition.SerializeToString())
        self.signature_definitions = definitions
        self.signatures: Mapping[str, Signature] = {
            name: signatures.read(name, definition) for name, definition in definitions.signature_def.items()
        }
        self._packed: dict[tuple[str, Pack], Any] = {}
        self._fed_at: dict[str, Any] = {}
        self._callables: dict[tuple[str, tuple[str, ...], bool], Callable[..., list[Any]]] = {}
        self._lock = threading.Lock()
        consumed = {source for node in meta_graph.graph_def.node for source in node.input}
        with _told_as_status(self._tf):
            self._session = self._load(path, options, consumed)

    def run_packs(self, signature: Signature, outputs: tuple[str, ...], packs: Sequence[Array]) -> list[Array]:
        """The outputs asked for, from packs in the order of `signature.packs`."""
        return self._run(signature, outputs, True, packs)

    def run_arrays(self, signature: Signature, outputs: tuple[str, ...], arrays: Mapping[str, Array]) -> list[Array]:
        """The outputs asked for, from one array for each input."""
        return self._run(signature, outputs, False, [arrays[alias] for alias in signature.inputs])

    def close(self) -> None:
        """Give back the memory of the model."""
        with self._lock:
            self._callables.clear()
            self._packed.clear()
            self._fed_at.clear()
            self._session.close()
            del self._session

    def _run(self, signature: Signature, outputs: tuple[str, ...], packed: bool, feeds: Sequence[Array]) -> list[Array]:
        key = (signature.name, outputs, packed)
        call = self._callables.get(key)
        with _told_as_status(self._tf):
            if call is None:
                call = self._callable(signature, outputs, packed)
                with self._lock:
                    if len(self._callables) >= _MOST_CALLABLES:
                        self._callables.clear()
                    self._callables[key] = call
            return [np.asarray(output) for output in call(*feeds)]

    def _load(self, path: Path, options: SessionOptions, consumed: set[str]) -> Any:
        v1 = self._tf.compat.v1
        graph = self._tf.Graph()
        config = v1.ConfigProto(
            intra_op_parallelism_threads=options.intra_op_threads,
            inter_op_parallelism_threads=options.inter_op_threads,
            use_per_session_threads=True,
        )
        with graph.as_default():
            session = v1.Session(graph=graph, config=config)
            v1.saved_model.load(session, list(options.tags), str(path), input_map=self._add_packs(consumed))
        return session

    def _add_packs(self, consumed: set[str]) -> dict[str, Any]:
        """Add a placeholder for each pack, and map the inputs it replaces to its columns.

        An input that a second signature shares is fed at the column that replaced it.
        """
        v1 = self._tf.compat.v1
        replaced: dict[str, Any] = {}
        for signature in self.signatures.values():
            names = [signature.inputs[alias].name for alias in signature.inputs]
            if not signature.packs or any(name in replaced or name.removesuffix(":0") not in consumed for name in names):
                continue
            for pack in signature.packs:
                dtype = self._tf.as_dtype(pack.dtype)
                placeholder = v1.placeholder(dtype, [len(pack.aliases), None, *pack.inner], name="tiphys_pack")
                self._packed[signature.name, pack] = placeholder
                columns = self._tf.unstack(placeholder, axis=0)
                replaced.update({signature.inputs[alias].name: column for alias, column in zip(pack.aliases, columns, strict=True)})
        self._fed_at = replaced
        return replaced

    def _callable(self, signature: Signature, outputs: tuple[str, ...], packed: bool) -> Callable[..., list[Any]]:
        graph = self._session.graph

        def tensor(info: signatures.Tensor) -> Any:
            if not info.name:
                raise ServingError("UNIMPLEMENTED", f"signature {signature.name} has inputs or outputs that are not dense tensors")
            return self._fed_at.get(info.name) if info.name in self._fed_at else graph.get_tensor_by_name(info.name)

        fetches = [tensor(signature.outputs[alias]) for alias in outputs]
        if not packed:
            return self._session.make_callable(fetches, [tensor(info) for info in signature.inputs.values()])
        if all((signature.name, pack) in self._packed for pack in signature.packs):
            return self._session.make_callable(fetches, [self._packed[signature.name, pack] for pack in signature.packs])
        by_column = self._session.make_callable(
            fetches, [tensor(signature.inputs[alias]) for pack in signature.packs for alias in pack.aliases]
        )
        return lambda *packs: by_column(*[column for packed_columns in packs for column in packed_columns])


def import_tensorflow() -> Any:
    """TensorFlow, imported without the lines it writes on stderr as it starts, and with only errors told afterwards."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _quiet_stderr():
        import tensorflow as tf
    tf.get_logger().setLevel("ERROR")
    return tf


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


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


def _read_meta_graph(path: Path, tags: tuple[str, ...]) -> Any:
    from tensorflow.core.protobuf import saved_model_pb2

    file = path / "saved_model.pb"
    try:
        saved_model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    except OSError as error:
        raise ServingError(
            "NOT_FOUND", f"Could not find SavedModel .pb at supplied export directory path: {path} ({error.strerror})"
        ) from None
    except Exception as error:  # protobuf's DecodeError, whichever implementation raises it
        raise ServingError("DATA_LOSS", f"Can't parse {file} as binary proto: {error}") from None
    for meta_graph in saved_model.meta_graphs:
        if set(meta_graph.meta_info_def.tags) == set(tags):
            return meta_graph
    raise ServingError("NOT_FOUND", f"Could not find meta graph def matching supplied tags: {{ {' '.join(tags)} }} in {file}")
