"""Where a loop keeps its state, read once at the entry point and passed on.

By default everything lives in `.loopwright/` beside loop.yaml. On a cluster the ledger and the registry are URLs.
"""

import os
import re
import socket
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from loopwright.durations import Clock
from loopwright.errors import StateError

PREFIX = "LOOPWRIGHT_"
REQUEST = f"{PREFIX}REQUEST"
"""What a pod is asked for, as JSON, as it has no checkout: `{"loop": {...}, "features": "..."}`; to score, the loop."""
GATEWAYS = ("local", "kserve")
ENGINES = ("local", "argo", "kfp")

# What may hold a password in a URI: what stands before the host, and parameters named for it. SQLAlchemy takes a
# password with / ? and # in it. A path may hold an @ too, but the URI of a file has no host: `sqlite:////home/me@work/x`.
_USER = re.compile(
    r"(?P<before>[a-z][a-z0-9+.-]*://)(?!/)(?:(?P<user>[^:/?#@\s]*:)[^@\s]*@(?:[^/?#@\s]*@)*|[^/?#\s]*@)", re.IGNORECASE
)
_SECRET = re.compile(r"(?P<before>[?&;][^=&;\s]*(?:pass|pwd|secret|token)[^=&;\s]*=)[^&;#\s]*", re.IGNORECASE)


@dataclass(frozen=True)
class Settings:
    """Every setting; each can be given as an environment variable `LOOPWRIGHT_<NAME>`."""

    state: Path
    """The state folder: snapshots, runs, the default ledger and registry. `LOOPWRIGHT_STATE`."""

    ledger_url: str
    """The ledger's SQLAlchemy URL; by default SQLite in the state folder. `LOOPWRIGHT_LEDGER_URL`."""

    registry_uri: str
    """MLflow's tracking and registry URI; by default SQLite in the state folder. `LOOPWRIGHT_REGISTRY_URI`."""

    token: str = field(repr=False, default="")
    """The bearer token of the trigger and of all that is written to the monitor. `LOOPWRIGHT_TOKEN`."""

    events_password: str = field(repr=False, default="")
    """What KServe's logger may send events to the monitor with, and nothing else. `LOOPWRIGHT_EVENTS_PASSWORD`."""

    clock: Clock = field(default_factory=Clock)
    """The loop's time. `LOOPWRIGHT_SPEED` and `LOOPWRIGHT_ORIGIN`, set by the demo."""

    gateway: str = "local"
    """The data plane of rollouts: `local` (`loopwright up`) or `kserve`. `LOOPWRIGHT_GATEWAY`."""

    namespace: str = ""
    """The Kubernetes namespace; by default the kubeconfig's, or the pod's own. `LOOPWRIGHT_NAMESPACE`."""

    prometheus_url: str = ""
    """Prometheus, for rollouts on a cluster and for declared queries; by default none. `LOOPWRIGHT_PROMETHEUS_URL`."""

    models: Path | None = None
    """Where the claim of `serving.models` is mounted for this process; by default nowhere. `LOOPWRIGHT_MODELS`."""

    workflows: bool = False
    """Whether the trigger hands rollouts to the cluster as Argo Workflows. `LOOPWRIGHT_WORKFLOWS`: true or false."""

    pushgateway_url: str = ""
    """A Prometheus Pushgateway, for how `loopwright run` ended; by default none. `LOOPWRIGHT_PUSHGATEWAY_URL`."""

    engine: str = "local"
    """Where pipelines run: `local`, `argo` (Argo Workflows) or `kfp` (Kubeflow Pipelines). `LOOPWRIGHT_ENGINE`."""

    machine: str = field(default_factory=socket.gethostname)
    """What this machine is called where others share its ledger; by default its host name, which a pod's successor does
    not keep. `LOOPWRIGHT_MACHINE`."""

    revision: str = ""
    """The revision of the loop's code where no repository says it, as in a pod of the chart. `LOOPWRIGHT_REVISION`."""

    patches: bool = True
    """Whether the ledger keeps what differs from the revision; else its digest. `LOOPWRIGHT_PATCHES`: true or false."""

    rollout_template: str = "loopwright-rollout"
    """The WorkflowTemplate that rollouts are submitted by (`rollout --workflow`). `LOOPWRIGHT_ROLLOUT_TEMPLATE`."""

    training_template: str = "loopwright-training"
    """The WorkflowTemplate that runs on Argo are submitted by. `LOOPWRIGHT_TRAINING_TEMPLATE`."""

    @property
    def snapshots(self) -> Path:
        """Immutable copies of data, each named by its content."""
        return self.state / "snapshots"

    @property
    def runs(self) -> Path:
        """One folder a pipeline run."""
        return self.state / "runs"

    @property
    def artifacts(self) -> Path:
        """MLflow's artifacts, where the registry is local."""
        return self.state / "artifacts"

    @property
    def live(self) -> Path:
        """What is running: the wanted and the observed serving state, logs, the supervisor's lock."""
        return self.state / "live"

    def environment(self) -> dict[str, str]:
        """These settings as environment variables, for a child process."""
        return {
            f"{PREFIX}STATE": str(self.state),
            f"{PREFIX}LEDGER_URL": self.ledger_url,
            f"{PREFIX}REGISTRY_URI": self.registry_uri,
            f"{PREFIX}TOKEN": self.token,
            f"{PREFIX}EVENTS_PASSWORD": self.events_password,
            f"{PREFIX}SPEED": repr(self.clock.speed),
            f"{PREFIX}ORIGIN": repr(self.clock.origin),
            f"{PREFIX}GATEWAY": self.gateway,
            f"{PREFIX}NAMESPACE": self.namespace,
            f"{PREFIX}PROMETHEUS_URL": self.prometheus_url,
            f"{PREFIX}MODELS": str(self.models or ""),
            f"{PREFIX}WORKFLOWS": "true" if self.workflows else "",
            f"{PREFIX}PUSHGATEWAY_URL": self.pushgateway_url,
            f"{PREFIX}ENGINE": self.engine,
            f"{PREFIX}MACHINE": self.machine,
            f"{PREFIX}REVISION": self.revision,
            f"{PREFIX}PATCHES": "true" if self.patches else "false",
            f"{PREFIX}ROLLOUT_TEMPLATE": self.rollout_template,
            f"{PREFIX}TRAINING_TEMPLATE": self.training_template,
        }


def read(loop: Path, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of the loop in the folder `loop`. Raises StateError for a value that cannot be used."""
    state = Path(environ.get(f"{PREFIX}STATE") or loop / ".loopwright").expanduser().resolve()
    return Settings(
        state=state,
        ledger_url=environ.get(f"{PREFIX}LEDGER_URL") or f"sqlite:///{state / 'ledger.db'}",
        registry_uri=environ.get(f"{PREFIX}REGISTRY_URI") or f"sqlite:///{state / 'mlflow.db'}",
        # A Secret made from a file often ends in a newline.
        token=environ.get(f"{PREFIX}TOKEN", "").strip(),
        events_password=environ.get(f"{PREFIX}EVENTS_PASSWORD", "").strip(),
        clock=Clock(_number(environ, "SPEED", 1.0), _number(environ, "ORIGIN", time.time())),
        gateway=_one_of(environ, "GATEWAY", GATEWAYS),
        namespace=environ.get(f"{PREFIX}NAMESPACE", ""),
        prometheus_url=environ.get(f"{PREFIX}PROMETHEUS_URL", "").rstrip("/"),
        models=Path(environ[f"{PREFIX}MODELS"]) if environ.get(f"{PREFIX}MODELS") else None,
        workflows=_flag(environ, "WORKFLOWS"),
        pushgateway_url=environ.get(f"{PREFIX}PUSHGATEWAY_URL", "").rstrip("/"),
        engine=_one_of(environ, "ENGINE", ENGINES),
        machine=environ.get(f"{PREFIX}MACHINE") or socket.gethostname(),
        revision=environ.get(f"{PREFIX}REVISION", "").strip(),
        patches=_flag(environ, "PATCHES", "true"),
        rollout_template=environ.get(f"{PREFIX}ROLLOUT_TEMPLATE") or Settings.rollout_template,
        training_template=environ.get(f"{PREFIX}TRAINING_TEMPLATE") or Settings.training_template,
    )


def _flag(environ: Mapping[str, str], name: str, default: str = "false") -> bool:
    text = environ.get(PREFIX + name) or default
    if text not in ("true", "false"):
        raise StateError(f"{PREFIX}{name} is {text!r}", expected="true or false", do="correct or unset it")
    return text == "true"


def _one_of(environ: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    """A setting that is one of a few words; the first is the default."""
    text = environ.get(PREFIX + name) or known[0]
    if text not in known:
        raise StateError(f"{PREFIX}{name} is {text!r}", expected=" or ".join(known), do="correct or unset it")
    return text


def _number(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(PREFIX + name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise StateError(f"{PREFIX}{name} is {text!r}", expected="a number above zero", do="correct or unset it")
    return value


def prepare(settings: Settings) -> Settings:
    """Make the state folder and see that it can be written. Raises StateError saying what is wrong with it."""
    try:
        for folder in (settings.state, settings.snapshots, settings.runs, settings.live):
            folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=settings.state) as probe:
            probe.write(b"\0" * 4096)
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        raise StateError(
            f"the state folder {settings.state} cannot be written: {error.strerror or error}",
            expected="a folder with free space that this user may write",
            do=f"free space, change its permissions, or name another with {PREFIX}STATE",
        ) from error
    return settings


def redacted(text: str) -> str:
    """A URI, or a text with URIs in it, as it may be shown and written down: with *** for passwords and tokens."""
    text = _USER.sub(lambda found: f"{found['before']}{found['user'] or ''}***@", text)
    return _SECRET.sub(lambda found: f"{found['before']}***", text)
