"""An InferenceService as it was read: who is champion and challenger, and the patches that change it. Nothing is sent.

KServe counts a canary's replicas as part of the stable predictor's, and makes that smaller by as many as soon as the
canary is ready, whatever its share. Here the champion keeps its pods until it has no traffic: `minReplicas` of the
predictor is raised by the challenger's meanwhile.
"""

import math
from typing import Any

from loopwright.errors import RolloutError
from loopwright.loop import Loop
from loopwright.rollout.kserve.cluster import Object
from loopwright.serving.resources import names, service


class Spec:
    """One InferenceService of Loopwright's."""

    def __init__(self, loop: Loop, found: Object) -> None:
        self._loop, self._found = loop, found
        self._predictor: Object = found["spec"]["predictor"]
        self._canary: list[Object] = found["spec"].get("canary") or []
        champion = names.version(self._predictor.get("name"))
        unknown = [one["predictor"].get("name") for one in self._canary if self._number(one) is None]
        if champion is None or unknown or len(self._canary) > 1:
            strange = unknown or ([self._predictor.get("name")] if champion is None else [])
            what = f"the predictor {strange[0]!r}" if strange else f"{len(self._canary)} canaries"
            raise RolloutError(
                f"the InferenceService {loop.name} has {what}",
                expected="predictors named v1, v2, ... for the versions, and one canary at most",
                do="`loopwright render` shows what it has to look like; `loopwright deploy` makes it so",
            )
        self.champion: int = champion

    @property
    def version(self) -> str:
        """The resourceVersion that it was read at."""
        return str(self._found["metadata"]["resourceVersion"])

    @property
    def challenger(self) -> int | None:
        """The version of the canary entry: a challenger, or a former champion that is kept."""
        return self._number(self._canary[0]) if self._canary else None

    @property
    def versions(self) -> list[int]:
        """The champion, and the challenger if there is one."""
        return [self.champion] if self.challenger is None else [self.champion, self.challenger]

    def weights(self) -> dict[int, int]:
        """The shares of the traffic that are asked for, in percent."""
        if self.challenger is None:
            return {self.champion: 100}
        percent = int(self._canary[0].get("trafficPercent", 0))
        return {self.champion: 100 - percent, self.challenger: percent}

    def routable(self, version: int) -> bool:
        """Whether KServe says that the version is ready: only then its route has it."""
        status = self._found.get("status", {})
        if version == self.champion:
            return any(
                one["type"] == "PredictorReady" and one["status"] == "True" for one in status.get("conditions") or []
            )
        statuses = status.get("canaryStatuses") or []
        return any(one["name"] == names.predictor(version) and one.get("ready") for one in statuses)

    def with_challenger(self, version: int, digest: str | None, running: int) -> Object:
        """A version comes, without traffic."""
        whole = self._loop.rollout.strategy != "canary"
        replicas = self._total(running) if whole else 1
        entry = service.canary(self._loop, version, 0, digest, replicas)
        return {"spec": {"canary": [entry], "predictor": self._scale(replicas)}}

    def scaled(self, percent: int, running: int) -> Object | None:
        """As many pods as a share of the traffic needs; nothing when the challenger has them."""
        needed = max(1, math.ceil(self._total(running) * percent / 100))
        if self.challenger is None or needed <= self._replicas(self._canary[0]["predictor"]):
            return None
        entry = self._canary[0] | {"predictor": self._canary[0]["predictor"] | {"minReplicas": needed}}
        return {"spec": {"canary": [entry], "predictor": self._scale(needed)}}

    def shifted(self, version: int, percent: int) -> Object | None:
        """The challenger's share; nothing when it has it, or is gone."""
        if self.challenger != version or self.weights()[version] == percent:
            return None
        return {"spec": {"canary": [self._canary[0] | {"trafficPercent": percent}]}}

    def promoted(self, *, keep: bool) -> Object:
        """The challenger's spec becomes the predictor's; with `keep` the former stays, without traffic."""
        challenger = self._canary[0]["predictor"]
        predictor = {"name": challenger["name"], "model": challenger["model"]}
        if not keep:
            return {"spec": {"predictor": predictor | self._scale(0), "canary": None}}
        replicas = self._replicas(challenger)
        kept = {key: self._predictor[key] for key in ("name", "model")} | {"minReplicas": replicas}
        return {
            "spec": {
                "predictor": predictor | self._scale(replicas),
                "canary": [{"trafficPercent": 0, "predictor": kept}],
            }
        }

    def without_challenger(self) -> Object | None:
        """The challenger goes."""
        return {"spec": {"canary": None, "predictor": self._scale(0)}} if self._canary else None

    def _number(self, entry: Object) -> int | None:
        return names.version(entry["predictor"].get("name"))

    def _total(self, running: int) -> int:
        """The pods that all of the traffic needs: as many as serve it now, at least as declared."""
        return max(self._loop.serving.replicas.min, running)

    def _replicas(self, predictor: Object) -> int:
        return int(predictor.get("minReplicas", 1))

    def _scale(self, challenger: int) -> dict[str, Any]:
        """The predictor's bounds beside so many pods of a challenger."""
        replicas = self._loop.serving.replicas
        # A predictor of one pod is not made smaller, so nothing is added to it.
        least = replicas.min + challenger if max(replicas.min, challenger) > 1 else replicas.min
        if not replicas.scaled:
            return {"minReplicas": least}
        return {"minReplicas": least, "maxReplicas": max(replicas.max, least)}
