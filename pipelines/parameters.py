"""The one table of parameters. A name here is the key in `site.env`, the Argo parameter and the step's environment variable.

Names, meanings and what is required are those of the original deployment's users; defaults stand here and nowhere else.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from steps import contract


@dataclass(frozen=True)
class Parameter:
    """One row: `required` says that a site or a run should set it; `set_by` says where its value belongs.

    `per_site` says that no default fits every site: each overlay that uses the value must give it.
    """

    name: str
    default: str | None
    kind: contract.Kind
    description: str
    required: bool
    set_by: Literal["run", "site"]
    per_site: bool = False


_MODEL = "wide-deep-large-ds-fp32-training"
_SERVER = "docker.io/tensorflow/serving:2.19.1"
_ROWS = [
    Parameter("AZURE_FILE_SECRET", "azure-file", contract.OBJECT, "secret with name and key of the Azure storage account", False, "site"),
    Parameter("AZURE_FILE_SHARE", None, contract.OBJECT, "name of the Azure file share", True, "site", per_site=True),
    Parameter("BATCH_SIZE", "512", contract.POSITIVE, "rows in a training step", False, "run"),
    Parameter("CHECKPOINT_DIR", "checkpoints", contract.NAME, "base name of the folder for checkpoints", True, "run"),
    Parameter("CLAIM", "workspace", contract.OBJECT, "claim of the volume that all steps share", False, "site"),
    Parameter("DATASET_DIR", "datasets", contract.TEXT, "folder of the data; a relative one lies on the volume", True, "run"),
    Parameter("DATA_FORMAT", "criteo", contract.TEXT, "criteo, census, csv, or the path of a schema file", False, "run"),
    Parameter("DATA_SHA256", "", contract.SHA256, "checksum of what DATA_URL names; empty: no check", False, "run"),
    Parameter(
        "DATA_URL",
        "generated://criteo?rows=200000&seed=1",
        contract.TEXT,
        "data to download: file, http(s), s3 or generated; empty: DATASET_DIR holds it",
        False,
        "run",
    ),
    Parameter("DEPLOY_TIMEOUT_S", "600", contract.POSITIVE, "seconds that a canary or a rollout may take on a cluster", False, "run"),
    Parameter("EFS_ID", None, contract.TEXT, "EFS file system, or file system::access point", True, "site", per_site=True),
    Parameter("FS_ID", "1000", contract.COUNT, "owner group id of mounted volumes (fsGroup)", True, "site", per_site=True),
    Parameter("GROUP_ID", "1000", contract.COUNT, "group id of the processes", True, "site", per_site=True),
    Parameter("GROUP_NAME", "tiphys", contract.NAME, "group name of the processes", True, "site"),
    Parameter("HOST_PATH", None, contract.FOLDER, "folder of the node that holds the volume", True, "site", per_site=True),
    Parameter("IMAGE_SUFFIX", "", contract.TEXT, "appended to the image name", False, "site"),
    Parameter("KEEP_VERSIONS", "5", contract.POSITIVE, "released versions that are kept, the serving one besides", False, "run"),
    Parameter("MODEL_DIR", "/opt/tiphys/steps/models", contract.FOLDER, "model code inside the container", False, "run"),
    Parameter("MODEL_NAME", _MODEL, contract.NAME, "name of the use case; also the model's name at the server", False, "run"),
    Parameter("MODEL_SCRIPT", "wide_deep.py", contract.NAME, "the training program, in MODEL_DIR", False, "run"),
    Parameter("NFS_PATH", "/nfs", contract.FOLDER, "path of the NFS export, also the mount path", True, "site"),
    Parameter("NFS_SERVER", None, contract.TEXT, "address of the NFS server", True, "site", per_site=True),
    Parameter("OUTPUT_DIR", "output", contract.NAME, "base name of the folder for results", True, "run"),
    Parameter("PULL_POLICY", "IfNotPresent", contract.PULL_POLICY, "when images are pulled", False, "site"),
    Parameter("PULL_SECRET", "", contract.OPTIONAL_OBJECT, "secret with the credentials of the registry", False, "site"),
    Parameter("REGISTRY", "docker.io", contract.TEXT, "where the image comes from", False, "site"),
    Parameter("REPLICAS", "3", contract.POSITIVE, "replicas of the model server (one machine: always 1)", False, "run"),
    Parameter("RESTART_LIMIT", "10", contract.COUNT, "further starts after kills and transient faults", False, "run"),
    Parameter("RETRY_LIMIT", "10", contract.COUNT, "further attempts after the first", False, "run"),
    Parameter("ROLLBACK_VERSION", "", contract.OPTIONAL_POSITIVE, "version to go back to; empty: the one released before", False, "run"),
    Parameter("S3_SECRET", "s3-credentials", contract.OBJECT, "secret with AWS_ACCESS_KEY_ID and the like", False, "site"),
    Parameter("SEED", "1", contract.COUNT, "seed of the split, the model and the order of the data", False, "run"),
    Parameter("SERVING_CPU", "500m", contract.QUANTITY, "processors that a model server asks for", False, "site"),
    Parameter("SERVING_IMAGE", _SERVER, contract.TEXT, "image of TensorFlow Serving", False, "site"),
    Parameter("SERVING_MEMORY", "1Gi", contract.QUANTITY, "memory that a model server asks for", False, "site"),
    Parameter("STEPS", "500", contract.POSITIVE, "training steps in an attempt", False, "run"),
    Parameter("TARGET_ACCURACY", "0.75", contract.FRACTION, "accuracy that lets the pipeline go on; empty: no check", True, "run"),
    Parameter("TF_SERVING_NODE_PORT", "", contract.OPTIONAL_PORT, "gRPC port at every node; empty: the cluster chooses", False, "run"),
    Parameter("TF_SERVING_PORT", "8500", contract.PORT, "gRPC port of the serving service", True, "run"),
    Parameter("TF_SERVING_REST_PORT", "8501", contract.PORT, "REST port of the serving service", False, "run"),
    Parameter("TRAIN_CPU", "500m", contract.QUANTITY, "processors that training asks for", False, "site"),
    Parameter("TRAIN_GPUS", "1", contract.POSITIVE, "GPUs that training gets", False, "site"),
    Parameter("TRAIN_MEMORY", "1Gi", contract.QUANTITY, "memory that training asks for", False, "site"),
    Parameter("USER_ID", "1000", contract.COUNT, "user id of the processes", True, "site", per_site=True),
    Parameter("USER_NAME", "tiphys", contract.NAME, "user name of the processes; part of the path on the volume", True, "run"),
    Parameter("VOLUME_ACCESS_MODE", "ReadWriteMany", contract.ACCESS_MODE, "access mode of the volume", False, "site"),
    Parameter("VOLUME_SIZE", "100Gi", contract.QUANTITY, "size of the volume", False, "site"),
]
PARAMETERS: Mapping[str, Parameter] = {row.name: row for row in _ROWS}


def find(name: str) -> Parameter:
    """The row of a name. Raises BadInput with the nearest name for one that is not in the table."""
    if name in PARAMETERS:
        return PARAMETERS[name]
    near = difflib.get_close_matches(name.upper(), PARAMETERS, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]}?" if near else ";"
    raise contract.BadInput(f"{name}: no such parameter{hint} `python -m pipelines parameters` lists them all")
