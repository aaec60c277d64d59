"""What the alarm rule holds counts against, as gauges: the reference, its groups of bins, and the critical values.

They are constants of profile and loop, so Prometheus can evaluate the same rule over all replicas together with rules
that name neither features nor versions (`observability/rules.py`): a retrained version brings its own.
"""

from collections.abc import Iterator

from loopwright.monitor import exposition as metrics
from loopwright.monitor.drift import Rule, critical, prediction_name
from loopwright.monitor.ranges import ranges
from loopwright.statistics.profile import Profile


def samples(who: tuple[str, str], profile: Profile, rule: Rule) -> Iterator[metrics.Sample]:
    """The gauges of one loop's version, `who`: the reference by bin and group, and each test's critical value."""
    level = rule.level / (len(profile.watched) + 1)
    for name, bins in {**profile.watched, prediction_name(profile.features): profile.prediction}.items():
        limit = critical(bins, rule.min_events, level)
        each = zip(bins.counts.tolist(), limit.groups.tolist(), ranges(bins), strict=True)
        for number, (count, group, text) in enumerate(each):
            # The groups of a mixture of seasons change with it, and no rule needs them.
            label = "" if profile.seasonality else str(group)
            yield metrics.DRIFT_REFERENCE, (*who, name, str(number), label, text), count
        if limit.chi_square is not None:
            yield metrics.CHI_SQUARE_CRITICAL, (*who, name), limit.chi_square
        for number in limit.beyond:
            yield metrics.EXCESS_CRITICAL, (*who, name, str(number)), limit.excess
