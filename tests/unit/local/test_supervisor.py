import asyncio
import errno
import signal

import pytest

from loopwright import settings
from loopwright.local.options import Options
from loopwright.local.supervisor import Supervisor


class Closed:
    """A terminal that is closed after so many lines: from then on each line fails."""

    def __init__(self, error, lines=0):
        self.error, self.left, self.seen = error, lines, []

    def __call__(self, what):
        if not self.left:
            raise self.error
        self.left -= 1
        self.seen.append(what)


CLOSED = [OSError(errno.EIO, "Input/output error"), ValueError("I/O operation on closed file"), SystemExit(1)]


@pytest.fixture
def make(small, tmp_path):
    def made(on_event):
        supervisor = Supervisor(small, tmp_path, settings.read(tmp_path, {}), Options(on_event=on_event))
        supervisor._stop = asyncio.Event()
        return supervisor

    return made


@pytest.mark.parametrize("error", CLOSED)
def test_a_signal_is_heeded_though_nobody_can_be_told(make, error):
    supervisor = make(Closed(error))
    supervisor._signalled(signal.SIGHUP)
    assert supervisor._stop.is_set()


class Service:
    killed = False

    def kill(self):
        self.killed = True


@pytest.mark.parametrize(("number", "killed"), [(signal.SIGHUP, False), (signal.SIGINT, True), (signal.SIGTERM, True)])
def test_only_a_persons_second_signal_does_not_wait_for_what_is_in_flight(make, number, killed):
    supervisor, service, predictor = make(lambda text: None), Service(), Service()
    supervisor._services = {"envoy": service}
    supervisor._predictors = type("Predictors", (), {"services": lambda self: [predictor]})()
    supervisor._signalled(signal.SIGHUP)
    supervisor._signalled(number)
    assert (service.killed, predictor.killed) == (killed, killed)


def test_what_nobody_thought_of_is_reported_once_and_tried_again(make):
    told, tries = [], []
    supervisor = make(told.append)

    async def _look():
        tries.append(1)
        if len(tries) == 5:
            supervisor._stop.set()
        if len(tries) < 4:
            raise KeyError("routes")

    asyncio.run(supervisor._repeat(0.001, _look))
    assert (len(tries), told) == (5, ["look: KeyError: 'routes'"])
    assert supervisor._problems == {"_look": ""}


@pytest.mark.parametrize("error", CLOSED)
def test_a_problem_that_cannot_be_told_ends_nothing(make, error):
    supervisor, tries = make(Closed(error)), []

    async def _look():
        tries.append(1)
        if len(tries) == 3:
            supervisor._stop.set()
        raise OSError("disk full")

    asyncio.run(supervisor._repeat(0.001, _look))
    assert len(tries) == 3
    assert supervisor._problems == {"_look": "disk full"}
