"""The embedded model server: the API of TensorFlow Serving 2.21 on one machine, for a laptop or a test.

| of TensorFlow Serving | here |
|---|---|
| gRPC PredictionService | Predict, GetModelMetadata; Classify, Regress, MultiInference and the streamed calls are UNIMPLEMENTED |
| gRPC ModelService | GetModelStatus, HandleReloadConfigRequest (metrics always rise by 0) |
| REST | predict (rows and columns), model status, model metadata; classify and regress answer 501 |
| tensors | all numbers and strings, as values or as tensor_content; no bfloat16, float8, 4-bit or quantised types, no sparse inputs |
| models | TensorFlow SavedModels in folders of this machine; several models, policies latest, all and specific, labels |
| versions | loaded before the one before is dropped; START, LOADING, AVAILABLE, UNLOADING, END with the error; retries |
| warm-up | PredictLogs of assets.extra/tf_serving_warmup_requests; other records are left out |
| flags | those in flags.py; every other one is refused by name |

What differs: it listens on 127.0.0.1 only; concurrent requests are merged where every input and output of a signature has
rows in its first dimension, unless --enable_batching=false, also without --enable_batching; SIGTERM and SIGINT answer
what has begun and exit 0; a server that cannot start exits 2.
"""
