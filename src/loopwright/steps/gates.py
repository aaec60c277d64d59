"""The rules that a challenger must pass: absolute ones, and against the champion on the same rows.

A rule with a confidence passes on evidence, not on a point estimate: the bound of the interval has to reach the limit.
Where the rows can tell neither that it is reached nor that it is missed, the gate says how many could.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

from loopwright.loop import ChampionRule, Limit, Loop
from loopwright.statistics.paired import POWER, Evidence, State
from loopwright.steps.evidence import Comparison, Judged

__all__ = ["Gate", "Judged", "apply", "shown"]


FLOOR, CEILING = "at least {:g} needed", "at most {:g} accepted"


@dataclass(frozen=True)
class Gate:
    """One rule's outcome: the value that was compared, the limit, and the comparison in words."""

    gate: str
    metric: str
    passed: bool
    value: float
    limit: float
    detail: str
    state: State | None = None
    """A gate that is not passed may be one that cannot tell; None of a gate that rests on no evidence."""
    interval: tuple[float, float] | None = None
    """The one-sided bounds of what was compared."""
    rows_needed: int | None = None
    """Where it cannot tell: the rows that could, if the challenger is as it looks, or else as good as the champion."""

    def to_dict(self) -> dict[str, Any]:
        """The gate as JSON; what is not known is left out."""
        found = {name: value for name, value in asdict(self).items() if value is not None}
        return found if self.interval is None else {**found, "interval": list(self.interval)}


def apply(loop: Loop, judged: Judged, comparison: Comparison | None = None) -> list[Gate]:
    """Every declared gate. A rule against the champion passes where there is no champion yet."""
    comparison = comparison or Comparison(loop, judged)
    gates = []
    for name, limits in (("minimum", loop.gates.minimum), ("maximum", loop.gates.maximum)):
        gates += [_absolute(name, metric, limit, comparison) for metric, limit in limits.items()]
    for metric, rule in loop.gates.champion.items():
        gates.append(_against_champion(metric, rule, judged, comparison))
    return gates


def _absolute(name: str, metric: str, limit: float | Limit, comparison: Comparison) -> Gate:
    value, least = comparison.values[0][metric], name == "minimum"
    words = FLOOR if least else CEILING
    if not isinstance(limit, Limit):
        passed = value >= limit if least else value <= limit
        return Gate(name, metric, bool(passed), _kept(value, limit), limit, f"{value:.4f}, {words.format(limit)}")
    evidence = comparison.absolute(metric, limit.value, limit.confidence, least=least)
    if not math.isfinite(evidence.error):
        detail = f"{value:.4f}: too few rows to say how sure that is"
        return Gate(name, metric, False, _kept(value, limit.value), limit.value, detail, "cannot_tell")
    return shown(name, metric, evidence, value, limit, least=least)


def _kept(value: float, instead: float) -> float:
    """What JSON has of a value: R2 of a constant is minus infinity, which it does not have."""
    return value if math.isfinite(value) else instead


def shown(gate: str, metric: str, evidence: Evidence, value: float, limit: Limit, *, least: bool) -> Gate:
    """A value that has to be shown to keep a limit: a floor, or a ceiling, of which the evidence is turned around."""
    low, high = evidence.interval
    words = FLOOR if least else CEILING
    bound, interval = (low, (low, high)) if least else (-low, (-high, -low))
    sure = f"with {limit.confidence:.0%} confidence {'at least' if least else 'at most'} {bound:.4f}"
    detail = f"{value:.4f}, and {sure}; {words.format(limit.value)}"
    return _gate(gate, metric, evidence, bound, limit.value, interval, detail)


def _against_champion(metric: str, rule: ChampionRule, judged: Judged, comparison: Comparison) -> Gate:
    value = comparison.values[0][metric]
    if judged.incomparable:
        return Gate("champion", metric, False, _kept(value, 0.0), _kept(value, 0.0), judged.incomparable)
    if judged.champion is None:
        return Gate("champion", metric, True, _kept(value, 0.0), _kept(value, 0.0), "no champion yet")
    before = comparison.values[1][metric]
    evidence = comparison.against(metric, rule)
    low, high = evidence.interval
    if not math.isfinite(low):
        detail = f"{value:.4f} against the champion's {before:.4f}: too few rows to say how sure that is"
        return Gate("champion", metric, False, _kept(value, 0.0), _kept(before, 0.0), detail, "cannot_tell")
    form = "{:+.1%}" if rule.relative else "{:+.4f}"
    detail = f"{value:.4f} against the champion's {before:.4f}: better by {form.format(evidence.gain)}"
    if rule.confidence > 0.5:
        detail += f", and with {rule.confidence:.0%} confidence by at least {form.format(low)}"
    needed = f"{evidence.margin:+g}" if not rule.relative else f"{evidence.margin:+.1%}"
    detail += f"; {'more than' if rule.superior else 'at least'} {needed} needed"
    return _gate("champion", metric, evidence, low, evidence.margin, (low, high), detail)


def _gate(
    gate: str, metric: str, evidence: Evidence, value: float, limit: float, interval: tuple[float, float], detail: str
) -> Gate:
    state, rows = evidence.state, None
    if state == "cannot_tell":
        rows, truly = evidence.rows_needed(evidence.gain), "as it looks"
        if rows is None and gate == "champion":
            rows, truly = evidence.rows_needed(0.0), "as good as the champion"
        detail += f". {evidence.rows:,} rows cannot tell"
        # As many rows as there are would have shown it: it is likely not as good.
        rows = rows if rows is not None and rows > evidence.rows else None
        if rows is not None:
            detail += f": about {_rounded(rows):,} would, with a chance of {POWER:.0%}, if it is {truly}"
    passed = state == "passed"
    return Gate(gate, metric, passed, value, limit, detail, state, interval, None if rows is None else _rounded(rows))


def _rounded(rows: int) -> int:
    """Two digits: the number is itself an estimate."""
    size = int(10 ** max(len(str(rows)) - 2, 0))
    return -(-rows // size) * size
