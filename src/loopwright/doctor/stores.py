"""What a loop remembers: its state folder, its ledger, its registry, and the token that guards it."""

from collections.abc import Iterator
from pathlib import Path

from loopwright import settings as reading
from loopwright.doctor.findings import NOTE, OK, WARNING, Finding
from loopwright.ledger import Ledger
from loopwright.loop import Loop
from loopwright.registry import Registry
from loopwright.settings import Settings, redacted


def state(settings: Settings) -> Iterator[Finding]:
    """Whether the state folder can be written; a loop that has not run yet has none. Raises StateError."""
    if not settings.state.exists():
        yield Finding("state", NOTE, f"{settings.state} is not there yet; the first `loopwright run` makes it")
        return
    reading.prepare(settings)
    yield Finding("state", OK, f"{settings.state} can be written")


def ledger(settings: Settings, loop: Loop) -> Iterator[Finding]:
    """Whether the ledger can be reached, and its chain holds. Raises StateError and LedgerError."""
    shown = redacted(settings.ledger_url)
    if _absent(settings.ledger_url):
        yield Finding("ledger", NOTE, f"{shown} is not there yet; the first `loopwright run` makes it")
        return
    known = Ledger(settings.ledger_url)
    total, newest = known.verify(), known.entries(loop.name, newest=1)
    last = f", the newest of {loop.name} of {newest[0].at:%Y-%m-%d %H:%M} UTC" if newest else f", none of {loop.name}"
    yield Finding("ledger", OK, f"{shown} verifies: {total} entries{last}")


def registry(settings: Settings, loop: Loop) -> Iterator[Finding]:
    """Whether the registry can be reached, and which version serves. Raises RegistryError."""
    shown = redacted(settings.registry_uri)
    if _absent(settings.registry_uri):
        yield Finding("registry", NOTE, f"{shown} is not there yet; the first `loopwright run` makes it")
        return
    versions = Registry(settings).versions(loop.name)
    champion = next((one.number for one in versions if "champion" in one.aliases), None)
    role = f"version {champion} is the champion" if champion is not None else "none is the champion yet"
    yield Finding("registry", OK, f"{shown}: {len(versions)} versions of {loop.name}, {role}")


def token(settings: Settings, *, cluster: bool) -> Iterator[Finding]:
    """Whether there is a bearer token, where other machines reach trigger and monitor."""
    if settings.token:
        yield Finding("token", OK, "LOOPWRIGHT_TOKEN is set")
    elif cluster:
        do = "give the pod LOOPWRIGHT_TOKEN from the Secret, as chart and kustomize do"
        yield Finding("token", WARNING, "LOOPWRIGHT_TOKEN is not set: trigger and monitor do not start without it", do)


def _absent(url: str) -> bool:
    """Whether it is a SQLite file that nobody has made yet."""
    path = url.partition("///")[2] if url.startswith("sqlite:") else ""
    return bool(path) and not Path(path).exists()
