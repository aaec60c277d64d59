"""Which revision of versioned data a source is at: DVC's, or that of a lakeFS branch.

What a revision says is recorded beside the snapshot's own id, so that a person finds the data where the team keeps it.
"""

import base64
import json
import os
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from loopwright.errors import DataError
from loopwright.loop.source import Source

ENDPOINT, KEY, SECRET = (
    "LAKECTL_SERVER_ENDPOINT_URL", "LAKECTL_CREDENTIALS_ACCESS_KEY_ID", "LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY"
)  # fmt: skip
"""The environment variables of lakeFS' own client (https://docs.lakefs.io/howto/cli/)."""
TIMEOUT_SECONDS = 10.0


def of(source: str | Source, root: Path) -> dict[str, str] | None:
    """The revision as `{"dvc": md5}` or `{"lakefs": "repository@commit"}`, None where there is none.

    DVC's is what the file `NAME.dvc` beside the source, or the nearest `dvc.lock` above it, says. A lakeFS server is
    asked where its client's environment names one and the source is s3://repository/branch/... Raises DataError when
    it does not answer.
    """
    if isinstance(source, Source):
        return None
    if source.startswith("s3://"):
        return _lakefs(source) if os.environ.get(ENDPOINT) else None
    return None if "://" in source else _dvc(root / source)


def _dvc(path: Path) -> dict[str, str] | None:
    beside = path.with_name(path.name + ".dvc")
    if beside.is_file():
        for out in _yaml(beside).get("outs") or ():
            if out.get("path") == path.name and (found := _hash(out)):
                return {"dvc": found}
    for folder in path.resolve().parents:
        if (lock := folder / "dvc.lock").is_file():
            wanted = path.resolve().relative_to(folder).as_posix()
            stages = (_yaml(lock).get("stages") or {}).values()
            outs = [out for stage in stages for out in stage.get("outs") or () if out.get("path") == wanted]
            return next(({"dvc": found} for out in outs if (found := _hash(out))), None)
    return None


def _hash(out: dict[str, Any]) -> str | None:
    named = out.get("hash") or next((name for name in ("md5", "etag", "checksum") if name in out), "")
    return str(out[named]) if named in out else None


def _yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"{path} is not what DVC writes: {error}", do="restore it with `dvc checkout`") from error
    return found if isinstance(found, dict) else {}


def _lakefs(source: str) -> dict[str, str]:
    repository, _, rest = source.removeprefix("s3://").partition("/")
    branch = rest.partition("/")[0]
    base = os.environ[ENDPOINT].rstrip("/").removesuffix("/api/v1")
    pair = f"{os.environ.get(KEY, '')}:{os.environ.get(SECRET, '')}"
    if not re.fullmatch(r"https?://.+", base):
        raise DataError(f"{ENDPOINT} is no URL", expected="http://... or https://...", do="correct or unset it")
    request = urllib.request.Request(  # noqa: S310 - its scheme was looked at
        f"{base}/api/v1/repositories/{repository}/refs/{branch}/commits?amount=1",
        headers={"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()},
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - as above
            commit = json.load(answer)["results"][0]["id"]
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise DataError(
            f"lakeFS does not say which commit {repository}/{branch} is at: {error}",
            expected=f"a server at {ENDPOINT} that knows the repository and the branch",
            do=f"check {ENDPOINT}, {KEY} and {SECRET}, or unset {ENDPOINT}",
        ) from error
    return {"lakefs": f"{repository}@{commit}"}
