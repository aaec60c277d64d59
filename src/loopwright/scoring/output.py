"""Where predictions are written: a folder or a bucket, every file whole or not at all.

On disk a file is written beside its place under a name that readers of Parquet folders pass over, and renamed; in a
bucket it is one request. A second writing of the same name replaces the first, so that two processes that happen to
do the same part leave one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from loopwright import buckets, files
from loopwright.errors import OutputError


class Output:
    """A folder, or a prefix in a bucket. Every method raises OutputError for what the place refuses."""

    def __init__(self, url: str, root: Path = Path()) -> None:
        """The output at a URL, or at a path, which is relative to `root`."""
        self._folder = root / url.removeprefix("file://") if "://" not in url or url.startswith("file://") else None
        self.url = url.rstrip("/") if self._folder is None else str(self._folder)

    def __str__(self) -> str:
        return self.url

    @cached_property
    def _store(self) -> Any:
        return buckets.connect(self.url)

    def put(self, name: str, content: bytes) -> None:
        """Have a file below the output, whole."""
        with self._told("written"):
            if self._folder is None:
                import obstore

                obstore.put(self._store, name, content, use_multipart=False)
                return
            path = self._folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write_bytes(path, content, durable=True)

    def create(self, name: str, content: bytes) -> bool:
        """Have a new file below the output, whole; False, and nothing is written, where there is one by this name."""
        with self._told("written"):
            if self._folder is None:
                import obstore
                from obstore.exceptions import AlreadyExistsError

                try:
                    obstore.put(self._store, name, content, mode="create", use_multipart=False)
                except AlreadyExistsError:
                    return False
                return True
            path = self._folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            return files.create_bytes(path, content)

    def get(self, name: str) -> bytes | None:
        """A file's content; None where there is none."""
        with self._told("read"):
            try:
                if self._folder is not None:
                    return (self._folder / name).read_bytes()
                import obstore

                return bytes(obstore.get(self._store, name).bytes())
            except (FileNotFoundError, NotADirectoryError):
                return None

    def sizes(self) -> dict[str, int]:
        """The files of the output, with their bytes; those that are not whole yet are left out."""
        with self._told("listed"):
            if self._folder is None:
                pages = self._store.list()
                return {str(one["path"]): int(one["size"]) for page in pages for one in page}
            top = self._folder
            if top.exists() and not top.is_dir():
                return {top.name: top.stat().st_size}
            paths = [path for path in top.rglob("*") if path.is_file() and not path.name.startswith(".")]
            return {path.relative_to(top).as_posix(): path.stat().st_size for path in paths}

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error).strip().partition("\n")[0][:300]
            raise OutputError(
                f"{self} cannot be {what}: {why or type(error).__name__}",
                expected="a folder or a bucket with free space that may be read and written",
                do="mend it and run the same command again: what is finished stays, and is not scored again",
            ) from error
