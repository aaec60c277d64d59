"""The way to the place where the archive is: a bucket of S3, of Google Cloud Storage or of what speaks as they do, or
a folder. One small set of calls, so that neither the monitor nor the reader cares which.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from loopwright import buckets
from loopwright.archive.layout import Key
from loopwright.errors import DataError


class StoreError(Exception):
    """The store does not answer, or refuses; the text says what it said."""


@dataclass(frozen=True)
class Object:
    """A file of the archive, and its size in bytes."""

    key: Key
    size: int


class Store:
    """An archive's place. Every method waits, and raises StoreError when the store is away or refuses.

    The library's own coroutines are not used: they end in a thread of theirs that calls Python, and a process that
    ended just then was aborted in 10 of 40 tries (https://github.com/PyO3/pyo3-async-runtimes/issues/40).
    """

    def __init__(self, url: str, *, make: bool = False, retries: int = 3) -> None:
        """The store at a full URL; with `make` a missing folder is made. Raises StoreError when it cannot be used."""
        self.url = url
        with _told():
            self._store = buckets.connect(url, make=make, retries=retries)

    def put(self, key: Key, content: bytes) -> None:
        """Have the file there, whole; a second time changes nothing."""
        import obstore

        with _told():
            # In one request, which is atomic and leaves nothing behind when it fails.
            obstore.put(self._store, key.path, content, use_multipart=False)

    def get(self, key: Key) -> bytes | None:
        """A file's content; None when it is gone, as the retention may take it between listing and reading."""
        import obstore

        content = None
        with _told(gone=True):
            content = bytes(obstore.get(self._store, key.path).bytes())
        return content

    def files(self, below: str) -> Iterator[Object]:
        """The archive's files below a folder; other ones are passed over."""
        import obstore

        with _told():
            for some in obstore.list(self._store, below):
                for one in some:
                    if (key := Key.read(one["path"])) is not None:
                        yield Object(key, one["size"])

    def folders(self, below: str) -> list[str]:
        """The folders right below a folder, as full paths that end in a slash."""
        import obstore

        with _told():
            found = obstore.list_with_delimiter(self._store, below)["common_prefixes"]
        return [f"{one.rstrip('/')}/" for one in found]

    def delete(self, keys: Iterable[Key]) -> None:
        """Delete files; one that is gone already is as it should be."""
        import obstore

        for key in keys:
            with _told(gone=True):
                obstore.delete(self._store, key.path)


def resolve(url: str, state: Path) -> str:
    """The full URL of a declared one: what has no scheme is a folder of the loop's state folder."""
    return url if "://" in url else f"file://{(state / url).as_posix()}"


def opened(url: str) -> Store:
    """The store for a reader. Raises DataError for a URL that cannot be used."""
    try:
        return Store(url)
    except StoreError as error:
        raise unreadable(url, error) from error


def unreadable(url: str, error: Exception) -> DataError:
    """What a reader is told when the store did not do what it was asked."""
    return DataError(
        f"the archive at {url} cannot be read: {error}",
        expected="a bucket or a folder that this user may list and read",
        do="check `monitor.archive.url`, the network, and the credentials in the environment (docs/events.md)",
    )


@contextmanager
def _told(*, gone: bool = False) -> Iterator[None]:
    """Raise StoreError for what the library raises, with the first line of what it says; the rest is its insides."""
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, OSError, ValueError) as error:
        if gone and isinstance(error, FileNotFoundError):
            return
        raise StoreError(str(error).strip().partition("\n")[0][:300] or type(error).__name__) from error
