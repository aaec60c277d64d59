"""KServe's InferenceService as a rollout's gateway: its spec is what is wanted, its HTTPRoute what the data plane has.

The champion is `spec.predictor`, the challenger the entry of `spec.canary`. Promotion shifts to 100 %, waits until the
route has it, and makes the challenger's spec the predictor's under its own name, so that its pods stay: KServe deletes
the former Deployment before it writes the route. Rolling back shifts to 0 %, waits, and drops the entry. With `keep`
the two change places in one patch, and so they do to restore (both tried on KServe: docs/kserve.md).

While KServe's controller is away, nothing of the InferenceService can be changed, as its webhook is away too. The way
back is open nevertheless: a route of Loopwright's own then gives the champion everything, until KServe is told.

A patch carries the resourceVersion that it was made from, so nothing that somebody else wrote meanwhile is lost.
"""

import time
from collections.abc import Callable, Mapping, Sequence

from loopwright.errors import RolloutError
from loopwright.loop import Loop
from loopwright.loop.rollout import AB
from loopwright.rollout.counts import Arm
from loopwright.rollout.gateway import GatewayLost, NotReady
from loopwright.rollout.kserve import pods
from loopwright.rollout.kserve.cluster import SERVICE, Cluster, Conflict, Object, apply
from loopwright.rollout.kserve.notes import Notes
from loopwright.rollout.kserve.routes import Routes
from loopwright.rollout.kserve.spec import Spec
from loopwright.serving.resources import service

POLL = 0.25
"""Seconds between two looks at the cluster while something is waited for."""
PATIENCE = 60.0
"""Seconds that KServe and the gateway are given to do what is wanted; they take two."""
RETRIES = 10
"""KServe writes the InferenceService's status several times a change, and each makes a patch's resourceVersion old."""


Answers = tuple[Sequence[tuple[str, float]], str]


class KServeGateway:
    """One loop's InferenceService; see `Gateway` for the methods.

    `arms` gives the cumulative counts of the versions that it is asked for, and `answers` a version's predictions;
    `publish` puts a version's bundle where KServe reads it.
    """

    def __init__(
        self,
        loop: Loop,
        cluster: Cluster,
        arms: Callable[[list[int]], Mapping[int, Arm]],
        answers: Callable[[int, str], Answers] = lambda version, after: ((), after),
        *,
        publish: Callable[[int, str], None] = lambda version, bundle: None,
        pause: Callable[[float], None] = time.sleep,
        patience: float = PATIENCE,
    ) -> None:
        self._loop, self._cluster, self._arms, self._answers = loop, cluster, arms, answers
        self._publish, self._pause, self._patience = publish, pause, patience
        self._routes, self._notes = Routes(loop, cluster, pause, patience), Notes(loop.name, cluster)

    def champion(self) -> int | None:
        found = self._cluster.get(SERVICE, self._loop.name)
        return None if found is None else Spec(self._loop, found).champion

    def add(self, version: int, bundle: str, digest: str) -> None:
        self._publish(version, bundle)
        found = self._cluster.get(SERVICE, self._loop.name)
        if found is None:
            for manifest in service.manifests(self._loop, version, digest or None).values():
                apply(self._cluster, manifest)
            return
        spec = Spec(self._loop, found)
        if version in (spec.champion, spec.challenger) and self.kept() != version:
            return
        if spec.challenger is not None:
            # Left by a rollout whose state is gone, or kept by the one before: no rollout has the lock but this one.
            self.withdraw(spec.challenger)
        running = self._replicas(spec.champion)
        self._patch(lambda spec: spec.with_challenger(version, digest or None, running))

    def wait_ready(self, version: int, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not self.serves(version):
            found = pods.problem(self._cluster, self._loop.name, version)
            if found is not None and found.lasting:
                raise NotReady(f"version {version} does not start: {found.text}")
            if time.monotonic() >= deadline:
                why = f": {found.text}" if found is not None else ""
                raise NotReady(f"version {version} was not ready within {timeout_s:.0f} s{why}")
            self._pause(POLL)
        champion = self.champion()
        while champion is not None and not self._available(champion):
            if time.monotonic() >= deadline:
                raise RolloutError(
                    f"version {champion}, the champion, is not ready: {self.health(champion)}",
                    expected=f"the champion to serve, as version {version} is compared with it",
                    do="see to it that it starts, and run this again; it goes on where it was",
                )
            self._pause(POLL)

    def weights(self) -> dict[int, int]:
        override = self._routes.override()
        return dict.fromkeys(self._spec().versions, 0) | (self._routes.weights() if override is None else override)

    def wanted(self) -> dict[int, int]:
        spec, override = self._spec(), self._routes.override()
        return spec.weights() if override is None else dict.fromkeys(spec.versions, 0) | override

    def shift(self, version: int, percent: int) -> None:
        spec = self._spec()
        if spec.champion == version:
            return
        if spec.challenger != version:
            if percent:
                raise NotReady(f"version {version} is no longer wanted as the challenger")
            return
        if spec.scaled(percent, self._replicas(spec.champion)) is not None:
            self._patch(lambda spec: spec.scaled(percent, self._replicas(spec.champion)))
            self._await(lambda: self._available(version), f"the pods that version {version} needs for {percent} %")
        try:
            self._patch(lambda spec: spec.shifted(version, percent))
            self._routed(version, percent)
        except GatewayLost:
            if not percent:
                # While KServe's controller is away, its webhook is too, and no InferenceService can be changed.
                self._routes.hold(spec.champion)
            raise
        for route in ("ab", "hold"):
            self._routes.close(route)

    def mirror(self, version: int, on: bool) -> None:
        champion = self.champion()
        if on and champion is not None:
            self._routes.mirror(champion, version)
            self._await(lambda: self._routes.taken("shadow"), "the gateway to take the mirror")
        else:
            self._routes.close("shadow")

    def split(self, version: int, ab: AB) -> None:
        spec = self._spec()
        if spec.challenger != version:
            raise NotReady(f"version {version} is no longer wanted as the challenger")
        running = self._replicas(spec.champion)
        if spec.scaled(ab.share, running) is not None:
            self._patch(lambda spec: spec.scaled(ab.share, running))
            self._await(lambda: self._available(version), f"the pods that version {version} needs")
        self._routes.split(spec.champion, version, ab)
        self._await(lambda: self._routes.taken("ab"), "the gateway to take the split")

    def preview(self, version: int) -> str | None:
        url = self._routes.preview(version)
        self._await(lambda: self._routes.taken("preview"), "the gateway to take the preview's route")
        return url

    def promote(self, version: int, *, keep: bool = False) -> None:
        spec = self._spec()
        former = spec.champion
        if spec.challenger == version:
            self.shift(version, 100)
            self._routes.close("shadow")
            self._routes.drop("preview")
            if keep:
                self._notes.write(kept=str(former))
            self._patch(lambda spec: spec.promoted(keep=keep))
        elif former != version:
            raise RolloutError(
                f"version {version} cannot be made the champion: it is not served",
                expected=f"the predictor or the canary of the InferenceService {self._loop.name}",
                do="roll it out again",
            )
        self._await(lambda: self._routes.weights().get(version) == 100, f"all traffic on version {version}")

    def restore(self, version: int) -> None:
        spec = self._spec()
        if spec.champion != version:
            if self.kept() != version:
                raise RolloutError(
                    f"version {version} is not kept beside version {spec.champion}",
                    expected="the former version to stay warm after a blue/green switch, for the time that is declared",
                    do="roll it out again",
                )
            self._patch(lambda spec: spec.promoted(keep=True))
        self._await(lambda: self._routes.weights().get(version) == 100, f"all traffic on version {version}")
        self._notes.write(kept=None)

    def withdraw(self, version: int) -> None:
        found = self._cluster.get(SERVICE, self._loop.name)
        if found is None:
            return
        spec = Spec(self._loop, found)
        if spec.challenger == version:
            self.shift(version, 0)
            self._routes.close("shadow")
            self._routes.drop("preview")
            self._patch(lambda spec: spec.without_challenger())
            self._notes.write(kept=None)
            self._await(lambda: version not in self._routes.weights(), f"no route to version {version}")
        elif spec.champion == version and spec.challenger is None:
            # It was to be the first, and did not become ready: nothing serves without it.
            self._cluster.delete(SERVICE, self._loop.name)

    def kept(self) -> int | None:
        spec, kept = self._spec(), self._notes.read().get("kept")
        return spec.challenger if kept and kept == str(spec.challenger) else None

    def counts(self) -> dict[int, Arm]:
        return dict(self._arms(self._spec().versions))

    def answers(self, version: int, after: str) -> Answers:
        return self._answers(version, after)

    def health(self, version: int) -> str:
        found = pods.problem(self._cluster, self._loop.name, version)
        return "" if found is None else found.text

    def _spec(self) -> Spec:
        found = self._cluster.get(SERVICE, self._loop.name)
        if found is None:
            raise GatewayLost(
                f"there is no InferenceService {self._loop.name} in the namespace {self._cluster.namespace}",
                do="`loopwright deploy` makes it, or name another namespace with LOOPWRIGHT_NAMESPACE",
            )
        return Spec(self._loop, found)

    def _patch(self, change: Callable[[Spec], Object | None]) -> None:
        """Write what `change` makes of the newest spec, as often as somebody else was faster."""
        for _ in range(RETRIES):
            spec = self._spec()
            content = change(spec)
            if content is None:
                return
            try:
                self._cluster.patch(SERVICE, self._loop.name, {"metadata": {"resourceVersion": spec.version}} | content)
                return
            except Conflict:
                self._pause(POLL)
        raise GatewayLost(f"the InferenceService {self._loop.name} changes all the time", do="run this again")

    def serves(self, version: int) -> bool:
        """Whether KServe gives, or would give, the version traffic."""
        found = self._cluster.get(SERVICE, self._loop.name)
        if found is None or not self._available(version):
            return False
        spec = Spec(self._loop, found)
        return spec.routable(version) and (spec.champion != version or self._routes.weights().get(version, 0) > 0)

    def _available(self, version: int) -> bool:
        return pods.available(self._cluster, self._loop.name, version)

    def _replicas(self, version: int) -> int:
        return pods.replicas(self._cluster, self._loop.name, version)

    def _routed(self, version: int, percent: int) -> None:
        deadline = time.monotonic() + self._patience
        while self._routes.weights().get(version, 0) != percent or not self._routes.taken():
            if time.monotonic() >= deadline:
                if percent and not self._available(version):
                    why = self.health(version)
                    raise NotReady(f"KServe gives version {version} no traffic, as it is not ready: {why}")
                weights = self._routes.weights()
                written = weights.get(version, 0) == percent
                raise GatewayLost(
                    f"the route of {self._loop.name} has {weights} after {self._patience:.0f} s, "
                    + ("which the gateway has not taken" if written else f"not {percent} % for version {version}"),
                    expected="KServe's controller to write it, which it does while the champion is ready, and the "
                    "gateway to take it",
                    do="see that both run (`kubectl describe httproute`), and run this again; it goes on where it was",
                )
            self._pause(POLL)

    def _await(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + self._patience
        while not condition():
            if time.monotonic() >= deadline:
                raise GatewayLost(
                    f"the route of {self._loop.name} has {self._routes.weights()} after {self._patience:.0f} s",
                    expected=what,
                    do="see that KServe's controller and the gateway run, and run this again; it goes on where it was",
                )
            self._pause(POLL)
