"""What a container sees of disks: the workspace that all steps share, and a scratch folder of its own."""

from __future__ import annotations

from hera.workflows import models

from pipelines.parameters import PARAMETERS

CLAIM = "workspace"
SCRATCH = "/scratch"

# Pod Security "restricted" allows no nfs, azureFile or hostPath volume in a pod, but any claim.
VOLUMES = [
    models.Volume(name="workspace", persistent_volume_claim=models.PersistentVolumeClaimVolumeSource(claim_name=CLAIM)),
    models.Volume(name="scratch", empty_dir=models.EmptyDirVolumeSource()),
]
MOUNTS = [
    models.VolumeMount(name="workspace", mount_path=str(PARAMETERS["NFS_PATH"].default)),
    models.VolumeMount(name="scratch", mount_path=SCRATCH),
]
