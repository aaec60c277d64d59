"""The data plane of `loopwright up` as a rollout's gateway: files for what is wanted, HTTP for what is counted.

`serving.json` is written, the supervisor makes it so and says in `status.json` what Envoy has; each method returns
when that is what was asked for. What only reads is in local_view.py.
"""

import math
from collections.abc import Callable
from dataclasses import replace

from loopwright.errors import RolloutError
from loopwright.loop.rollout import AB
from loopwright.rollout.gateway import NotReady
from loopwright.rollout.local_view import LocalView
from loopwright.rollout.state import Placement, Serving, Split, Status, read_serving, write_serving

PATIENCE = 20.0
"""Seconds that the supervisor is given to do what is wanted; it takes less than one."""
ATTEMPTS = 3
"""A predictor that ended so many times while it was to start will not start."""


class LocalGateway(LocalView):
    """One loop's local data plane; see `Gateway` for the methods. `client` should not use the environment's proxy."""

    def add(self, version: int, bundle: str, digest: str) -> None:
        self._status()
        serving, placement = read_serving(self._live), Placement(version, bundle, digest)
        if serving.stable is None:
            self._want(Serving(stable=placement))
        elif serving.stable.version == version:
            return
        elif serving.canary is None or serving.canary.version != version:
            if serving.canary is not None:
                # Left by a rollout whose state is gone: no rollout holds the lock that this one holds.
                self.withdraw(serving.canary.version)
            # Of a version that was kept, its process goes on; another one that was kept leaves.
            self._want(Serving(stable=serving.stable, canary=placement))

    def wait_ready(self, version: int, timeout_s: float) -> None:
        stable = read_serving(self._live).stable
        name, other = f"predictor {version}", None if stable is None else stable.version

        def ready(status: Status) -> bool:
            predictor = status.predictors.get(version)
            if predictor is not None and predictor.state == "failed" and predictor.restarts + 1 >= ATTEMPTS:
                why = status.problems.get(name, f"{name} ended {ATTEMPTS} times")
                raise NotReady(f"version {version} does not start: {why}")
            # Envoy splits the traffic when both are there, and the champion may be starting again too. One that was
            # ready stays in the route, so that a challenger can take the place of one that fails now.
            champion = other in (None, version) or other in status.weights
            return champion and predictor is not None and predictor.state == "ready"

        if self._await(ready, timeout_s):
            return
        status = self._status()
        predictor = status.predictors.get(version)
        if predictor is not None and predictor.state == "ready":
            why = status.problems.get(f"predictor {other}")
            raise RolloutError(
                f"version {other}, the champion, took no traffic within {timeout_s:.0f} s{f': {why}' if why else ''}",
                expected=f"the champion to serve, as version {version} is compared with it",
                do="see to it that it starts (`loopwright status`), and run this again; it goes on where it was",
            )
        why = status.problems.get(name)
        raise NotReady(f"version {version} was not ready within {timeout_s:.0f} s{f': {why}' if why else ''}")

    def shift(self, version: int, percent: int) -> None:
        self._status()
        serving = read_serving(self._live)
        if serving.canary is None or serving.canary.version != version:
            if percent:
                raise NotReady(f"version {version} is no longer wanted as the challenger")
            return
        # A version that has requests of its own gets no copies of them.
        mirror = serving.mirror and percent == 0
        self._want(replace(serving, canary=replace(serving.canary, weight=percent), split=None, mirror=mirror))
        self._await_share(version, percent, split=False)

    def mirror(self, version: int, on: bool) -> None:
        self._status()
        serving = read_serving(self._live)
        if serving.canary is None or serving.canary.version != version:
            if on:
                raise NotReady(f"version {version} is no longer wanted as the challenger")
            return
        self._want(replace(serving, mirror=on))
        if not self._await(lambda status: (status.mirrored == version) == on, PATIENCE):
            word = "begin" if on else "end"
            raise NotReady(f"Envoy did not {word} to mirror requests to version {version} within {PATIENCE:.0f} s")

    def split(self, version: int, ab: AB) -> None:
        self._status()
        serving = read_serving(self._live)
        if serving.canary is None or serving.canary.version != version:
            raise NotReady(f"version {version} is no longer wanted as the challenger")
        # At least as long as the test, which ends later where labels are late.
        seconds = math.ceil(2 * self._clock.seconds(ab.horizon))
        split = Split(ab.header, ab.values) if ab.header else Split(cookie=ab.cookie_name(self._loop), seconds=seconds)
        self._want(replace(serving, canary=replace(serving.canary, weight=ab.percent), split=split))
        self._await_share(version, ab.percent, split=True)

    def _await_share(self, version: int, percent: int, *, split: bool) -> None:
        if not self._await(
            lambda status: status.weights.get(version, 0) == percent and status.split == split, PATIENCE
        ):
            found = self._status().weights
            raise NotReady(
                f"Envoy did not take {percent} % for version {version} within {PATIENCE:.0f} s: it has {found}"
            )

    def promote(self, version: int, *, keep: bool = False) -> None:
        self._status()
        serving = read_serving(self._live)
        canary = serving.canary
        if canary is not None and canary.version == version:
            self.shift(version, 100)
            # One write: the new stable version keeps its process, and the former one drains, or stays.
            self._want(Serving(stable=replace(canary, weight=0), kept=serving.stable if keep else None))
        elif serving.stable is None or serving.stable.version != version:
            raise RolloutError(
                f"version {version} cannot be made the champion: it is not served",
                expected="the challenger or the champion in serving.json",
                do="roll it out again",
            )
        self._await_all(version)

    def restore(self, version: int) -> None:
        self._status()
        serving = read_serving(self._live)
        if serving.stable is not None and serving.stable.version == version:
            pass
        elif serving.kept is not None and serving.kept.version == version:
            # One write, and both are ready: Envoy has it as soon as it reads the route.
            self._want(Serving(stable=serving.kept, canary=serving.stable))
        else:
            raise RolloutError(
                f"version {version} is not kept",
                expected="the former version, warm beside the champion as `rollout.keep` says",
                do=f"roll version {version} out",
            )
        self._await_all(version)

    def withdraw(self, version: int) -> None:
        self._status()
        serving = read_serving(self._live)
        if serving.canary is not None and serving.canary.version == version:
            if serving.canary.weight or serving.split is not None:
                self.shift(version, 0)
            self._want(Serving(stable=serving.stable, kept=serving.kept))
        elif serving.kept is not None and serving.kept.version == version:
            self._want(replace(serving, kept=None))
        elif serving.stable is not None and serving.stable.version == version:
            self._want(Serving())
        self._await_or_fail(lambda status: version not in status.weights, f"no route to version {version}")

    def _want(self, serving: Serving) -> None:
        write_serving(self._live, serving)

    def _await_or_fail(self, condition: Callable[[Status], bool], what: str) -> None:
        if not self._await(condition, PATIENCE):
            raise RolloutError(
                f"Envoy has {dict(self._status().weights)} after {PATIENCE:.0f} s",
                expected=what,
                do="look at what `loopwright up` says, and run this again; it goes on where it was",
            )

    def _await_all(self, version: int) -> None:
        wanted = read_serving(self._live).weights().keys()
        self._await_or_fail(
            lambda status: status.weights.get(version) == 100 and status.weights.keys() <= wanted and not status.split,
            f"all traffic on version {version}",
        )
