"""The way to a bucket of S3, of Google Cloud Storage or of what speaks as they do, or to a folder, by its URL.

Credentials come from the environment, as the providers' own tools read them: AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL,
GOOGLE_APPLICATION_CREDENTIALS, or the pod's identity.
"""

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from obstore.store import ObjectStore

TIMEOUT, CONNECT_TIMEOUT = timedelta(seconds=30), timedelta(seconds=5)
"""Of one request, in real time. Files are at most a few megabytes."""


def connect(url: str, *, make: bool = False, retries: int = 3) -> "ObjectStore":
    """The store at a full URL; with `make` a missing folder is made. Raises what obstore raises for a wrong URL."""
    from obstore.store import from_url

    options: dict[str, Any] = {}
    if url.startswith("file://"):
        options["mkdir"] = make
    else:
        options["client_options"] = {"timeout": TIMEOUT, "connect_timeout": CONNECT_TIMEOUT, **_plain(url)}
        options["retry_config"] = {"max_retries": retries, "retry_timeout": TIMEOUT}
    return from_url(url, **options)


def _plain(url: str) -> dict[str, bool]:
    """Whether the endpoint may be plain HTTP, as a store inside a cluster often is: only where somebody named it so."""
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
    endpoint = next((os.environ[name] for name in names if os.environ.get(name)), "")
    return {"allow_http": True} if url.startswith("s3://") and endpoint.startswith("http://") else {}
