"""How the training pipeline runs on Kubeflow Pipelines: where its API is, and what the steps' pods are given.

What a loop declares is the same everywhere; this is what a cluster adds to it. It is read once, at the entry point,
from environment variables `LOOPWRIGHT_KFP_<NAME>`.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from loopwright.errors import StateError

PREFIX = "LOOPWRIGHT_KFP_"

Name = Annotated[str, StringConstraints(pattern=r"^([a-z0-9]([-.a-z0-9]*[a-z0-9])?)?$", max_length=253)]
Quantity = Annotated[str, StringConstraints(pattern=r"^([0-9]+(\.[0-9]+)?(m|[KMGT]i?)?)?$")]
_Path = Annotated[str, StringConstraints(pattern=r"^/")]


class Options(BaseModel):
    """Every option; each is an environment variable `LOOPWRIGHT_KFP_<NAME>`, and an empty one counts as not set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: Annotated[str, StringConstraints(pattern=r"^https?://")] = (
        "http://ml-pipeline.kubeflow.svc.cluster.local:8888"
    )
    """The API's URL: the service in the cluster, a port-forward (`http://localhost:8888`), or an address with TLS."""

    ui: str = ""
    """The UI's URL, for the links that messages carry; the API's own when empty."""

    token: str = Field("", repr=False)
    """A bearer token that the API takes, for a person's session."""

    token_path: str = "/var/run/secrets/kubeflow/pipelines/token"  # noqa: S105 - a path
    """A file with the service account's token for the audience `pipelines.kubeflow.org`, read again as it is renewed;
    used where it is there and `token` is not set."""

    ca: str = ""
    """A file with the certificates by which the API's TLS is checked; the system's when empty."""

    namespace: Name = ""
    """The profile's namespace, where Kubeflow has several users; none in a standalone installation."""

    image: str = ""
    """The component image; as compiled, `loopwright/component-python:<version>`, when empty."""

    pull_policy: Annotated[str, StringConstraints(pattern=r"^(Always|IfNotPresent|Never)$")] = "IfNotPresent"
    """When the nodes pull the image."""

    service_account: Name = ""
    """The pods' service account; KFP's own (`pipeline-runner`) when empty."""

    secret: Name = ""
    """A Secret with the keys `ledger-url` and `registry-uri`, which the steps need; both may lie on `state_claim`."""

    secret_env: str = ""
    """Further keys of that Secret, each an environment variable's name, with commas between: AWS_ACCESS_KEY_ID,..."""

    state_claim: Name = ""
    """A claim that is mounted as the state folder: snapshots, and ledger and registry where they are no servers."""

    state_path: _Path = "/state"
    """Where it is mounted."""

    data_claim: Name = ""
    """A claim with the rows, where `data.source` is a path."""

    data_path: _Path = "/loop/data"
    """Where it is mounted."""

    root: _Path = "/loop"
    """What a relative `data.source` is relative to in the pods."""

    cpu: Quantity = ""
    """What a step's pod requests of processors, such as 500m."""

    memory: Quantity = "2Gi"
    """What a step's pod requests and is limited to of memory."""

    retries: int = Field(2, ge=0, le=10)
    """How often a step that failed is tried again, by KFP."""

    ttl: int = Field(86_400, ge=0)
    """Seconds after which the pods of an ended run are removed from the cluster; 0 keeps them. The run itself stays."""


def read(environ: Mapping[str, str] = os.environ) -> Options:
    """The options in the environment. Raises StateError that names the variable which cannot be used."""
    given = {name: environ[PREFIX + name.upper()].strip() for name in Options.model_fields if environ.get(_env(name))}
    try:
        return Options.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        shown = "" if name == "token" else f" {given.get(name, '')!r}"
        raise StateError(
            f"{_env(name)} is{shown}: {first['msg']}", expected="a value of its kind", do="correct or unset it"
        ) from error


def token(options: Options) -> Path | None:
    """The file with the service account's token, if it is there and no token was given."""
    path = Path(options.token_path)
    return path if not options.token and path.is_file() else None


def _env(name: str) -> str:
    return PREFIX + name.upper()
