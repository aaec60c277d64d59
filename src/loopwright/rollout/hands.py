"""What people do to a rollout while it runs: commands from another process, and weights that were set by hand.

Both are looked at before anything else at every look. What a person decides is done, and written down with who and
why. A share that this rollout did not ask for is left as it is: the rollout says so, and waits for a person.

A command is cleared after what it says is saved. A rollout that is killed in between finds it again, and finds it done.
"""

from collections.abc import Callable

from loopwright.errors import StateError
from loopwright.rollout.gateway import Gateway
from loopwright.rollout.journal import Journal
from loopwright.rollout.resume import Paused
from loopwright.rollout.states import Command, States

BY_HAND = "somebody"


class Decided(Exception):
    """A person ended the rollout: promoted, or not."""

    def __init__(self, promote: bool, reason: str, who: str) -> None:
        super().__init__(reason)
        self.promote, self.reason, self.who = promote, reason, who


class Hands:
    """The hands on one rollout."""

    def __init__(self, gateway: Gateway, states: States, journal: Journal, now: Callable[[], float]) -> None:
        self._gateway, self._states, self._journal, self._now = gateway, states, journal, now
        self._damaged = ""

    def see(self) -> Paused | None:
        """Do what was told, and see whether weights are as they were asked for; why the rollout waits, if it does.

        Raises Decided when a person ended it.
        """
        command = self._read()
        if command is not None:
            self._told(command)  # Of a decision, what it says is saved by whoever ends the rollout, and clears it.
            if self._states.command() == command:
                self._states.clear_command()
        if self._journal.at.paused is None:
            self._compare()
        return self._journal.at.paused

    def _read(self) -> Command | None:
        try:
            return self._states.command()
        except StateError as error:
            if str(error) != self._damaged:
                self._journal.say(str(error))
            self._damaged = str(error)
            return None

    def _told(self, command: Command) -> None:
        paused, why = self._journal.at.paused, f": {command.why}" if command.why else ""
        match command.kind:
            case "pause":
                if paused is None:
                    self.pause(Paused(command.who, command.why, command.at))
            case "resume":
                if paused is not None:
                    self._resume(paused, command)
            case "promote":
                if self._journal.at.phase != "keeping":
                    raise Decided(True, f"promoted by {command.who}{why}", command.who)
                self._journal.say(f"version {self._journal.at.version} is the champion already")
            case "abort":
                raise Decided(False, f"aborted by {command.who}{why}", command.who)

    def pause(self, paused: Paused) -> None:
        """Wait for a person from here on."""
        self._journal.save(paused=paused)
        self._journal.paused(paused)

    def _resume(self, paused: Paused, command: Command) -> None:
        self._journal.resumed(paused, command.who, command.why)
        at = self._journal.at
        if paused.found is not None:
            # The shares were others meanwhile: the step is begun again, with its own share.
            self._journal.save(paused=None, asked=None, asking=None, base=None if at.phase == "stepping" else at.base)
        else:
            started = at.step_started + (self._now() - paused.since) if at.step_started else 0.0
            self._journal.save(paused=None, step_started=started)

    def _compare(self) -> None:
        at = self._journal.at
        champion = self._gateway.champion()
        if at.phase == "stepping" and champion == at.version and at.champion is not None:
            raise Decided(True, "it was made the champion by hand", BY_HAND)
        if at.phase == "keeping" and champion == at.champion:
            raise Decided(False, f"version {at.champion} was made the champion again by hand", BY_HAND)
        if at.asked is None:
            return
        # While the former version is kept, it is the one that a person could give a share to.
        version = at.champion if at.phase == "keeping" else at.version
        found = self._gateway.wanted().get(version, -1 if at.phase == "stepping" else 0) if version else at.asked
        if found not in (at.asked, at.asking):
            share = "was taken away" if found < 0 else f"was given {found} %"
            why = f"version {version} {share} by hand, and this rollout had asked for {at.asked} %"
            self.pause(Paused(BY_HAND, why, self._now(), found))
