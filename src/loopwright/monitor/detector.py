"""One version's look: the windowed test, the growing evidence and the recent reference together.

All of them are corrected for repeats in the traffic, and held against the seasons that the window covers.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from loopwright.monitor.dispersion import Dispersion
from loopwright.monitor.drift import evaluate
from loopwright.monitor.growing import Growing
from loopwright.monitor.looks import Look, Rule, Score, Window
from loopwright.monitor.recent import Recent
from loopwright.monitor.seasonal import SeasonalLayout, layout_of
from loopwright.statistics.profile import Profile


class Detector:
    """The state of one version: all counts so far go in at each glance, the window at each look, and what has drifted
    comes out.
    """

    def __init__(self, profile: Profile, rule: Rule) -> None:
        self._rule, self._layout = rule, layout_of(profile)
        self.reference = profile
        """What the last window was held against: the profile, or the mixture of its seasons."""
        self.recent = Recent(profile, rule.span, rule.looks) if rule.recent else None
        self._dispersion, self._growing = Dispersion(self._layout), Growing(self._layout, rule)
        self._counts = self._before = np.zeros_like(self._layout.reference)
        self._grown: Mapping[str, Score] | None = None
        self._totals: Window | None = None

    @property
    def dispersion(self) -> dict[str, float]:
        """How much more the counts of each feature vary than those of independent rows would, at least 1."""
        return dict(zip(self._layout.names, self._dispersion.factors().tolist(), strict=True))

    def glance(self, totals: Window) -> Mapping[str, Score] | None:
        """What growing evidence says of all counts so far, by name; None where it has nothing new to say."""
        before, now = self._counts, self._layout.flat(totals)
        # Starts keep what they are given: while a version is idle, one array does for all of them.
        self._counts, self._totals = before if np.array_equal(now, before) else now, totals
        self._grown = self._growing.step(self._counts, self._dispersion.factors())
        return self._grown if self._dispersion.known and (self._counts != before).any() else None

    def look(self, window: Window, at: float = 0.0) -> Look | None:
        """The look at a window that ends with the last glance, at the real moment `at`; None without events in it.

        A feature has drifted when the windowed test or the growing evidence says so. Growing evidence needs no full
        window: it makes `enough` true where its starts have enough events, as long as events keep coming. In the first
        six looks, or until there are events enough to tell how much they repeat, nothing has drifted.
        """
        new, self._before = self._counts - self._before, self._counts
        self._dispersion.add(new)
        if isinstance(self._layout, SeasonalLayout) and window.seasons is not None:
            self.reference = self._layout.at(window.seasons)
        sudden = self._sudden(window, at)
        look = evaluate(self.reference, window, self._rule, self.dispersion)
        if look is None:
            return None
        look = replace(look, recent=sudden)
        if not self._dispersion.known:
            return replace(
                look,
                features={name: _held(score) for name, score in look.features.items()},
                prediction=_held(look.prediction),
                recent={name: _held(score) for name, score in look.recent.items()},
            )
        if self._grown is None:
            return look
        name, *features = self._layout.names[::-1]
        scores = {key: _stronger(score, self._grown.get(key)) for key, score in look.scores().items()}
        return replace(
            look,
            # Without new events nothing begins, and what grew is no less for it.
            enough=look.enough or bool(new.any()),
            features={key: scores[key] for key in reversed(features)},
            prediction=scores[name],
        )

    def _sudden(self, window: Window, at: float) -> dict[str, Score]:
        """The window against recent traffic, with its own share of the budget."""
        if self.recent is None or self._totals is None:
            return {}
        self.recent.step(self._totals, at)
        reference = self.recent.reference(window, at)
        rule = replace(self._rule, level=self._rule.recent)
        look = evaluate(reference, window, rule, self.dispersion) if reference else None
        return look.scores() if look else {}


def _held(score: Score) -> Score:
    return replace(score, drifted=False)


def _stronger(window: Score, grown: Score | None) -> Score:
    """The finding that is told: the window's, unless only the growing evidence says that there is drift."""
    return grown if grown is not None and grown.drifted and not window.drifted else window
