"""What the alarm rule is made of: the loop's monitor section as a rule, a window's counts, and what a look found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from loopwright.durations import Clock, format_duration
from loopwright.loop import Loop
from loopwright.statistics.profile import Counts

LOOKS_PER_WINDOW = 10
SHORTEST_LOOK = 0.5
GLANCES_PER_LOOK = 10
"""A sudden drift is plain long before the next look; each tenfold finer costs its evidence log 10, a few rows."""
# However generous the budget: one look raises a false alarm with at most this chance.
GREATEST_LEVEL = 0.05
# Real seconds between two notices of what still fires, where a window is longer: whoever hears them keeps what waits
# in memory only, and has it again this soon after a restart.
LONGEST_REPEAT = 300.0
TRAINING, RECENT = "training", "recent"
# Ends the key of what is sudden: no name of a column has a control character.
_SUDDEN = "\x1f" + RECENT


@dataclass(frozen=True)
class Rule:
    """The loop's monitor section in real seconds, with the level of one look."""

    look: float
    """Real seconds between two looks: a tenth of the window, at least half a second."""

    looks: int
    """Looks a window."""

    level: float
    """The chance of a false alarm that one look at the window may spend, over all features and the prediction."""

    min_effect: float
    min_events: int
    persistence: int

    sequential: float = 0.0
    """What one glance may spend on growing evidence; 0 is without."""

    glances: int = 1
    """How often growing evidence is asked between a look and the next, with the look."""

    recent: float = 0.0
    """What one look may spend on the window against recent traffic; 0 is without."""

    span: float = 0.0
    """How long the recent traffic is, in real seconds."""

    @classmethod
    def of(cls, loop: Loop, clock: Clock) -> "Rule":
        """The rule of a loop on a clock."""
        monitor = loop.monitor
        window = clock.seconds(monitor.window)
        look = max(window / LOOKS_PER_WINDOW, SHORTEST_LOOK)
        share = monitor.false_alarms.share(timedelta(seconds=look * clock.speed))
        looks, glances = max(round(window / look), 1), min(max(int(look / SHORTEST_LOOK), 1), GLANCES_PER_LOOK)
        parts = 2 if monitor.recent is None else 3
        level = min(share, GREATEST_LEVEL) / parts
        return cls(
            look, looks, level, monitor.min_effect, monitor.min_events, monitor.persistence, level / glances, glances,
            *((level, clock.seconds(monitor.recent)) if monitor.recent is not None else ()),
        )  # fmt: skip

    @property
    def glance(self) -> float:
        """Real seconds between two glances at what grows."""
        return self.look / self.glances

    @property
    def window(self) -> float:
        """How much of the recent traffic is compared, in real seconds."""
        return self.look * self.looks

    @property
    def repeat(self) -> float:
        """Real seconds between two notices of what still fires: a window, but five minutes at most."""
        return min(self.window, LONGEST_REPEAT)


@dataclass(frozen=True)
class Window:
    """What was counted in a window: its events, and the bins of each feature and of the prediction.

    The predicted class is among the features, where the profile has it.
    """

    events: int
    features: Mapping[str, Counts]
    prediction: Counts
    seasons: Counts | None = None
    """The events by season, shape (seasons,), where the profile has seasons."""

    strata: Counts | None = None
    """Of all counts so far: the bins of features and prediction by season, (seasons, bins), where there are seasons."""


@dataclass(frozen=True)
class Score:
    """How far one feature is from its reference."""

    distance: float
    """Jensen-Shannon distance, corrected for sample size, 0 to 1."""

    score: float
    """Test statistic over critical value, or evidence over what is needed: at 1 and above, chance does not explain it
    under the budget."""

    drifted: bool

    by: str = "window"
    """What says so: `window`, or `growing` where evidence from longer than a window was needed."""


@dataclass(frozen=True)
class Look:
    """The result of one look; without enough events nothing has drifted, and nothing is over either."""

    events: int
    enough: bool
    features: Mapping[str, Score]
    prediction: Score
    recent: Mapping[str, Score] = field(default_factory=dict)
    """Against recent traffic, by the same names as `scores`; empty where there is none to be held against."""

    def alarms(self) -> dict[str, Score]:
        """What alarms are raised for: `scores`, and what is sudden, each by a key that `told` reads."""
        return {**self.scores(), **{name + _SUDDEN: score for name, score in self.recent.items()}}

    def scores(self) -> dict[str, Score]:
        """Features and prediction by the name that alarms and metrics give them."""
        return {**self.features, prediction_name(self.features): self.prediction}

    def ranking(self) -> list[str]:
        """The names, those that matter most first: drifted ones before others, each by distance, then by score."""
        scores = self.scores()
        return sorted(scores, key=lambda name: (scores[name].drifted, scores[name].distance, scores[name].score))[::-1]


def told(key: str) -> tuple[str, str]:
    """The feature that an alarm's key is of, and what it is held against: `training` or `recent`."""
    return (key.removesuffix(_SUDDEN), RECENT) if key.endswith(_SUDDEN) else (key, TRAINING)


def reference(loop: Loop, against: str) -> str:
    """In words, what `training` or `recent` is for a loop: what an alarm says that a feature has drifted from."""
    monitor = loop.monitor
    if against == RECENT and monitor.recent is not None:
        return f"the traffic of the {format_duration(monitor.recent)} before"
    season = "" if monitor.seasonality is None else f" of the same {monitor.seasonality.replace('_', ' ')}"
    return f"the training data{season}"


def prediction_name(features: Mapping[str, object]) -> str:
    """What the prediction is called beside the features: `prediction`, unless a column has that name."""
    name = "prediction"
    while name in features:
        name += "_"
    return name
