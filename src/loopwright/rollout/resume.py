"""What a rollout needs to go on after it was killed: plain values, and the same as JSON."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

from loopwright.rollout.counts import UNKNOWN, Arm
from loopwright.rollout.evidence import Step
from loopwright.rollout.pairs import NONE, Pairs

Phase = Literal["adding", "stepping", "promoting", "keeping", "restoring", "withdrawing"]


@dataclass(frozen=True)
class Paused:
    """Why a rollout does not go on by itself, and since when."""

    who: str
    why: str
    since: float
    found: int | None = None
    """The challenger's share that somebody set by hand (-1: it was taken away); None where the rollout was told."""


@dataclass(frozen=True)
class Saved:
    """A rollout under way. Times are real seconds since the epoch; counts are cumulative, as the gateway gives them."""

    version: int
    bundle: str
    digest: str
    champion: int | None
    steps: tuple[int, ...]
    """Shares in percent; 0 is the mirrored stage of a shadow rollout."""
    rollout_entry: int
    """The ledger entry of the rollout, and below the newest one: what comes next is caused by it."""
    entry: int
    started: float
    strategy: str = "canary"
    phase: Phase = "adding"
    index: int = 0
    """Which of `steps` it is in."""
    step_started: float = 0.0
    before: Arm = UNKNOWN
    """The champion's counts when the rollout began."""
    begun: Arm = UNKNOWN
    """The challenger's counts when it came."""
    base: tuple[Arm, Arm] | None = None
    """The champion's and the challenger's counts when the step began; none until it has begun."""
    done: tuple[Step, ...] = ()
    """What both did in the steps that are over."""
    pairs: Pairs = NONE
    """Of a shadow rollout: how often the two answered the same request differently, and what was read."""
    beyond: dict[str, tuple[float, int]] = field(default_factory=dict)
    """Of each query that is beyond its threshold now: since when, and at how many looks."""
    asked: int | None = None
    """The challenger's share that this rollout had last, and `asking` the one that it was about to ask for."""
    asking: int | None = None
    paused: Paused | None = None
    kept_until: float = 0.0
    reason: str = ""
    """Why it is withdrawn or promoted, and below since when and whose decision that was (empty: a verdict)."""
    decided: float = 0.0
    by: str = ""

    def same(self, version: int, digest: str, strategy: str, steps: tuple[int, ...]) -> bool:
        """Whether this is a rollout of that version by that plan."""
        return (self.version, self.digest, self.strategy, self.steps) == (version, digest, strategy, steps)

    def to_json(self) -> dict[str, Any]:
        """The state as JSON has it; unknown counts are null."""
        return asdict(self) | {
            "before": self.before.to_json(),
            "begun": self.begun.to_json(),
            "base": None if self.base is None else [arm.to_json() for arm in self.base],
            "done": [
                {"weight": step.weight, "champion": step.champion.to_json(), "challenger": step.challenger.to_json()}
                for step in self.done
            ],
        }

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Self:
        """Read what `to_json` gave. Raises ValueError, KeyError, TypeError or AttributeError for anything else."""
        paused = found.get("paused")
        return cls(
            **found
            | {
                "steps": tuple(found["steps"]),
                "before": Arm.from_json(found["before"]),
                "begun": Arm.from_json(found["begun"]),
                "base": None if found["base"] is None else tuple(Arm.from_json(arm) for arm in found["base"]),
                "done": tuple(
                    Step(one["weight"], Arm.from_json(one["champion"]), Arm.from_json(one["challenger"]))
                    for one in found["done"]
                ),
                "pairs": Pairs(**found.get("pairs", {})),
                "beyond": {name: (float(one[0]), int(one[1])) for name, one in found.get("beyond", {}).items()},
                "paused": None if paused is None else Paused(**paused),
            }
        )
