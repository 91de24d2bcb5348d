"""The backend of a cluster: TensorFlow Serving in a Deployment behind a Service, pinned to a version by its pods' template."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence

from steps import contract
from steps.release import checks, live, manifests, ports, questions, records, repository, rollout
from steps.release.api import Api
from steps.release.live import Released
from steps.release.manifests import Manifest, Release
from steps.release.records import Record
from steps.release.settings import Model, Serving

_LOOK_S, _SAY_S = 1.0, 30.0
# How long a server that its probe found ready may take to say so itself, and a pod beyond its grace to be gone.
_ANSWER_S, _TRY_S, _GONE_S = 60.0, 3.0, 60.0


def as_released(model: Model, api: Api) -> Cluster:
    """The backend with the settings that the last release had. Raises BadInput where there was none."""
    last = live.released(api, model.places)
    if last is None or last.settings is None:
        raise contract.BadInput(
            f"{model.places.repository}: expected a model that was deployed to namespace {api.account.namespace} by this version of Tiphys,"
            " and it was not; deploy it first, and look at USER_NAME, MODEL_NAME and OUTPUT_DIR"
        )
    return Cluster(dataclasses.replace(last.settings, nfs_path=model.nfs_path), api)


class Cluster:
    """One model's servers in this pod's namespace. Who makes one holds the lock of the output folder.

    What was released last, objects and all, is noted at the Deployment when the release is complete and not before: a
    release that was killed or failed goes back to just that, whatever settings it came with.
    """

    def __init__(self, settings: Serving, api: Api) -> None:
        ports.require_two(settings.tf_serving_port, settings.tf_serving_rest_port)
        self._settings, self._places, self._api = settings, settings.places, api
        self._name = manifests.name_of(settings.model_name)
        self._before = live.released(api, self._places)

    @property
    def address(self) -> str:
        """Where clients in the cluster find the Service."""
        return f"{self._name}.{self._api.account.namespace}.svc:{self._settings.tf_serving_port}"

    def current(self) -> int | None:
        """The version that was released last."""
        return self._before.version if self._before else None

    def is_serving(self, version: int) -> bool:
        """Whether the last release was of this version and these settings, nothing has changed since, and all replicas answer right."""
        wanted = manifests.objects(self._release(version))
        found = {one["kind"]: self._own(one["kind"], self._name) for one in wanted}
        if self._before is None or (self._before.version, self._before.objects) != (version, wanted) or self._canary():
            return False
        if not all(_is_same(found[one["kind"]], self._api.apply(one, dry_run=True)) for one in wanted):
            return False
        deployment, pods = self._look(_deployment(wanted))
        if rollout.awaited(deployment, pods, _release_of(wanted), _replicas(wanted)):
            return False
        try:
            self._ask_all(wanted, version)
        except contract.StepError as error:
            contract.log(f"the servers do not answer as they should: {error}")
            return False
        return True

    def canary(self, version: int) -> None:
        """One pod that the Service does not select. What the cluster would refuse later it refuses here, before anything starts."""
        release = self._release(version)
        for one in manifests.objects(release):
            self._api.apply(one, dry_run=True)
        self._remove_canary()
        contract.log(f"trying version {version} in a canary")
        made = manifests.canary(release)
        self._api.apply(made)
        for pod in self._await_rollout(made):
            self._ask(_address(pod), version)
        self._remove_canary()

    def roll(self, version: int) -> None:
        """Replace the replicas one by one, ask each, and open the way in to them, where it is not open yet."""
        # Nothing on the volume says what a cluster serves: from here on this version may be it, however this ends.
        records.append(self._places.records, Record("roll", version, self.current()))
        contract.log(f"rolling version {version} out")
        port = self._settle(Released(version, manifests.objects(self._release(version)), self._settings))
        contract.log(f"from outside the cluster, the servers' gRPC port is {port} of any node")

    def back(self, version: int | None) -> None:
        """Apply what was released last once more, or take everything away where nothing was."""
        self._remove_canary()
        if self._before and version:
            self._settle(self._before)
            return
        for kind in ("Service", "Deployment", "PodDisruptionBudget"):
            if self._own(kind, self._name):
                self._api.delete(kind, self._name)
        self._await_gone(manifests.selector(self._name, "live"))

    def _release(self, version: int) -> Release:
        account = self._api.account
        return Release(self._settings, version, account.namespace, {"name": account.name, "uid": account.uid})

    def _own(self, kind: str, name: str) -> Manifest | None:
        return live.own(self._api, self._places, kind, name)

    def _canary(self) -> Manifest | None:
        return self._own("Deployment", manifests.canary_name(self._name))

    def _remove_canary(self) -> None:
        if self._canary():
            self._api.delete("Deployment", manifests.canary_name(self._name))
        self._await_gone(manifests.selector(self._name, "canary"))

    def _settle(self, wanted: Released) -> int:
        """Have the servers be as a release says, ask every one of them, then the way in, and note it. Returns the node port."""
        made = wanted.objects
        [way_in] = [one for one in made if one["kind"] == "Service"]
        for one in made:
            if one is not way_in:
                self._api.apply(one)
        self._await_rollout(_deployment(made))
        self._ask_all(made, wanted.version)
        self._await_gone(manifests.selector(self._name, "live"), but=_release_of(made))
        service = self._api.apply(way_in)["spec"]
        self._ask(_joined(service["clusterIP"], service["ports"][0]["port"]), wanted.version)
        live.note(self._api, self._name, wanted)
        return int(service["ports"][0]["nodePort"])

    def _look(self, made: Manifest) -> tuple[Manifest, list[Manifest]]:
        """A Deployment as it is now, and its pods."""
        found = self._api.get("Deployment", made["metadata"]["name"])
        if found is None:
            raise contract.Transient(f"Deployment {made['metadata']['name']}: it was deleted while it was waited for; run again")
        return found, self._api.pods(made["spec"]["selector"]["matchLabels"])

    def _await_rollout(self, made: Manifest) -> list[Manifest]:
        """Wait until a Deployment has all its replicas ready; its pods. Raises with the reason where it does not come to that."""
        release, replicas, within_s = _release_of([made]), _replicas([made]), self._settings.deploy_timeout_s
        start, troubled_since, said = time.monotonic(), None, _Said()
        while True:
            deployment, pods = self._look(made)
            awaited = rollout.awaited(deployment, pods, release, replicas)
            if not awaited:
                return rollout.of_release(pods, release)
            trouble = rollout.trouble(deployment, pods, release)
            troubled_since = (troubled_since or time.monotonic()) if trouble else None
            if trouble and troubled_since and time.monotonic() - troubled_since >= trouble.settle_s:
                raise trouble.error(f"Deployment {made['metadata']['name']}: {trouble.what}")
            if time.monotonic() - start > within_s:
                raise contract.Transient(
                    f"Deployment {made['metadata']['name']}: expected {replicas} replicas ready within {within_s} s (DEPLOY_TIMEOUT_S), got"
                    f" {awaited}: {rollout.why_late(pods, release)}"
                )
            if time.monotonic() - start > _LOOK_S:
                said.maybe(f"waiting: {awaited}")
            time.sleep(_LOOK_S)

    def _await_gone(self, selector: Mapping[str, str], but: str = "") -> None:
        """Wait until pods are gone, but for those of a release. One whose node is lost may linger, and is told."""
        deadline = time.monotonic() + manifests.GRACE_S + _GONE_S
        while left := [pod["metadata"]["name"] for pod in self._api.pods(selector) if not but or rollout.release_of(pod) != but]:
            if time.monotonic() > deadline:
                contract.log(f"pods that should be gone linger: {', '.join(left)}; look at their node")
                return
            time.sleep(_LOOK_S)

    def _ask_all(self, made: Sequence[Manifest], version: int) -> None:
        """Have every replica say that it has just this version, and answer the recorded sample right."""
        _, pods = self._look(_deployment(made))
        for pod in rollout.of_release(pods, _release_of(made)):
            self._ask(_address(pod), version)

    def _ask(self, address: str, version: int) -> None:
        """One server, or the way in. What was sent before a Service is there is lost, so another try has a connection of its own."""
        model, deadline = self._settings.model_name, time.monotonic() + _ANSWER_S
        sample = checks.read_sample(self._places.version(version) / repository.SAMPLE)
        while True:
            try:
                with questions.channel(address) as channel:
                    questions.await_available(channel, model, version, _TRY_S, f"the server is at {address}", lambda: None)
                    questions.verify(channel, model, version, sample)
                return
            except contract.Transient as error:
                if time.monotonic() > deadline:
                    raise contract.Transient(f"{error} (it was asked again for {_ANSWER_S:.0f} s)") from None
                time.sleep(_LOOK_S)


class _Said:
    """What a log was told last: the same is told again only now and then."""

    def __init__(self) -> None:
        self._line, self._at = "", 0.0

    def maybe(self, line: str) -> None:
        """Log a line that is new, or that was last logged a while ago."""
        if line != self._line or time.monotonic() - self._at > _SAY_S:
            contract.log(line)
            self._line, self._at = line, time.monotonic()


def _deployment(made: Sequence[Manifest]) -> Manifest:
    return next(one for one in made if one["kind"] == "Deployment")


def _release_of(made: Sequence[Manifest]) -> str:
    return str(_deployment(made)["spec"]["template"]["metadata"]["labels"][manifests.RELEASE])


def _replicas(made: Sequence[Manifest]) -> int:
    return int(_deployment(made)["spec"]["replicas"])


def _is_same(live: Manifest | None, wanted: Manifest) -> bool:
    """Whether an object is as it would be after another apply."""
    parts = ("labels", "annotations", "ownerReferences")
    return (
        live is not None
        and live["spec"] == wanted["spec"]
        and all(live["metadata"].get(part) == wanted["metadata"].get(part) for part in parts)
    )


def _address(pod: Manifest) -> str:
    return _joined(pod["status"]["podIP"], manifests.GRPC_PORT)


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
