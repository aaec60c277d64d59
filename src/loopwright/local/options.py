"""What `loopwright up` is given, and what follows from it before anything starts: where everything will listen."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from loopwright.local import ports
from loopwright.local.commands import Commands
from loopwright.rollout.state import Placement, Status
from loopwright.settings import Settings, redacted


@dataclass(frozen=True)
class Options:
    """What `up` is given. Of the ports, 0 takes a free one."""

    host: str = ports.LOOPBACK
    """Where the gateway listens; everything else stays on the loopback interface."""
    gateway_port: int = 8080
    """HTTP and gRPC."""
    monitor_port: int = 0
    trigger_port: int = 0
    mlflow_port: int = 0
    with_mlflow: bool = False
    """Serve MLflow's web interface too: another 520 MB of memory."""
    initial: Placement | None = None
    """The version that becomes the stable one where nothing is wanted yet: the registry's champion."""
    commands: Commands = field(default_factory=Commands)
    on_event: Callable[[str], None] = lambda text: None
    """Called with a line of text whenever something happens; what it raises for a closed terminal is ignored."""
    on_ready: Callable[[Status], None] = lambda status: None
    """Called once, when everything that was wanted at the start serves; MLflow may still be starting.
    What it raises for a closed terminal is ignored."""
    grace: float = 10.0
    """Seconds that a process has to end by itself."""


@dataclass(frozen=True)
class Places:
    """Where everything listens."""

    host: str
    """The gateway's address."""
    ports: Mapping[str, int]
    """gateway, monitor, trigger, envoy_admin, and mlflow where it is to be served here."""
    urls: Mapping[str, str]
    """The same as URLs, and `grpc` as host:port. MLflow's is the registry's own where that is a server already,
    without its password."""


def choose_places(options: Options, settings: Settings) -> Places:
    """Check the ports that were given and take free ones for the others.

    Raises ServingError, naming the port, when one is in use.
    """
    host = ports.address(options.host)
    given = {"gateway": options.gateway_port, "monitor": options.monitor_port, "trigger": options.trigger_port}
    remote = settings.registry_uri.startswith(("http://", "https://"))
    if options.with_mlflow and not remote:
        given["mlflow"] = options.mlflow_port
    for name, port in given.items():
        if port:
            ports.check(port, f"the {name}", host if name == "gateway" else ports.LOOPBACK)
    spare = [port for port in ports.free(2 * len(given) + 1) if port not in given.values()]
    chosen = {name: port or spare.pop() for name, port in (given | {"envoy_admin": 0}).items()}
    # Where the gateway listens everywhere, this machine is a place to reach it.
    shown = {"0.0.0.0": ports.LOOPBACK, "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    urls = {name: f"http://{shown if name == 'gateway' else ports.LOOPBACK}:{port}" for name, port in chosen.items()}
    urls["grpc"] = f"{shown}:{chosen['gateway']}"
    if options.with_mlflow and remote:
        # Shown, and written to the ledger.
        urls["mlflow"] = redacted(settings.registry_uri)
    return Places(host, chosen, urls)
