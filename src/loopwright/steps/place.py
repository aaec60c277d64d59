"""Where the pods of one run leave for each other what they make: a folder of the run in a bucket, or on a claim.

Steps are functions of paths, and a pod has no disk of another. On a claim that all pods mount, the steps read and
write in place. Else a step's inputs are copied out of the bucket before it and its outputs into it after it, by
`buckets`: with the credentials that MLflow and `serving.models` use too. No artifact repository of Argo's is needed.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loopwright import buckets
from loopwright.errors import DataError, StateError

PATIENCE = 30
"""Tries of one request, more than fit into buckets.TIMEOUT: the pod waits for a store that is restarted, as Argo makes
a pod again no more than three times."""


class RunPlace:
    """The files of the run `run` at `place`, a folder or a bucket's URL; `scratch` is this pod's own folder."""

    def __init__(self, place: str, run: str, scratch: Path) -> None:
        self._url = f"{place.rstrip('/')}/{run}" if "://" in place else ""
        self._shelf = f"{place.rstrip('/')}/snapshots" if self._url else ""
        self.folder = scratch / run if self._url else Path(place) / run
        self._have: set[str] = set()

    def inputs(self, *names: str) -> list[Path]:
        """The paths of what earlier steps made. Raises DataError where one is not there, StateError out of reach."""
        with _reached(self._url):
            for name in names:
                if self._url and name not in self._have:
                    self._fetch(name)
        missing = [name for name in names if not (self.folder / name).exists()]
        if missing:
            raise DataError(
                f"{', '.join(missing)} of this run is not at {self._url or self.folder}",
                expected="what the steps before left there",
                do="see that all pods have the same place for artifacts, and run it again",
            )
        return [self.folder / name for name in names]

    def outputs(self, *names: str) -> list[Path]:
        """Paths for what a step is about to make; what an attempt before it left there is removed."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for name in names:
                path = self.folder / name
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        except OSError as error:
            raise StateError(
                f"{self.folder} cannot be written: {error.strerror or error}",
                expected="a folder of this machine, or a claim on a cluster, that can be written and has room",
                do="see to the disk or the claim, and run it again",
            ) from error
        return [self.folder / name for name in names]

    def keep(self, *names: str) -> None:
        """Leave what a step made for the pods after this one. Raises StateError where the bucket is out of reach."""
        with _reached(self._url):
            for name in names:
                self._have.add(name)
                if self._url:
                    self._store(name)

    def shelve(self, snapshot: Path) -> None:
        """Keep a snapshot beside the runs, where the pods have no state folder that lasts; a claim has it already."""
        if self._url:
            with _reached(self._shelf):
                buckets.connect(self._shelf, make=True, retries=PATIENCE).put(snapshot.name, snapshot)

    def _fetch(self, name: str) -> None:
        store, found = buckets.connect(self._url, make=True, retries=PATIENCE), False
        for page in store.list():
            for one in page:
                if one["path"] != name and not one["path"].startswith(f"{name}/"):
                    continue
                path = self.folder / one["path"]
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as stream:
                    for chunk in store.get(one["path"]):
                        stream.write(chunk)
                found = True
        if found:
            self._have.add(name)

    def _store(self, name: str) -> None:
        store, path = buckets.connect(self._url, make=True, retries=PATIENCE), self.folder / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                store.put(str(file.relative_to(self.folder)), file)


@contextmanager
def _reached(url: str) -> Iterator[None]:
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, OSError, ValueError) as error:
        raise StateError(
            f"the run's files at {url} cannot be read or written: {str(error).splitlines()[0][:300]}",
            expected="a bucket that can be written with the credentials of this pod",
            do="set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and, for another server than Amazon's, "
            "AWS_ENDPOINT_URL (Google's: GOOGLE_APPLICATION_CREDENTIALS)",
        ) from error
