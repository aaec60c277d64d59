"""The bearer token of one `loopwright up`: in its children's environment, and in a file that only its user reads."""

import os
import secrets
from dataclasses import replace

from loopwright.errors import StateError
from loopwright.rollout.state import BEARER, stored_token
from loopwright.settings import Settings


def issue(settings: Settings) -> Settings:
    """These settings with a token: their own, or a new random one that is stored for the user's other commands.

    Raises StateError when it cannot be stored.
    """
    discard(settings)
    if settings.token:
        return settings
    made = replace(settings, token=secrets.token_urlsafe(32))
    try:
        # The mode is given when the file is made: there is no moment in which others could read it.
        descriptor = os.open(settings.live / BEARER, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(made.token)
    except OSError as error:
        raise StateError(
            f"{settings.live / BEARER} cannot be written: {error.strerror or error}",
            do="check the folder's permissions",
        ) from error
    return made


def find(settings: Settings) -> str:
    """The token to use against what is up: the settings' own, or the stored one; empty where there is neither."""
    return settings.token or stored_token(settings.live)


def discard(settings: Settings) -> None:
    """Remove the stored token."""
    (settings.live / BEARER).unlink(missing_ok=True)
