"""Where the state of a rollout on KServe lives: a ConfigMap beside the InferenceService, and a Lease that excludes.

The Lease is renewed while its rollout runs. One that was not renewed for its duration belonged to a process that is
gone, and is taken over; clocks that are further apart than that would make it look so, too. Where the rollout stands
is shown in `status.annotations` of the InferenceService, for people who look there.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from loopwright.errors import RolloutError, StateError
from loopwright.rollout.kserve.cluster import LEASE, SERVICE, Cluster, Conflict, Object
from loopwright.rollout.kserve.notes import Notes
from loopwright.rollout.resume import Saved
from loopwright.rollout.states import Command, Held

DURATION = 30
"""Seconds after which a Lease that was not renewed is nobody's."""
SHOWN, VERDICT = "loopwright.dev/rollout", "loopwright.dev/verdict"
LONGEST = 1000
"""Characters of a verdict that are shown; the ledger has all of it."""
_BROKEN = (ValueError, KeyError, TypeError, AttributeError)


class KServeStates:
    """The state of one loop's rollout; see `States` for the methods. `now` is seconds since the epoch."""

    def __init__(
        self, loop: str, cluster: Cluster, *, now: Callable[[], float] = time.time, duration: float = DURATION
    ) -> None:
        self._loop, self._cluster, self._notes = loop, cluster, Notes(loop, cluster)
        self._now, self._duration = now, duration
        self._me = f"process {os.getpid()} on {socket.gethostname()}"
        self._lost = threading.Event()

    def load(self) -> Saved | None:
        text = self._notes.read().get("state")
        try:
            return None if text is None else Saved.from_json(json.loads(text))
        except _BROKEN as error:
            raise self._damaged("state", error) from error

    def save(self, saved: Saved) -> None:
        if self._lost.is_set():
            raise Held(
                f"the Lease {self._notes.name} is another's: it was not renewed for {self._duration:.0f} s",
                do="see that the other rollout ends, and run this again",
            )
        self._notes.write(state=json.dumps(saved.to_json(), separators=(",", ":")))
        self._show(saved)

    def clear(self) -> None:
        self._notes.write(state=None, command=None)
        self._annotate(SHOWN, None)

    @contextmanager
    def alone(self, version: int) -> Iterator[None]:
        self._take(version)
        self._lost.clear()
        over = threading.Event()
        renewing = threading.Thread(target=self._renew, args=(version, over), daemon=True)
        renewing.start()
        try:
            yield
        finally:
            over.set()
            renewing.join()
            # A Lease that cannot be given back now is nobody's soon.
            with suppress(RolloutError):
                self._give_back()

    def command(self) -> Command | None:
        text = self._notes.read().get("command")
        try:
            return None if text is None else Command.from_json(json.loads(text))
        except _BROKEN as error:
            raise self._damaged("command", error) from error

    def clear_command(self) -> None:
        self._notes.write(command=None)

    def tell(self, command: Command) -> None:
        self._notes.write(command=json.dumps(command.to_json()))

    def note(self, verdict: str, reason: str, version: int, weight: int) -> None:
        """Show the newest verdict on the InferenceService."""
        shown = {"version": version, "weight": weight, "verdict": verdict, "reason": reason[:LONGEST]}
        shown["at"] = datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="seconds")
        self._annotate(VERDICT, shown)

    def _take(self, version: int) -> None:
        found = self._cluster.get(LEASE, self._notes.name)
        spec: Object = {} if found is None else found.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        if holder and self._now() < _seconds(spec.get("renewTime")) + float(spec.get("leaseDurationSeconds", 0)):
            raise self._held(holder)
        try:
            if found is None:
                self._cluster.create(LEASE, self._lease(version, {"name": self._notes.name}))
            else:
                self._cluster.replace(LEASE, self._lease(version, found["metadata"]))
        except Conflict as error:
            raise self._held("another process") from error

    def _held(self, holder: str) -> Held:
        return Held(
            f"{holder} rolls {self._loop} out in the namespace {self._cluster.namespace}",
            expected="one rollout of a loop at a time",
            do="wait until it is over; `loopwright rollout abort` takes its challenger back. After a process that was "
            f"killed it is free in {self._duration:.0f} s",
        )

    def _lease(self, version: int, metadata: Object) -> Object:
        return {
            "apiVersion": LEASE.api,
            "kind": LEASE.name,
            "metadata": metadata,
            "spec": {
                "holderIdentity": f"{self._me} (version {version})" if version else "",
                "leaseDurationSeconds": max(1, int(self._duration)),
                "renewTime": datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="microseconds")[:-6] + "Z",
            },
        }

    def _mine(self) -> Object | None:
        found = self._cluster.get(LEASE, self._notes.name)
        holder = "" if found is None else (found.get("spec") or {}).get("holderIdentity") or ""
        return found if holder.startswith(self._me + " ") else None

    def _renew(self, version: int, over: threading.Event) -> None:
        renewed = self._now()
        while not over.wait(self._duration / 3):
            try:
                found = self._mine()
                if found is None:
                    self._lost.set()
                    return
                self._cluster.replace(LEASE, self._lease(version, found["metadata"]))
                renewed = self._now()
            except RolloutError:
                # The API server is away, or was faster; after its duration the Lease may be another's.
                if self._now() > renewed + self._duration:
                    self._lost.set()
                    return

    def _give_back(self) -> None:
        found = self._mine()
        if found is not None:
            self._cluster.replace(LEASE, self._lease(0, found["metadata"]))

    def _show(self, saved: Saved) -> None:
        shown: dict[str, Any] = {"version": saved.version, "champion": saved.champion, "phase": saved.phase}
        if saved.phase == "stepping" and saved.index < len(saved.steps):
            shown["weight"] = saved.steps[saved.index]
        if saved.paused is not None:
            shown["paused"] = f"{saved.paused.who}: {saved.paused.why}"
        if saved.reason:
            shown["reason"] = saved.reason[:200]
        self._annotate(SHOWN, shown)

    def _annotate(self, name: str, shown: dict[str, Any] | None) -> None:
        text = None if shown is None else json.dumps(shown)
        # For people to see, no part of the state: not worth a rollout where it may not be written.
        with suppress(RolloutError):
            self._cluster.patch(SERVICE, self._loop, {"status": {"annotations": {name: text}}}, sub="status")

    def _damaged(self, what: str, error: Exception) -> StateError:
        name = self._notes.name
        return StateError(
            f"the {what} in the ConfigMap {name} of the namespace {self._cluster.namespace} cannot be read: {error}",
            expected="what a rollout wrote",
            do=f"remove it: `kubectl -n {self._cluster.namespace} delete configmap {name}`; the next rollout withdraws "
            "the challenger that was left",
        )


def _seconds(time_text: str | None) -> float:
    return 0.0 if not time_text else datetime.fromisoformat(time_text.replace("Z", "+00:00")).timestamp()
