"""One version's look: the windowed test and the growing evidence together, corrected for repeats in the traffic."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from loopwright.monitor.dispersion import Dispersion
from loopwright.monitor.drift import evaluate
from loopwright.monitor.growing import Growing
from loopwright.monitor.layout import Layout
from loopwright.monitor.looks import Look, Rule, Score, Window
from loopwright.statistics.profile import Profile


class Detector:
    """The state of one version: all counts so far go in at each glance, the window at each look, and what has drifted
    comes out.
    """

    def __init__(self, profile: Profile, rule: Rule) -> None:
        self._profile, self._rule, self._layout = profile, rule, Layout(profile)
        self._dispersion, self._growing = Dispersion(self._layout), Growing(self._layout, rule)
        self._counts = self._before = np.zeros_like(self._layout.reference)
        self._grown: Mapping[str, Score] | None = None

    @property
    def dispersion(self) -> dict[str, float]:
        """How much more the counts of each feature vary than those of independent rows would, at least 1."""
        return dict(zip(self._layout.names, self._dispersion.factors().tolist(), strict=True))

    def glance(self, totals: Window) -> Mapping[str, Score] | None:
        """What growing evidence says of all counts so far, by name; None where it has nothing new to say."""
        before, self._counts = self._counts, self._layout.flat(totals)
        self._grown = self._growing.step(self._counts, self._dispersion.factors())
        return self._grown if self._dispersion.known and (self._counts != before).any() else None

    def look(self, window: Window) -> Look | None:
        """The look at a window that ends with the last glance; None without any events in the window.

        A feature has drifted when the windowed test or the growing evidence says so. Growing evidence needs no full
        window: it makes `enough` true where its starts have enough events, as long as events keep coming. In the first
        six looks, or until there are events enough to tell how much they repeat, nothing has drifted.
        """
        new, self._before = self._counts - self._before, self._counts
        self._dispersion.add(new)
        look = evaluate(self._profile, window, self._rule, self.dispersion)
        if look is None:
            return None
        if not self._dispersion.known:
            return replace(
                look,
                features={name: _held(score) for name, score in look.features.items()},
                prediction=_held(look.prediction),
            )
        if self._grown is None or not new.any():
            return look
        name, *features = self._layout.names[::-1]
        scores = {key: _stronger(score, self._grown.get(key)) for key, score in look.scores().items()}
        return replace(
            look,
            enough=True,
            features={key: scores[key] for key in reversed(features)},
            prediction=scores[name],
        )


def _held(score: Score) -> Score:
    return replace(score, drifted=False)


def _stronger(window: Score, grown: Score | None) -> Score:
    """The finding that is told: the window's, unless only the growing evidence says that there is drift."""
    return grown if grown is not None and grown.drifted and not window.drifted else window
