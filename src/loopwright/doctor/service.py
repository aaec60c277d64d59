"""A trigger that runs: whether it answers, lives, and takes this token."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from loopwright.doctor.findings import OK, PROBLEM, Finding
from loopwright.http import bearer
from loopwright.settings import redacted

if TYPE_CHECKING:
    import httpx


def trigger(url: str, token: str, client: "httpx.Client") -> Iterator[Finding]:
    """What the trigger at `url` answers about its health, and to the token."""
    import httpx

    shown = redacted(url.rstrip("/"))
    try:
        health = client.get(f"{url.rstrip('/')}/healthz")
        state = client.get(f"{url.rstrip('/')}/v1/state", headers=bearer(token))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        text = f"the trigger at {shown} does not answer: {redacted(str(error) or type(error).__name__)}"
        yield Finding("trigger", PROBLEM, text, "see its pod: `kubectl get pods`, `kubectl logs`")
        return
    if not health.is_success:
        text = f"the trigger at {shown} is not well ({health.status_code}): {health.text.strip()[:200]}"
        yield Finding("trigger", PROBLEM, text, "see its log")
    elif state.status_code == httpx.codes.UNAUTHORIZED:
        text = f"the trigger at {shown} has another token"
        yield Finding("trigger", PROBLEM, text, "after a change of the Secret: `kubectl rollout restart`")
    elif not state.is_success:
        text = (
            f"the trigger at {shown} cannot say its state ({state.status_code}): {redacted(state.text.strip()[:200])}"
        )
        yield Finding("trigger", PROBLEM, text, "see its log, and the findings about the ledger")
    else:
        yield Finding("trigger", OK, f"the trigger at {shown} is well and takes this token")
