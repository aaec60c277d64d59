"""The experiments: which traffic, which rollout, and what is counted of each rule."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from bench.verdicts import rules
from bench.verdicts.traffic import LABELLED, Course, Scorer, Version, World, draw, slower
from scipy import stats

from loopwright.loop import Rollout
from loopwright.rollout.counts import Arm

RAMP = (5, 25, 50, 100)
STEP = 10_000
"""Requests to both versions in a step: the default bake time of 10 minutes at 1,000 a minute."""
GOOD, WORSE = Scorer(0.85), Scorer(0.82)
_SEED = 20_261

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Equal:
    """An experiment with two equal versions."""

    key: str
    what: str
    world: World
    strategy: str = "canary"
    labels: bool = False
    assumed: bool = True
    """Whether the product's guarantee holds for it: its conditions are met."""
    steps: tuple[int, ...] = RAMP


def _alike(**version: Any) -> World:
    return World(champion=Version(**version), challenger=Version(**version))


def _bursts() -> World:
    return World(Version(errors=0.002), Version(errors=0.002), burst_share=0.1, burst_errors=0.1)


EQUAL = (
    Equal("errors-0", "no errors", _alike(errors=0.0)),
    Equal("errors-0.1", "0.1 % errors", _alike(errors=0.001)),
    Equal("errors-1", "1 % errors, the limit", _alike(errors=0.01)),
    Equal("errors-2", "2 % errors, twice the limit", _alike(errors=0.02)),
    Equal("limits", "1 % errors and 1 % slow, both at the limit", _alike(errors=0.01, slow=0.01)),
    Equal("labels", "1 % errors, 1 % slow, labels (10 %)", _alike(errors=0.01, slow=0.01, scorer=GOOD), labels=True),
    Equal("stalls", "1 % slow, by stalls of 5 requests", _alike(errors=0.001, slow=0.01, stall=5)),
    Equal("bursts", "a minute in ten with 10 % errors; 5, 25, 50 %", _bursts(), steps=(5, 25, 50)),
    Equal("bursts-100", "a minute in ten with 10 % errors; 5, 25, 50, 100 %", _bursts(), assumed=False),
    Equal("stalls-15", "1 % slow, by stalls of 15 requests", _alike(errors=0.001, slow=0.01, stall=15), assumed=False),
    Equal("bg-1", "1 % errors and 1 % slow", _alike(errors=0.01, slow=0.01), strategy="blue_green"),
    Equal("bg-labels", "2 % errors, with labels (10 %)", _alike(errors=0.02, scorer=GOOD), "blue_green", labels=True),
    Equal("bg-bursts", "a minute in ten with 10 % errors", _bursts(), "blue_green", assumed=False),
)


@dataclass(frozen=True)
class Worse:
    """An experiment with a challenger that is worse in one metric."""

    key: str
    what: str
    metric: str
    world: World
    most: int
    """The challenger's requests after which a rollout at one weight is given up as missed."""
    look: int
    """The challenger's requests between two looks (both versions' requests for the ramp: 100)."""
    step: int = STEP
    weights: tuple[int | None, ...] = (5, 25, 50, None)
    """The challenger's shares of the traffic in percent; None is the canary's ramp."""
    max_increase: float = 0.0
    """The limit of the label metric."""


WORSE_ONES = (
    Worse(
        "errors", "error rate 1 % -> 3 %", "error_rate", World(Version(errors=0.01), Version(errors=0.03)), 10_000, 5
    ),
    Worse(
        "latency", "p99 x 1.5", "latency_p99",
        World(Version(errors=0.001, slow=0.01), Version(errors=0.001, slow=slower(1.5))), 10_000, 5,
    ),
    Worse(
        "auc", "AUC 0.85 -> 0.82", "label_metric",
        World(Version(errors=0.001, scorer=GOOD), Version(errors=0.001, scorer=WORSE)), 200_000, 1000, 200_000,
    ),
    Worse(
        "auc-short", "AUC 0.85 -> 0.82", "label_metric",
        World(Version(errors=0.001, scorer=GOOD), Version(errors=0.001, scorer=WORSE)), 0, 100, weights=(None,),
    ),
    Worse(
        "auc-limit", "AUC 0.85 -> 0.82, `max_increase: 0.01`", "label_metric",
        World(Version(errors=0.001, scorer=GOOD), Version(errors=0.001, scorer=WORSE)), 0, 1000, 200_000, (None,), 0.01,
    ),
)  # fmt: skip


def declared_rollout(*, labels: bool, strategy: str = "canary", max_increase: float = 0.0) -> Rollout:
    """The default analysis, and the label metric where there are labels."""
    analysis: dict[str, Any] = {"error_rate": {"max": 0.01}, "latency_p99": {"max": "50ms"}, "prediction_shift": {}}
    if labels:
        analysis["label_metric"] = {"max_increase": max_increase}
    return Rollout.model_validate({"strategy": strategy, "analysis": analysis})


def interval(k: int, n: int) -> list[float]:
    """The Clopper-Pearson interval of a share, 95 %."""
    low = float(stats.beta.ppf(0.025, k, n - k + 1)) if k else 0.0
    high = float(stats.beta.ppf(0.975, k + 1, n - k)) if k < n else 1.0
    return [low, high]


def run_equal(one: Equal, replicates: int, tell: Progress) -> dict[str, Any]:
    """How often each rule rolls back a challenger that is as good as the champion."""
    rollout = declared_rollout(labels=one.labels, strategy=one.strategy)
    rollout = rollout.model_copy(update={"steps": one.steps})
    steps = [(weight, STEP) for weight in (one.steps if one.strategy == "canary" else (100,))]
    back = dict.fromkeys(rules.RULES, 0)
    for replicate in range(replicates):
        tell(f"{one.key} {replicate + 1}/{replicates}")
        course = draw(one.world, steps, _generator(one.key, replicate))
        for name, rule in rules.RULES.items():
            back[name] += rule(course, rollout) != rules.NEVER
    found = {
        name: {"rolled_back": k, "share": k / replicates, "interval": interval(k, replicates)}
        for name, k in back.items()
    }
    return {
        "key": one.key, "what": one.what, "strategy": one.strategy, "assumed": one.assumed, "replicates": replicates,
        "rules": found,
    }  # fmt: skip


def run_worse(one: Worse, weight: int | None, replicates: int, tell: Progress) -> dict[str, Any]:
    """After how many of the challenger's requests each rule rolls it back; `weight` None is the canary's ramp."""
    labels = one.metric == "label_metric"
    rollout = declared_rollout(labels=labels, max_increase=one.max_increase)
    if weight is None:
        batch = 100 if one.step <= STEP else one.step // 100
        steps = [(each, one.step) for each in RAMP]
    else:
        batch = math.ceil(one.look * 100 / weight)
        steps = [(weight, one.most * 100 // weight // batch * batch)]
        rollout = rollout.model_copy(update={"steps": (weight, 100)})
    if batch <= 1000:
        batch = next(size for size in (20, 50, 100, 200, 500, 1000) if size >= batch)
        steps = [(each, total // batch * batch) for each, total in steps]
    world = World(one.world.champion, one.world.challenger, batch=batch)
    chosen = ["loopwright", "fixed"] if labels else ["loopwright", "fixed", "flagger", "argo_example", "argo_strict"]
    delays: dict[str, list[float]] = {name: [] for name in chosen}
    horizon = None if weight is None else _horizon(one, rollout, weight)
    for replicate in range(replicates):
        tell(f"{one.key} {'ramp' if weight is None else f'{weight} %'} {replicate + 1}/{replicates}")
        course = draw(world, steps, _generator(f"{one.key}-{weight}", replicate))
        for name in chosen:
            seen = course
            if name == "fixed" and horizon is not None:
                seen = _until(course, horizon)
            look = rules.RULES[name](seen, rollout)
            delays[name].append(math.inf if look == rules.NEVER else float(seen.challenger[: look + 1, 0].sum()))
    return {
        "key": one.key, "what": one.what, "weight": weight, "step": one.step, "most": one.most,
        "replicates": replicates, "horizon": horizon,
        "rules": {name: _delay(values) for name, values in delays.items()},
    }  # fmt: skip


def type_one_error(replicates: int, *, labels: int = 400, margin: float = 0.0) -> dict[str, Any]:
    """How often the A/B test at its horizon lets a challenger win that is not better (or just `margin` worse)."""
    from loopwright.rollout.abtest import compare

    ab: dict[str, Any] = {"min_labels": 100}
    if margin:
        ab["win"] = {"no_worse_by": margin}
    rollout = Rollout.model_validate({"strategy": "ab", "ab": ab})
    generator, won = _generator(f"ab-{margin}", 0), 0
    for _ in range(replicates):
        arms = []
        for shift in (margin, 0.0):
            loss = GOOD.losses(generator, labels) + shift
            total = (float(loss.sum()), float((loss**2).sum()))
            arms.append(Arm(labels, 0, 0, labels, 0, (float(labels),), labels, *total))
        won += compare(arms[0], arms[1], rollout)["p_value"] < rollout.ab.alpha
    return {
        "margin": margin,
        "labels": labels,
        "replicates": replicates,
        "won": won,
        "interval": interval(won, replicates),
    }


def disagreement_error(replicates: int, *, pairs: int = 3000, limit: float = 0.1) -> dict[str, Any]:
    """How often a shadow whose answers differ exactly as often as the limit allows is called worse at any look."""
    from loopwright.rollout.pairs import Pairs, disagreement

    generator, back = _generator("disagreement", 0), 0
    sizes = np.arange(20, pairs + 1, 20)
    for _ in range(replicates):
        differ = np.cumsum(generator.binomial(20, limit, len(sizes)))
        looks = zip(sizes.tolist(), differ.tolist(), strict=True)
        back += any(disagreement(Pairs(n, k), limit, rules.ALPHA)["worse"] for n, k in looks)
    return {
        "limit": limit,
        "pairs": pairs,
        "replicates": replicates,
        "worse": back,
        "interval": interval(back, replicates),
    }


def _horizon(one: Worse, rollout: Rollout, weight: int) -> int:
    """The challenger's requests after which the fixed test is made."""
    versions = (one.world.champion, one.world.challenger)
    if one.metric == "label_metric":
        losses = [GOOD.losses(_generator("losses", 0), 400_000), WORSE.losses(_generator("losses", 0), 400_000)]
        spread = float(np.mean([loss.var() for loss in losses]))
        trials = rules.fixed_sample(one.metric, rollout, weight / 100, losses[0].mean(), losses[1].mean(), spread)
        return math.ceil(trials / LABELLED)
    rates = [version.errors if one.metric == "error_rate" else version.slow for version in versions]
    return rules.fixed_sample(one.metric, rollout, weight / 100, rates[0], rates[1], 0.0)


def _until(course: Course, requests: int) -> Course:
    """The course up to the look at which the challenger has had so many requests."""
    seen = np.cumsum(course.challenger[:, 0])
    end = min(int(np.searchsorted(seen, requests)) + 1, len(seen))
    return Course(
        course.weights[:end], course.champion[:end], course.challenger[:end], course.before, course.minute,
        (course.bins[0][:end], course.bins[1][:end]),
    )  # fmt: skip


def _delay(values: Sequence[float]) -> dict[str, Any]:
    """The median and the 90 % quantile, counting a missed one as never; and the share that was missed."""
    missed = sum(math.isinf(value) for value in values)
    quantiles = [float(np.quantile(values, q, method="higher")) for q in (0.5, 0.9)]
    median, late = (None if math.isinf(value) else value for value in quantiles)
    return {"median": median, "late": late, "missed": missed / len(values), "interval": interval(missed, len(values))}


def _generator(key: str, replicate: int) -> np.random.Generator:
    """A stream of its own for every experiment and replicate."""
    return np.random.default_rng([_SEED, replicate, *key.encode()])


def broken(result: dict[str, Any]) -> list[str]:
    """The promises that the numbers speak against: where even the interval's lower end is above 5 %."""
    said = [
        (f"{one['strategy']}, {one['what']}: an equal challenger", one["rules"]["loopwright"]["interval"])
        for one in result["equal"]
        if one["assumed"]
    ]
    said += [(f"A/B with a margin of {one['margin']:g}", one["interval"]) for one in result["ab"]]
    said.append(("disagreement at its limit", result["disagreement"]["interval"]))
    return [f"{what}: surely more than {interval[0]:.1%}" for what, interval in said if interval[0] > rules.ALPHA]
