"""Warm-up: requests that a model brings along, replayed before it serves, so that no caller pays for what TensorFlow does on first use."""

from __future__ import annotations

from pathlib import Path

from clients.serving import messages
from steps import quiet
from steps.serve import wire
from steps.serve.errors import ServingError
from steps.serve.log import log
from steps.serve.servable import Servable

REQUESTS = Path("assets.extra", "tf_serving_warmup_requests")
_MOST_RECORDS = 1000


def replay(servable: Servable, path: Path) -> None:
    """Answer the PredictionLogs of a SavedModel's warm-up file, if it has one. Raises ServingError for one that fails."""
    file = path / REQUESTS
    if not file.exists():
        return
    for position, record in enumerate(_records(file)):
        if position >= _MOST_RECORDS:
            raise ServingError("INVALID_ARGUMENT", f"Number of warmup records exceeds the maximum ({_MOST_RECORDS}) at {file}")
        prediction = wire.parse(messages.PredictionLog, record)
        if prediction.WhichOneof("log_type") != "predict_log":
            log(f"{file}: record {position} is not of a Predict call, and is left out")
            continue
        request = wire.parse(wire.RawPredictRequest, prediction.predict_log.request.SerializeToString())
        servable.predict(request, prediction.predict_log.request.model_spec.signature_name, size=0)


def _records(file: Path) -> list[bytes]:
    """The records of a TFRecord file, their checksums checked."""
    tf = quiet.import_tensorflow()
    try:
        return list(tf.compat.v1.io.tf_record_iterator(str(file)))
    except tf.errors.OpError as error:
        raise ServingError("DATA_LOSS", f"{file}: {error.message}") from None
