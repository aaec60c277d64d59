"""Putting a version's bundle where KServe reads it: `serving.models`, in object storage or on a claim.

A claim can be written only where it is mounted (`LOOPWRIGHT_MODELS`); elsewhere whoever keeps it copies the bundle.
What lies there already is left alone if it is the same, and never replaced if it is not: a version is what it was.
"""

import shutil
import tempfile
from pathlib import Path

from loopwright import buckets
from loopwright.errors import BundleError, ServingError
from loopwright.models import bundle

CLAIM = "pvc://"


def publish(folder: Path, uri: str, mount: Path | None = None) -> bool:
    """Put the bundle in `folder` at `uri`, a version's own folder of `serving.models`; whether it lies there now.

    False for a claim that is not mounted at `mount`: nothing can be said of it. Raises ServingError where the place
    cannot be written, or has another bundle.
    """
    if not uri.startswith(CLAIM):
        _to_store(folder, uri)
        return True
    if mount is None:
        return False
    # pvc://claim/prefix/3: the claim is what is mounted.
    _to_folder(folder, mount / uri.removeprefix(CLAIM).partition("/")[2], uri)
    return True


def _to_folder(folder: Path, place: Path, uri: str) -> None:
    """A copy appears whole, by a rename."""
    if place.exists():
        try:
            if bundle.digest(place) == bundle.digest(folder):
                return
        except BundleError as error:
            raise _other(uri) from error
        raise _other(uri)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=f".{place.name}.") as scratch:
            copied = Path(scratch) / "bundle"
            shutil.copytree(folder, copied, copy_function=shutil.copyfile)
            # Others read it: the predictor runs as another user.
            copied.chmod(0o755)
            copied.rename(place)
    except OSError as error:
        raise ServingError(
            f"the bundle cannot be put at {place}: {error.strerror or error}",
            expected=f"the claim of {uri} to be mounted there, and to be writable",
            do="correct LOOPWRIGHT_MODELS, or the claim's mount",
        ) from error


def _to_store(folder: Path, uri: str) -> None:
    """The manifest comes last: what has one is whole."""
    from obstore.exceptions import BaseError

    paths = sorted(folder.iterdir(), key=lambda path: path.name == bundle.MANIFEST)
    try:
        store = buckets.connect(uri, make=True)
        there = {one["path"]: one["size"] for page in store.list() for one in page}
        if bundle.MANIFEST in there:
            same = {path.name: path.stat().st_size for path in paths} == there
            # The manifest has the others' digests.
            if same and bytes(store.get(bundle.MANIFEST).bytes()) == paths[-1].read_bytes():
                return
            raise _other(uri)
        for path in paths:
            store.put(path.name, path.read_bytes())
    except (BaseError, OSError, ValueError) as error:
        raise ServingError(
            f"the bundle cannot be put at {uri}: {str(error).splitlines()[0][:300]}",
            expected="a bucket that can be written with the credentials of this process",
            do="correct `serving.models`, or set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and, for another "
            "server than Amazon's, AWS_ENDPOINT_URL (Google's: GOOGLE_APPLICATION_CREDENTIALS)",
        ) from error


def _other(uri: str) -> ServingError:
    return ServingError(
        f"another bundle lies at {uri}",
        expected="nothing, or this version's own bundle: a version that serves is never replaced",
        do="remove it if it is of no use, or name another place in `serving.models`",
    )
