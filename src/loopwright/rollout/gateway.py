"""The data plane as a rollout sees it: versions come, their shares of the traffic shift, and they are counted.

One protocol, so that the controller and the analysis are the same for Envoy on a laptop and for KServe's routes.
"""

from collections.abc import Sequence
from typing import Protocol

from loopwright.errors import GatewayLost, RolloutError
from loopwright.loop.rollout import AB
from loopwright.rollout.counts import Arm

__all__ = ["Gateway", "GatewayLost", "NotReady"]


class NotReady(RolloutError):
    """The challenger cannot take traffic; the rollout takes it back."""


class Gateway(Protocol):
    """Every method may be called again with the same arguments: a resumed rollout repeats what it was killed in.

    All raise GatewayLost when there is no data plane. What changes the data plane returns when the data plane has it,
    and raises RolloutError when it does not take it.
    """

    def champion(self) -> int | None:
        """The version that takes all the traffic that no challenger takes."""

    def add(self, version: int, bundle: str, digest: str) -> None:
        """Start serving a version, with no traffic; without a champion it gets all of it once it is ready.

        Another challenger or kept version that was left behind is withdrawn first.
        """

    def wait_ready(self, version: int, timeout_s: float) -> None:
        """Return when the version and the champion can take traffic.

        Raises NotReady when the version failed or the real seconds are over, RolloutError when it is the champion that
        is not there by then.
        """

    def weights(self) -> dict[int, int]:
        """The share of the traffic of each version in percent, as the data plane has it (observed)."""

    def wanted(self) -> dict[int, int]:
        """The shares as they were last asked for, by whomever; during a split, the challenger's is `ab.percent`.

        A rollout notices by it that a person changed a weight by hand.
        """

    def shift(self, version: int, percent: int) -> None:
        """Give the challenger this share at random, which ends a split. Raises NotReady when it cannot have it."""

    def mirror(self, version: int, on: bool) -> None:
        """Send a copy of the champion's requests to the challenger and throw its answers away, or end that.

        The copy has the request's id (X-Request-Id, or the id in a V2 request).
        """

    def split(self, version: int, ab: AB) -> None:
        """Give the challenger the requests of the A/B test's group, and keep clients with their version.

        By header: requests with one of its values. By cookie: `share` percent of the clients without one, who are
        given it with their answer. `shift`, `promote` and `withdraw` end it. Raises NotReady when it cannot be done.
        """

    def promote(self, version: int, *, keep: bool = False) -> None:
        """Make the challenger the champion; the former one leaves, or with `keep` stays warm without traffic."""

    def restore(self, version: int) -> None:
        """Make the kept former version the champion again at once; who was champion stays, without traffic."""

    def withdraw(self, version: int) -> None:
        """Take the challenger, or the kept version, out of the traffic, then out of the data plane.

        Ends mirroring and splits too. Of a first version that never had traffic nothing is left.
        """

    def kept(self) -> int | None:
        """The former version that is kept warm."""

    def preview(self, version: int) -> str | None:
        """How to reach the challenger before it has traffic, as a person is told; None where there is no way."""

    def counts(self) -> dict[int, Arm]:
        """What each version has done since the data plane's counters began; what cannot be read is unknown."""

    def answers(self, version: int, after: str) -> tuple[Sequence[tuple[str, float]], str]:
        """Recent (prediction id, prediction) of a version after the cursor (at first ""), and the next cursor.

        A sample by a hash of the id where there are many, so that two versions' samples have the same ids. Nothing and
        the same cursor where they cannot be read now.
        """

    def health(self, version: int) -> str:
        """Why the version cannot serve now: it crashed, or does not answer; empty when it can."""
