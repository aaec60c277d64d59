"""The registered versions of a loop's model, in MLflow.

A version is registered in one call, with its digest and its cause among its tags, after everything it consists of is
stored: a version that the registry lists is a whole one. Aliases say which one serves (`champion`), which one wants
to (`challenger`) and which one served before (`previous`).
"""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loopwright.errors import RegistryError
from loopwright.settings import Settings, redacted

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

TAG = "loopwright."
MODEL = "model"
EVALUATION = "evaluation.json"


@dataclass(frozen=True)
class ModelVersion:
    """One registered version: its number, its bundle's digest and what is known of it."""

    number: int
    digest: str
    source: str
    tags: Mapping[str, str]
    run_id: str
    created: datetime
    aliases: tuple[str, ...] = ()

    @property
    def entry(self) -> int | None:
        """The ledger entry of the judgement that led to the registration."""
        number = self.tags.get(f"{TAG}entry")
        return int(number) if number else None

    @property
    def approved(self) -> bool:
        """Whether the version may be rolled out."""
        return self.tags.get(f"{TAG}approval") == "approved"

    @property
    def waiting(self) -> bool:
        """Whether the version waits for a person, by the registry."""
        return self.tags.get(f"{TAG}approval") == "waiting"

    @property
    def archived(self) -> bool:
        """Whether the version is only kept for the record."""
        return f"{TAG}archived" in self.tags


@dataclass(frozen=True)
class Submission:
    """What `Registry.register` stores of one trained and judged model."""

    bundle: Path
    digest: str
    evaluation: Mapping[str, Any]
    parameters: Mapping[str, Any]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    snapshot: str
    passed: bool
    example: "pd.DataFrame"
    output: Any


class Registry:
    """MLflow's registry at the settings' URI."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: MlflowClient | None = None

    def versions(self, loop: str) -> list[ModelVersion]:
        """All versions of a loop's model, the oldest first; empty when there is none."""
        with self.connected() as client:
            # Versions from a search carry no aliases; the registered model does.
            aliases = self._aliases(client, loop)
            found = client.search_model_versions(f"name='{loop}'")
            versions = [self._version(version, aliases) for version in found]
        return sorted(versions, key=lambda version: version.number)

    def get(self, loop: str, number: int) -> ModelVersion:
        """One version. Raises RegistryError naming the versions that there are."""
        versions = self.versions(loop)
        for version in versions:
            if version.number == number:
                return version
        there = ", ".join(str(version.number) for version in versions) or "none yet"
        raise RegistryError(
            f"{loop} has no version {number}",
            expected=f"a registered one ({there})",
            do=f"see `loopwright status {loop}`",
        )

    def champion(self, loop: str) -> ModelVersion | None:
        """The version that serves, if there is one."""
        return self._aliased(loop, "champion")

    def newest(self, loop: str) -> ModelVersion:
        """The newest version. Raises RegistryError when nothing is registered yet."""
        versions = self.versions(loop)
        if not versions:
            raise RegistryError(
                f"{loop} has no registered version",
                expected="at least one",
                do=f"train one with `loopwright run {loop}`",
            )
        return versions[-1]

    def fetch(self, loop: str, version: ModelVersion) -> Path:
        """The version's bundle on this machine: the folder itself where the store is local, else a copy."""
        with self.connected() as client:
            import mlflow

            mlflow.set_tracking_uri(self._settings.registry_uri)
            location = client.get_model_version_download_uri(loop, str(version.number))
            folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=f"{location}/data"))
        return folder / version.tags[f"{TAG}bundle"]

    def register(self, loop: str, submission: Submission) -> int | None:
        """Store a judged model as an MLflow run, and as a version if it passed; return the version's number."""
        import mlflow
        from mlflow.models import infer_signature

        with self.connected() as client:
            mlflow.set_tracking_uri(self._settings.registry_uri)
            experiment = self.experiment(client, loop)
            tags = {f"{TAG}{key}": value for key, value in submission.tags.items()}
            with mlflow.start_run(experiment_id=experiment, tags=tags) as run:
                mlflow.log_params(dict(submission.parameters))
                mlflow.log_metrics(dict(submission.metrics))
                mlflow.log_dict(dict(submission.evaluation), EVALUATION)
                mlflow.log_input(_dataset(submission), context="training")
                info = mlflow.pyfunc.log_model(
                    name=MODEL,
                    loader_module="loopwright.models.mlflow",
                    data_path=str(submission.bundle),
                    signature=infer_signature(submission.example, submission.output),
                    input_example=submission.example,
                    # Named here because MLflow would otherwise start the model to find out, for many seconds.
                    pip_requirements=["loopwright[predictor]"],
                )
            if not submission.passed:
                return None
            return self._create(client, loop, submission, info, run.info.run_id, tags)

    def _create(
        self, client: "MlflowClient", loop: str, submission: Submission, info: Any, run: str, tags: dict[str, str]
    ) -> int:
        from mlflow.exceptions import MlflowException

        try:
            client.create_registered_model(loop)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        version = client.create_model_version(
            loop,
            source=info.model_uri,
            run_id=run,
            tags={**tags, f"{TAG}digest": submission.digest, f"{TAG}bundle": submission.bundle.name},
            model_id=info.model_id,
        )
        client.set_registered_model_alias(loop, "challenger", version.version)
        return int(version.version)

    def challenge(self, loop: str, number: int) -> None:
        """Give a version the alias `challenger`, where it has none: whoever registered it was lost before that."""
        if not self.get(loop, number).aliases:
            with self.connected() as client:
                client.set_registered_model_alias(loop, "challenger", str(number))

    def promote(self, loop: str, number: int) -> None:
        """Make a version the champion; the champion before it becomes `previous`."""
        before = self.champion(loop)
        with self.connected() as client:
            if before is not None and before.number != number:
                client.set_registered_model_alias(loop, "previous", str(before.number))
            client.set_registered_model_alias(loop, "champion", str(number))
            if self._aliases(client, loop).get("challenger") == str(number):
                client.delete_registered_model_alias(loop, "challenger")

    def demote(self, loop: str, number: int) -> None:
        """Take the alias `challenger` from a version that was judged worse."""
        with self.connected() as client:
            if self._aliases(client, loop).get("challenger") == str(number):
                client.delete_registered_model_alias(loop, "challenger")

    def unalias(self, loop: str, alias: str, instead: int | None = None) -> None:
        """Take an alias from its version, or give it to the version `instead`, which was `previous`."""
        with self.connected() as client:
            if instead is None:
                client.delete_registered_model_alias(loop, alias)
            else:
                client.set_registered_model_alias(loop, alias, str(instead))
                client.delete_registered_model_alias(loop, "previous")

    def tag(self, loop: str, number: int, key: str, value: str) -> None:
        """Set the tag `loopwright.<key>` of a version."""
        with self.connected() as client:
            client.set_model_version_tag(loop, str(number), f"{TAG}{key}", value)

    def evaluation(self, loop: str, number: int) -> dict[str, Any]:
        """What the version was judged by: metrics, gates and curves."""
        version = self.get(loop, number)
        with self.connected():
            import mlflow

            mlflow.set_tracking_uri(self._settings.registry_uri)
            loaded: dict[str, Any] = mlflow.artifacts.load_dict(f"runs:/{version.run_id}/{EVALUATION}")
            return loaded

    def log_texts(self, version: ModelVersion, folder: str, files: Mapping[str, str]) -> None:
        """Keep texts with a version: files by their paths, in a folder of its run's artifacts."""
        with self.connected() as client:
            for name, text in files.items():
                client.log_text(version.run_id, text, f"{folder}/{name}")

    def _aliased(self, loop: str, alias: str) -> ModelVersion | None:
        return next((version for version in self.versions(loop) if alias in version.aliases), None)

    def _aliases(self, client: "MlflowClient", loop: str) -> dict[str, str]:
        from mlflow.exceptions import MlflowException

        try:
            return {alias: str(number) for alias, number in client.get_registered_model(loop).aliases.items()}
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return {}
            raise

    def _version(self, version: Any, aliases: Mapping[str, str]) -> ModelVersion:
        return ModelVersion(
            number=int(version.version),
            digest=version.tags.get(f"{TAG}digest", ""),
            source=version.source,
            tags=dict(version.tags),
            run_id=version.run_id or "",
            created=datetime.fromtimestamp(version.creation_timestamp / 1000, UTC),
            aliases=tuple(sorted(alias for alias, number in aliases.items() if number == str(version.version))),
        )

    def experiment(self, client: "MlflowClient", loop: str) -> str:
        """The id of the loop's experiment in MLflow, which is made where there is none."""
        found = client.get_experiment_by_name(loop)
        if found is not None:
            return str(found.experiment_id)
        # Only a database here needs to be told where artifacts go; a tracking server knows its own store.
        local = self._settings.registry_uri.startswith(("sqlite:", "postgresql:", "mysql:"))
        location = (self._settings.artifacts / loop).as_uri() if local else None
        return str(client.create_experiment(loop, artifact_location=location))

    @contextmanager
    def connected(self) -> Iterator["MlflowClient"]:
        """MLflow's client, for what is no version. Raises RegistryError for whatever it does not answer."""
        os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        # Bars are for terminals, and stand a line a step in the log of a pod.
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        # A model is its bundle; the lock file of wherever a run happens to be is no part of it.
        os.environ.setdefault("MLFLOW_LOG_UV_FILES", "false")
        for name in ("alembic", "mlflow.store.db.utils", "mlflow.tracking", "mlflow.models.model"):
            logging.getLogger(name).setLevel(logging.ERROR)
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            if self._client is None:
                uri = self._settings.registry_uri
                self._client = MlflowClient(tracking_uri=uri, registry_uri=uri)
            yield self._client
        except (MlflowException, SQLAlchemyError, OSError) as error:
            raise RegistryError(
                f"the registry at {redacted(self._settings.registry_uri)} does not answer as it should: "
                # SQLAlchemy adds the whole statement, on lines of its own.
                f"{redacted(str(error).strip().splitlines()[0])}",
                expected="MLflow's tracking and registry store",
                do="check LOOPWRIGHT_REGISTRY_URI, the server and its free space",
            ) from error


def _dataset(submission: Submission) -> Any:
    from mlflow.data.pandas_dataset import from_pandas

    return from_pandas(submission.example, name="snapshot", digest=submission.snapshot[:32])
