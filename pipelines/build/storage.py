"""What a container sees of disks: the workspace that all steps share, and a scratch folder of its own."""

from __future__ import annotations

from hera.workflows import models

from pipelines.build.names import CLAIM
from pipelines.parameters import PARAMETERS

SCRATCH = "/scratch"

# Pod Security "restricted" allows no nfs, azureFile or hostPath volume in a pod, but any claim.
VOLUMES = [
    models.Volume(name=CLAIM, persistent_volume_claim=models.PersistentVolumeClaimVolumeSource(claim_name=CLAIM)),
    models.Volume(name="scratch", empty_dir=models.EmptyDirVolumeSource()),
]
MOUNTS = [
    models.VolumeMount(name=CLAIM, mount_path=str(PARAMETERS["NFS_PATH"].default)),
    models.VolumeMount(name="scratch", mount_path=SCRATCH),
]
