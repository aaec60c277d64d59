"""What the tests of rollouts share: a data plane in memory, and a world that outlives the processes of rollouts."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from loopwright.durations import Clock
from loopwright.ledger import Ledger
from loopwright.loop import Loop
from loopwright.rollout import controller
from loopwright.rollout.counts import UNKNOWN, ZERO, Arm
from loopwright.rollout.gateway import NotReady
from loopwright.rollout.states import FileStates
from loopwright.rollout.target import Target
from loopwright.settings import Settings

DECLARED = {
    "apiVersion": "loopwright/v1",
    "kind": "Loop",
    "metadata": {"name": "churn"},
    "data": {"source": "data.csv", "label": {"column": "y"}, "contract": {"x": {"type": "number"}}},
    "model": {"task": "classification"},
}
METRICS = {
    "error_rate": {"max": 0.01},
    "latency_p99": {"max": "50ms"},
    "prediction_shift": {"max": 0.5},
    "label_metric": {"max_increase": 0.01, "min_labels": 50},
}


class Killed(BaseException):
    """Stands for kill -9: nothing in the rollout may run after it, so the tests forbid the gateway then."""


@dataclass
class Behaviour:
    """What a version does with a request."""

    errors: float = 0.001
    slow: float = 0.001
    loss: float = 0.1
    shift: int = 0
    differs: float = 0.0


@dataclass
class InMemoryGateway:
    """A stand-in for a data plane: requests come as its clock runs, and are routed by weight at random."""

    behaviours: dict[int, Behaviour]
    stable: int | None = 1
    canary: int | None = None
    weight: int = 0
    rate: float = 50.0
    never_ready: bool = False
    blind: bool = False
    ceiling: int = 100
    clock: float = 1000.0
    events: dict[float, object] = field(default_factory=dict)
    calls: list[tuple] = field(default_factory=list)
    arms: dict[int, Arm] = field(default_factory=dict)
    dead: bool = False
    former: int | None = None
    mirrored: bool = False
    sticky: bool = False
    ill: str = ""
    answered: dict[int, list] = field(default_factory=dict)

    def __post_init__(self):
        self.generator = np.random.default_rng(17)

    def now(self):
        return self.clock

    def pause(self, seconds):
        assert 0 < seconds <= 2
        self.clock += seconds
        for version, weight in self.weights().items():
            requests = self.generator.poisson(self.rate * seconds * weight / 100)
            self.serve(version, requests)
            if self.mirrored and version == self.stable:
                self.serve(self.canary, requests)
                self.answer(requests)
        for at in [at for at in self.events if at <= self.clock]:
            happened = self.events.pop(at)
            if isinstance(happened, BaseException):
                raise happened
            happened(self)

    def serve(self, version, n):
        does, draw = self.behaviours[version], self.generator
        loss = draw.beta(2, 18, n) + does.loss - 0.1
        bins = np.roll(draw.multinomial(n, [0.4, 0.3, 0.2, 0.1] + [0.0] * 16), does.shift)
        self.arms[version] = self.arms.get(version, ZERO) + Arm(
            n,
            draw.binomial(n, does.errors),
            0,
            n,
            draw.binomial(n, does.slow),
            tuple(bins.astype(float)),
            n,
            loss.sum(),
            (loss**2).sum(),
        )

    def answer(self, n):
        """Both versions predict the same n requests, the challenger another class now and then."""
        draw, begin = self.generator, len(self.answered.get(1, []))
        one = draw.uniform(0, 1, n)
        two = np.where(draw.uniform(0, 1, n) < self.behaviours[self.canary].differs, 1 - one, one)
        for version, values in ((self.stable, one), (self.canary, two)):
            rows = [(f"id {begin + row}", value) for row, value in enumerate(values.tolist())]
            self.answered.setdefault(version, []).extend(rows)

    def told(self, *call):
        assert not self.dead, f"a killed process called {call}"
        self.calls.append(call)

    def champion(self):
        return self.stable

    def add(self, version, bundle, digest):
        self.told("add", version)
        if self.stable is None:
            self.stable = version
        elif self.stable != version:
            self.canary = version

    def wait_ready(self, version, timeout_s):
        if self.never_ready:
            self.clock += timeout_s
            raise NotReady(f"version {version} was not ready within {timeout_s:.0f} s")

    def weights(self):
        weights = {} if self.stable is None else {self.stable: 100 - min(self.weight, self.ceiling)}
        weights |= {} if self.former is None else {self.former: 0}
        return weights if self.canary is None else weights | {self.canary: min(self.weight, self.ceiling)}

    def shift(self, version, percent):
        self.told("shift", version, percent)
        if version == self.canary:
            self.weight = percent
            self.clock += 0.25

    def wanted(self):
        weights = {} if self.stable is None else {self.stable: 100 - self.weight}
        weights |= {} if self.former is None else {self.former: 0}
        return weights if self.canary is None else weights | {self.canary: self.weight}

    def mirror(self, version, on):
        self.told("mirror", version, on)
        assert not on or self.weight == 0
        self.mirrored = on

    def split(self, version, ab):
        self.told("split", version, ab.percent)
        if version != self.canary:
            raise NotReady(f"version {version} is not there")
        self.weight, self.sticky = ab.percent, True

    def promote(self, version, *, keep=False):
        self.told("promote", version)
        if version == self.canary:
            self.former = self.stable if keep else None
            self.stable, self.canary, self.weight, self.sticky = version, None, 0, False
        assert version == self.stable

    def restore(self, version):
        self.told("restore", version)
        if version == self.former:
            self.stable, self.canary, self.former, self.weight = version, self.stable, None, 0
        assert version == self.stable

    def withdraw(self, version):
        self.told("withdraw", version)
        if version == self.canary:
            assert self.weight == 0, "a challenger with traffic was withdrawn"
            self.canary, self.mirrored, self.sticky = None, False, False
        elif version == self.former:
            self.former = None
        elif version == self.stable:
            self.stable = None

    def kept(self):
        return self.former

    def preview(self, version):
        return f"preview of {version}"

    def health(self, version):
        return self.ill if version == 2 else ""

    def answers(self, version, after):
        known = self.answered.get(version, [])
        return known[int(after or 0) :], str(len(known))

    def counts(self):
        if self.blind:
            return dict.fromkeys(self.weights(), UNKNOWN)
        return {version: self.arms.get(version, ZERO) for version in self.weights()}

    def kill(self):
        self.dead = True
        raise Killed


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


class World:
    """A ledger, a registry and a state folder that outlive the processes in which rollouts run."""

    def __init__(self, folder):
        folder.mkdir(exist_ok=True)
        self.ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
        self.settings = Settings(folder, "", "", clock=Clock())
        self.path = folder / "live" / "rollout.json"
        self.states = FileStates(folder / "live")
        self.promoted, self.looks = [], []

    def run(
        self, gateway, version=2, *, bundles="/bundles", metrics=METRICS, cause=None, ask=None, paused=None,
        going_on=False, **rollout,
    ):  # fmt: skip
        spec = {"steps": [5, 25, 50], "bake": "30s", "timeout": "5m", "analysis": metrics} | rollout
        return controller.run(
            Target(gateway, self.states, "a stand-in"),
            Loop.model_validate(DECLARED | {"rollout": spec}),
            version,
            f"{bundles}/{version}",
            f"digest {version}",
            self.ledger,
            self.settings,
            self.promoted.append,
            cause,
            self.looks.append,
            ask=ask,
            paused=paused,
            going_on=going_on,
            now=gateway.now,
            pause=gateway.pause,
        )

    def entries(self, *kinds):
        return [entry for entry in self.ledger.entries("churn") if not kinds or entry.kind in kinds]

    def story(self):
        return [(entry.kind, entry.facts.get("weight"), entry.facts.get("verdict")) for entry in self.entries()]


def gateway(**challenger):
    return InMemoryGateway({1: Behaviour(), 2: Behaviour(**challenger), 3: Behaviour()})


def kill_at(plane, method):
    """Kill the process right after the gateway did something, before the rollout knows."""
    real = getattr(plane, method)

    def killed(*arguments, **options):
        real(*arguments, **options)
        if not plane.dead and len(plane.calls) > 1:
            setattr(plane, method, real)
            plane.kill()

    setattr(plane, method, killed)
