"""Whose rights the pods have: enough for a namespace that enforces Pod Security "restricted", and no more."""

from __future__ import annotations

from hera.workflows import models

from pipelines.parameters import PARAMETERS

ACCOUNT = "tiphys"
# How long a pod may take to save what lets it continue, after SIGTERM. One that ends sooner is not waited for.
GRACE_S = 120


def _id(name: str) -> int:
    return int(str(PARAMETERS[name].default))


POD = models.PodSecurityContext(
    run_as_non_root=True,
    run_as_user=_id("USER_ID"),
    run_as_group=_id("GROUP_ID"),
    fs_group=_id("FS_ID"),
    seccomp_profile=models.SeccompProfile(type="RuntimeDefault"),
)
CONTAINER = models.SecurityContext(allow_privilege_escalation=False, capabilities=models.Capabilities(drop=["ALL"]))

# Argo gives its own two containers no security context, and "restricted" then rejects the pod (seen with 4.0.7).
PATCH = f"""\
terminationGracePeriodSeconds: {GRACE_S}
initContainers:
- name: init
  securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
containers:
- name: wait
  securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
"""
