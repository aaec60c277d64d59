"""The registry: versions are read from its tables where that can be, and all that is written is written by MLflow."""

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loopwright.errors import RegistryError
from loopwright.files import read_json
from loopwright.registry import logged, tables
from loopwright.registry.version import EVALUATION, TAG, ModelVersion, Submission
from loopwright.settings import Settings, redacted

if TYPE_CHECKING:
    from mlflow import MlflowClient


class Registry:
    """MLflow's registry at the settings' URI."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: MlflowClient | None = None
        self._tables = tables.Tables(settings.registry_uri)

    def versions(self, loop: str) -> list[ModelVersion]:
        """All versions of a loop's model, the oldest first; empty when there is none."""
        read = self._tables.versions(loop)
        if read is not None:
            return read
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
        here = tables.folder(version.location)
        if here is not None and os.path.isdir(here / "data"):
            return here / "data" / version.tags[f"{TAG}bundle"]
        with self.connected() as client:
            import mlflow

            location = client.get_model_version_download_uri(loop, str(version.number))
            folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=f"{location}/data"))
        return folder / version.tags[f"{TAG}bundle"]

    def register(self, loop: str, submission: Submission) -> int | None:
        """Store a judged model as an MLflow run, and as a version if it passed; return the version's number."""
        with self.connected() as client:
            tags = {f"{TAG}{key}": value for key, value in submission.tags.items()}
            found = logged.log(client, self.experiment(client, loop), submission, tags)
            return self._create(client, loop, submission, found, tags) if submission.passed else None

    def _create(
        self, client: "MlflowClient", loop: str, submission: Submission, found: logged.Logged, tags: dict[str, str]
    ) -> int:
        from mlflow.exceptions import MlflowException

        try:
            client.create_registered_model(loop)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        version = client.create_model_version(
            loop,
            source=found.uri,
            run_id=found.run,
            tags={**tags, f"{TAG}digest": submission.digest, f"{TAG}bundle": submission.bundle.name},
            model_id=found.model,
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
        here = self._tables.artifacts(version.run_id)
        if here is not None and os.path.isfile(here / EVALUATION):
            # A file that cannot be read, or is no JSON, is for MLflow to say.
            with suppress(OSError, ValueError):
                read: dict[str, Any] = read_json(here / EVALUATION)
                return read
        with self.connected():
            import mlflow

            loaded: dict[str, Any] = mlflow.artifacts.load_dict(f"runs:/{version.run_id}/{EVALUATION}")
            return loaded

    def log_texts(self, version: ModelVersion, folder: str, files: Mapping[str, str]) -> None:
        """Keep texts with a version: files by their paths, in a folder of its run's artifacts."""
        with self.connected() as client, tempfile.TemporaryDirectory() as made:
            for name, text in files.items():
                path = Path(made, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            client.log_artifacts(version.run_id, made, folder)

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
        kind = self._settings.registry_uri.partition(":")[0].partition("+")[0]
        location = (self._settings.artifacts / loop).as_uri() if kind in ("sqlite", "postgresql", "mysql") else None
        return str(client.create_experiment(loop, artifact_location=location))

    @contextmanager
    def connected(self) -> Iterator["MlflowClient"]:
        """MLflow's client, for what is no version. Raises RegistryError for whatever it does not answer."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        # Bars are for terminals, and stand a line a step in the log of a pod.
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        # MLflow prints where to look at a run with all of the server's URL, and its password.
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        for name in ("alembic", "mlflow.store.db.utils", "mlflow.tracking"):
            logging.getLogger(name).setLevel(logging.ERROR)
        import mlflow
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            uri = self._settings.registry_uri
            # Where a URI names a model or a run, MLflow looks for it here, whatever a client of it was given.
            mlflow.set_tracking_uri(uri)
            if self._client is None:
                self._client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
            yield self._client
        except (MlflowException, SQLAlchemyError, OSError, ValueError) as error:
            raise RegistryError(
                f"the registry at {redacted(self._settings.registry_uri)} does not answer as it should: "
                # SQLAlchemy adds the whole statement, on lines of its own.
                f"{redacted(str(error).strip().splitlines()[0])}",
                expected="MLflow's tracking and registry store",
                do="check LOOPWRIGHT_REGISTRY_URI, the server and its free space",
            ) from error
