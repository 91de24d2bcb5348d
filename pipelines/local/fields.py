"""The one table of Argo's fields: what the runner honours, what it ignores and why, what it refuses.

A row is `name kind` for a field that is honoured (`name kind required` for one that must be there), `name - reason` for one that
changes nothing here, and `name ! reason` for one that must not be overlooked. A kind is text, bool, whole (number), scalar (text,
number or boolean), whole-or-text, items, any, volume, podSpecPatch, a section of this table, [a list] or {a map} of these.
A section `[A of B]` has the rows of B, where it has none of the same name itself. Fields inside ignored and refused ones need no rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Verdict = Literal["honoured", "ignored", "refused"]


@dataclass(frozen=True)
class Field:
    """One row; `kind` is empty and `reason` given unless it is honoured."""

    section: str
    name: str
    verdict: Verdict
    kind: str
    reason: str
    required: bool = False


_TABLE = """
[Workflow]
apiVersion text
kind text
metadata ObjectMeta
spec WorkflowSpec required
status - a new run begins without one

[CronWorkflow]
apiVersion text
kind text
metadata ObjectMeta required
spec CronWorkflowSpec required
status - a run does not know it

[CronWorkflowSpec]
workflowSpec WorkflowSpec required
workflowMetadata CronMetadata
concurrencyPolicy - a run starts when you say so
failedJobsHistoryLimit - a run's folder stays until you remove it
schedules - a run starts when you say so
startingDeadlineSeconds - a run starts when you say so
stopStrategy - a run starts when you say so
successfulJobsHistoryLimit - a run's folder stays until you remove it
suspend - a run starts when you say so
timezone - a run starts when you say so
when - a run starts when you say so

[ObjectMeta]
name text
generateName text
labels {scalar}
annotations {scalar}
namespace - there are no namespaces on one machine
uid - a run has its own
creationTimestamp - a run has its own
deletionGracePeriodSeconds - nothing is deleted
deletionTimestamp - nothing is deleted
finalizers - nothing is deleted
generation - nothing counts it
managedFields - nobody else manages it
ownerReferences - nobody owns a run
resourceVersion - nothing counts it
selfLink - there is no server

[CronMetadata of ObjectMeta]
name - a run is named after the CronWorkflow
generateName - a run is named after the CronWorkflow

[WorkflowSpec]
entrypoint text
arguments Arguments
templates [Template]
templateDefaults Template
onExit text
hooks {LifecycleHook}
parallelism whole
activeDeadlineSeconds whole
retryStrategy RetryStrategy
serviceAccountName text
priority whole
volumes [Volume]
volumeClaimTemplates [PersistentVolumeClaim]
workflowMetadata WorkflowMetadata
affinity - there is one machine
archiveLogs - logs stay in the run's folder
artifactGC - artifacts stay in the run's folder
artifactRepositoryRef - artifacts stay in the run's folder
automountServiceAccountToken - there is no cluster to speak to
dnsConfig - the machine's own is used
dnsPolicy - the machine's own is used
executor - there is no executor beside a process
hostAliases - the machine's own names are used
hostNetwork - a process uses the machine's network
imagePullSecrets - images are not used
metrics - nobody collects them
nodeSelector - there is one machine
podDisruptionBudget - nothing is evicted
podGC - there are no pods to delete
podMetadata - nothing reads it
podPriorityClassName - nothing is preempted
schedulerName - there is one machine
securityContext - processes run as you
tolerations - there is one machine
ttlStrategy - a run's folder stays until you remove it
volumeClaimGC - the folders of claims stay in the run's folder
podSpecPatch podSpecPatch
shutdown text
suspend bool
synchronization - a workspace takes one run at a time
workflowTemplateRef WorkflowTemplateRef

[WorkflowMetadata]
labels {scalar}
annotations {scalar}
labelsFrom {LabelValueFrom}

[LabelValueFrom]
expression text required

[LabelValueFrom]
expression text required

[PersistentVolumeClaim]
metadata ObjectMeta required
spec - a claim is a folder
apiVersion - a claim is a folder
kind - a claim is a folder
status - a claim is a folder

[Volume]
name text required
emptyDir EmptyDir
persistentVolumeClaim PersistentVolumeClaimSource
awsElasticBlockStore volume
azureDisk volume
azureFile volume
cephfs volume
cinder volume
configMap ConfigMapVolume
csi volume
downwardAPI volume
ephemeral volume
fc volume
flexVolume volume
flocker volume
gcePersistentDisk volume
gitRepo volume
glusterfs volume
hostPath volume
image volume
iscsi volume
nfs volume
photonPersistentDisk volume
portworxVolume volume
projected volume
quobyte volume
rbd volume
scaleIO volume
secret SecretVolume
storageos volume
vsphereVolume volume

[EmptyDir]
medium - it is a folder
sizeLimit - it is a folder

[ConfigMapVolume]
name text
items [KeyToPath]
optional bool
defaultMode - the files are yours

[SecretVolume]
secretName text
items [KeyToPath]
optional bool
defaultMode - the files are yours

[KeyToPath]
key text required
path text required
mode - the files are yours

[PersistentVolumeClaimSource]
claimName text required
readOnly - a folder is not mounted

[Arguments]
parameters [Parameter]
artifacts [Artifact]

[Inputs]
parameters [Parameter]
artifacts [Artifact]

[Outputs]
parameters [Parameter]
artifacts [Artifact]
exitCode - it is written by the run
result - it is written by the run

[Parameter]
name text required
value scalar
default scalar
enum [scalar]
description text
globalName text
valueFrom ValueFrom

[ValueFrom]
path text
default scalar
parameter text
expression text
supplied any
configMapKeyRef KeyRef
event ! there are no events on one machine
jqFilter text
jsonPath text

[Artifact]
name text required
path text
from text
optional bool
raw RawArtifact
globalName text
mode whole
recurseMode - modes apply to the artifact's first level only
archive ArchiveStrategy
archiveLogs - logs stay in the run's folder
artifactGC - artifacts stay in the run's folder
deleted - it is written by the run
fromExpression text
subPath text
artifactory ! artifacts lie in the workspace, on an S3 server, or are downloaded by HTTP or git
azure ! artifacts lie in the workspace, on an S3 server, or are downloaded by HTTP or git
gcs ! artifacts lie in the workspace, on an S3 server, or are downloaded by HTTP or git
git GitArtifact
hdfs ! artifacts lie in the workspace, on an S3 server, or are downloaded by HTTP or git
http HttpArtifact
oss ! artifacts lie in the workspace, on an S3 server, or are downloaded by HTTP or git
plugin ! artifacts lie in the workspace, on an S3 server, or are downloaded by HTTP or git
s3 S3Artifact

[ArchiveStrategy]
none any
tar TarStrategy
zip any

[TarStrategy]
compressionLevel whole

[HttpArtifact]
url text required
headers [Header]
auth ! only servers that anybody may read are supported

[Header]
name text required
value text

[S3Artifact]
key text
endpoint text
bucket text
region text
insecure bool
accessKeySecret KeyRef
secretKeySecret KeyRef
sessionTokenSecret KeyRef
useSDKCreds bool
caSecret ! only certificates that this machine trusts are accepted
createBucketIfNotPresent ! no bucket is made; make it before
encryptionOptions ! encryption on the server is not supported
roleARN ! no other role is taken on

[GitArtifact]
repo text required
revision text
branch text
singleBranch bool
depth whole
fetch [text]
disableSubmodules bool
insecureIgnoreHostKey - your own settings of git and ssh hold
insecureSkipTLS - your own settings of git hold
passwordSecret - your own settings of git hold
sshPrivateKeySecret - your own settings of git and ssh hold
usernameSecret - your own settings of git hold

[RawArtifact]
data text required

[Template]
name text
inputs Inputs
outputs Outputs
container Container
script Script
steps [[Step]]
dag Dag
suspend Suspend
retryStrategy RetryStrategy
parallelism whole
failFast bool
activeDeadlineSeconds whole-or-text
timeout text
volumes [Volume]
annotations {text}
metadata - nothing reads it
affinity - there is one machine
archiveLocation - artifacts stay in the run's folder
automountServiceAccountToken - there is no cluster to speak to
executor - there is no executor beside a process
hostAliases - the machine's own names are used
metrics - nobody collects them
nodeSelector - there is one machine
priorityClassName - nothing is preempted
schedulerName - there is one machine
securityContext - processes run as you
serviceAccountName - processes run as you
tolerations - there is one machine
containerSet ContainerSet
daemon bool
data Data
http Http
initContainers [UserContainer]
memoize Memoize
plugin ! plugins need a cluster
podSpecPatch podSpecPatch
resource Resource
sidecars [UserContainer]
synchronization Synchronization

[Resource]
action text required
manifest text
manifestFrom ManifestFrom
flags [text]
mergeStrategy text
successCondition text
failureCondition text
setOwnerReference - no object of the cluster stands for the run; what it makes stays until you delete it

[ManifestFrom]
artifact Artifact required

[Data]
source DataSource required
transformation [TransformationStep]

[DataSource]
artifactPaths ArtifactPaths

[ArtifactPaths of Artifact]

[TransformationStep]
expression text

[Http]
url text required
method text
headers [HttpHeader]
body text
bodyFrom HttpBody
timeoutSeconds whole
successCondition text
insecureSkipVerify bool

[HttpHeader]
name text required
value text
valueFrom HttpHeaderSource

[HttpHeaderSource]
secretKeyRef KeyRef

[HttpBody]
bytes text

[Memoize]
key text required
cache Cache required
maxAge text

[Cache]
configMap CacheRef required

[CacheRef]
name text

[Synchronization]
mutexes [Mutex]
semaphores [Semaphore]

[Mutex]
name text
namespace text
database - a lock is one of the run

[Semaphore]
configMapKeyRef KeyRef
namespace text
database ! there is no database that holds the limit

[Step]
name text required
template text
inline Template
arguments Arguments
when text
withItems items
withParam text
withSequence Sequence
continueOn ContinueOn
onExit text
hooks {LifecycleHook}
templateRef TemplateRef

[Dag]
tasks [Task] required
target text
failFast - Argo 4.0.7 itself starts every task whose dependencies allow it

[Task]
name text required
template text
inline Template
arguments Arguments
dependencies [text]
depends text
when text
withItems items
withParam text
withSequence Sequence
continueOn ContinueOn
onExit text
hooks {LifecycleHook}
templateRef TemplateRef

[TemplateRef]
name text required
template text required
clusterScope bool

[WorkflowTemplateRef]
name text required
clusterScope bool

[LifecycleHook]
template text
arguments Arguments
expression text
templateRef TemplateRef

[Sequence]
count whole-or-text
start whole-or-text
end whole-or-text
format text

[ContinueOn]
error bool
failed bool

[Suspend]
duration scalar

[RetryStrategy]
limit whole-or-text
retryPolicy text
expression text
backoff Backoff
affinity - there is one machine

[Backoff]
duration scalar
factor whole-or-text
cap scalar
maxDuration scalar

[Container]
command [text]
args [text]
env [EnvVar]
workingDir text
volumeMounts [VolumeMount]
image - a process of this machine runs instead
imagePullPolicy - images are not used
name - a pod has one container
livenessProbe - Argo's pods are not restarted either
ports - a process opens what it likes
readinessProbe Probe
resources - a process takes what the machine has
resizePolicy - a process takes what the machine has
securityContext - processes run as you
startupProbe - nothing waits for it
terminationMessagePath - the exit code tells
terminationMessagePolicy - the exit code tells
tty - output goes to the log
envFrom [EnvFrom]
lifecycle ! hooks of containers are not supported
restartPolicy ! restarting a container alone is not supported
restartPolicyRules ! restarting a container alone is not supported
stdin ! standard input is empty
stdinOnce ! standard input is empty
volumeDevices ! block devices are not supported

[Probe]
httpGet HttpGet
tcpSocket TcpSocket
exec - only of daemons are probes asked, and one of this kind is refused there
grpc - only of daemons are probes asked, and one of this kind is refused there
failureThreshold - a probe is asked until it passes
initialDelaySeconds - a probe is asked from the start
periodSeconds - a probe is asked five times a second
successThreshold - a probe passes at once
terminationGracePeriodSeconds - a probe that fails ends nothing
timeoutSeconds - a probe has a second to answer

[HttpGet]
path text
port whole-or-text required
scheme text
host - a daemon is on this machine
httpHeaders - a probe is asked without headers

[TcpSocket]
port whole-or-text required
host - a daemon is on this machine

[Script of Container]
source text required

[UserContainer of Container]
name text required
mirrorVolumeMounts bool

[ContainerNode of Container]
name text required
dependencies [text]

[ContainerSet]
containers [ContainerNode] required
volumeMounts [VolumeMount]
retryStrategy ContainerSetRetry

[ContainerSetRetry]
duration text
retries whole-or-text required

[EnvVar]
name text required
value text
valueFrom EnvVarSource

[EnvVarSource]
configMapKeyRef KeyRef
secretKeyRef KeyRef
fieldRef FieldRef
fileKeyRef ! there is no image to hold the file
resourceFieldRef ! a process takes what the machine has

[KeyRef]
name text
key text required
optional bool

[FieldRef]
fieldPath text required
apiVersion - there is one version of a pod

[EnvFrom]
configMapRef ObjectRef
secretRef ObjectRef
prefix text

[ObjectRef]
name text
optional bool

[VolumeMount]
name text required
mountPath text required
subPath text
mountPropagation - folders are not mounted
readOnly - folders are not mounted
recursiveReadOnly - folders are not mounted
subPathExpr ! paths made of variables are not supported
"""


def _parsed() -> dict[str, dict[str, Field]]:
    sections: dict[str, dict[str, Field]] = {}
    rows: dict[str, Field] = {}
    section = ""
    for line in filter(None, _TABLE.splitlines()):
        if line.startswith("["):
            section, _, base = line[1:-1].partition(" of ")
            rows = sections[section] = {row.name: replace(row, section=section) for row in sections.get(base, {}).values()}
            continue
        name, mark, *rest = line.split(" ", 2)
        if mark in "-!":
            rows[name] = Field(section, name, "ignored" if mark == "-" else "refused", "", rest[0])
        else:
            rows[name] = Field(section, name, "honoured", mark, "", rest == ["required"])
    return sections


FIELDS: tuple[Field, ...] = tuple(row for rows in _parsed().values() for row in rows.values())
