"""What a rollout works on."""

from dataclasses import dataclass

from loopwright.rollout.gateway import Gateway
from loopwright.rollout.states import States


@dataclass(frozen=True)
class Target:
    """A data plane, and where the state of its rollouts lives."""

    gateway: Gateway
    states: States
    name: str
    """`local` or `kserve`."""
