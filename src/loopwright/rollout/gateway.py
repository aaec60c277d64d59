"""The data plane as a rollout sees it: versions come, their shares of the traffic shift, and they are counted.

One protocol, so that the controller and the analysis are the same for Envoy on a laptop and for KServe's routes.
"""

from typing import Protocol

from loopwright.errors import RolloutError
from loopwright.rollout.counts import Arm


class GatewayLost(RolloutError):
    """The data plane is not there to be asked or told; the rollout's state is kept, and it can be resumed."""


class NotReady(RolloutError):
    """The challenger cannot take traffic; the rollout takes it back."""


class Gateway(Protocol):
    """Every method may be called again with the same arguments: a resumed rollout repeats what it was killed in.

    All raise GatewayLost when there is no data plane.
    """

    def champion(self) -> int | None:
        """The version that takes all the traffic that no challenger takes."""

    def add(self, version: int, bundle: str, digest: str) -> None:
        """Start serving a version, with no traffic; without a champion it gets all of it once it is ready."""

    def wait_ready(self, version: int, timeout_s: float) -> None:
        """Return when the version and the champion can take traffic.

        Raises NotReady when the version failed or the real seconds are over, RolloutError when it is the champion that
        is not there by then.
        """

    def weights(self) -> dict[int, int]:
        """The share of the traffic of each version in percent, as the data plane has it."""

    def shift(self, version: int, percent: int) -> None:
        """Give the challenger this share; return when the data plane has it. Raises NotReady when it refuses."""

    def promote(self, version: int) -> None:
        """Make the challenger the champion; the former one leaves."""

    def withdraw(self, version: int) -> None:
        """Take the challenger out of the traffic, then out of the data plane."""

    def counts(self) -> dict[int, Arm]:
        """What each version has done since the data plane's counters began; what cannot be read is unknown."""
