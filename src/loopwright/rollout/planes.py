"""Which data plane a rollout talks to: that of `loopwright up`, or KServe on a cluster."""

from collections.abc import Iterator
from contextlib import contextmanager

from loopwright.loop import Loop
from loopwright.rollout.states import FileStates
from loopwright.rollout.target import Target
from loopwright.settings import Settings


@contextmanager
def open_target(loop: Loop, settings: Settings) -> Iterator[Target]:
    """The data plane that `settings.gateway` names. Raises GatewayLost or RolloutError where it cannot be reached."""
    if settings.gateway == "kserve":
        from loopwright.rollout import kserve

        with kserve.open_target(loop, settings) as target:
            yield target
        return
    import httpx

    from loopwright.rollout.local import LocalGateway

    # Straight to the loopback interface, whatever proxy the environment names.
    with httpx.Client(trust_env=False) as client:
        yield Target(LocalGateway(loop, settings, client), FileStates(settings.live), "local")
