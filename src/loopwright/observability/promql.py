"""The windowed alarm rule of `monitor/drift.py` in PromQL: recorded series, each computed from those before it.

    counters of all replicas -> counts of a look -> counts of the window -> shares -> distance -> drifted
                                                                   groups, bins beyond -> score ->

The monitors export reference, groups and critical values, so that the rules name neither features nor versions, and a
retrained version needs no new rules.

The text is data. `<feature:window>` stands for the series `loopwright:feature:window` of the loop; VERSION, FEATURE,
BIN and GROUP for the labels that one of those has; LOOP, LOOK, TWO_LOOKS, WINDOW, RECENT, PREDICTION, MIN_EVENTS and
MIN_EFFECT for what the loop declares (`rules.py`).

Counts are exact where `increase()` is not: it extrapolates, which makes fractions of events. What a look counted is the
difference of two samples of a process that went on, and all that was counted by one that began since
(`loopwright_counting_since_seconds`). A look that Prometheus missed, and what a process counted between a look and its
end, are missing from the window in all bins alike.
"""

import re

# `namespace` is there where Prometheus' operator puts it, and matches as empty where not.
LABELS = {
    "SERVICE": "namespace, loop",
    "VERSION": "namespace, loop, version",
    "FEATURE": "namespace, loop, version, feature",
    "BIN": "namespace, loop, version, feature, bin",
    "GROUP": "namespace, loop, version, feature, group",
}

# What COUNTER, of any monitor, grew by since the last look.
_GROWN = """\
  (COUNTER{loop="LOOP"} - COUNTER{loop="LOOP"} offset LOOK)
    and ignoring (feature, bin)
  (loopwright_counting_since_seconds{loop="LOOP"} == loopwright_counting_since_seconds{loop="LOOP"} offset LOOK)
  or
  COUNTER{loop="LOOP"}
    and ignoring (feature, bin)
  (loopwright_counting_since_seconds{loop="LOOP"} > time() - TWO_LOOKS)
"""
_EVENTS, _FEATURES, _PREDICTIONS = (
    _GROWN.replace("COUNTER", f"loopwright_{name}_total") for name in ("events", "feature_bin", "prediction_bin")
)

COUNTED = {
    "loopwright:events:look": f"sum by (VERSION) (\n{_EVENTS})",
    "loopwright:feature_bin:look": f"""\
sum by (BIN) (
{_FEATURES})
or
sum by (BIN) (label_replace(
{_PREDICTIONS}, "feature", "PREDICTION", "", ""))""",
    "loopwright:events:window": "sum_over_time(<events:look>[WINDOW])",
    "loopwright:feature_bin:window": "sum_over_time(<feature_bin:look>[WINDOW])",
    "loopwright:feature:window": "sum by (FEATURE) (<feature_bin:window>)",
    "loopwright:feature_bin:reference": 'max by (BIN) (loopwright_drift_reference{loop="LOOP"})',
    "loopwright:feature:reference": "sum by (FEATURE) (<feature_bin:reference>)",
    # The version with most events; another takes the place of the one that is with twice as many: drift.choose.
    "loopwright:version:watched": """\
count by (VERSION) (
  (<events:window> and (<version:watched> offset LOOK)) * 2
    > on (SERVICE) group_left () max by (SERVICE) (<events:window>)
  or on (SERVICE)
  topk by (SERVICE) (1, <events:window> > 0)
)""",
}

# How much more the counts vary than those of independent events. A caller's repeats are spread over the replicas, and
# each sees its part of them only, so that their parts are added. 1 where no monitor says so.
DISPERSION = {
    "loopwright:drift:dispersion": """\
1 + sum by (FEATURE) (loopwright_drift_dispersion{loop="LOOP"} - 1)
or
<feature:reference> * 0 + 1""",
}

# The Jensen-Shannon distance in bits, less what two samples of one distribution differ by: distances.jensen_shannon.
# 5.545177444479562 is 8 ln 2.
DISTANCE = {
    "loopwright:feature_bin:window_share": "<feature_bin:window> / on (FEATURE) group_left () <feature:window>",
    "loopwright:feature_bin:reference_share": """\
<feature_bin:reference> / on (FEATURE) group_left () <feature:reference>""",
    "loopwright:feature_bin:middle_share": "(<feature_bin:reference_share> + <feature_bin:window_share>) / 2",
    "loopwright:drift:distance": """\
sqrt(clamp(
  (
    sum by (FEATURE) (
      (<feature_bin:reference_share> > 0) * log2(<feature_bin:reference_share> / <feature_bin:middle_share>)
    )
    + sum by (FEATURE) (
      (<feature_bin:window_share> > 0) * log2(<feature_bin:window_share> / <feature_bin:middle_share>)
    )
  ) / 2
  - <drift:dispersion> * (count by (FEATURE) ((<feature_bin:reference> + <feature_bin:window>) > 0) - 1)
  * (1 / <feature:window> + 1 / <feature:reference>)
  / 5.545177444479562,
  0, 1
))""",
}

# The two-sample chi-square test on groups of bins: distances.chi_square.
CHI_SQUARE = {
    "loopwright:feature_group:window": """\
sum by (GROUP) (
  <feature_bin:window> * on (BIN) group_right ()
  (max by (BIN, group) (loopwright_drift_reference{loop="LOOP"}) >= bool 0)
)""",
    "loopwright:feature_group:reference": """\
sum by (GROUP) (max by (BIN, group) (loopwright_drift_reference{loop="LOOP"}))""",
    "loopwright:drift:chi_square": """\
sum by (FEATURE) (
  (
    <feature_group:window> * on (FEATURE) group_left () sqrt(<feature:reference> / <feature:window>)
    - <feature_group:reference> * on (FEATURE) group_left () sqrt(<feature:window> / <feature:reference>)
  ) ^ 2
  / clamp_min(<feature_group:window> + <feature_group:reference>, 1e-9)
)""",
}

# The deviance of each bin beyond the reference, where the window holds more than expected: distances.excess. The
# reference counts with one row more in that bin.
EXCESS = {
    "loopwright:beyond:window": """\
<feature_bin:window> and on (BIN) loopwright_drift_excess_critical{loop="LOOP"}""",
    "loopwright:beyond:reference": """\
<feature_bin:reference> + 1 and on (BIN) loopwright_drift_excess_critical{loop="LOOP"}""",
    "loopwright:beyond:window_rows": "<beyond:window> * 0 + on (FEATURE) group_left () <feature:window>",
    "loopwright:beyond:reference_rows": "<beyond:window> * 0 + on (FEATURE) group_left () <feature:reference> + 1",
    "loopwright:beyond:share": """\
(<beyond:reference> + <beyond:window>) / (<beyond:reference_rows> + <beyond:window_rows>)""",
    "loopwright:drift:excess": """\
clamp_min(2 * (
  <beyond:window> * ln(<beyond:window> / (<beyond:window_rows> * <beyond:share>))
  + (<beyond:window_rows> - <beyond:window>) * ln(
    clamp_min(<beyond:window_rows> - <beyond:window>, 1e-300) / (<beyond:window_rows> * (1 - <beyond:share>)))
  + <beyond:reference> * ln(<beyond:reference> / (<beyond:reference_rows> * <beyond:share>))
  + (<beyond:reference_rows> - <beyond:reference>) * ln(
    clamp_min(<beyond:reference_rows> - <beyond:reference>, 1e-300)
    / (<beyond:reference_rows> * (1 - <beyond:share>)))
), 0)
  and <beyond:window> * <beyond:reference_rows> > <beyond:reference> * <beyond:window_rows>
or
<beyond:window> * 0""",
}

VERDICT = {
    "loopwright:drift:score": """\
max by (FEATURE) (
  <drift:chi_square> / max by (FEATURE) (loopwright_drift_chi_square_critical{loop="LOOP"})
  or
  <drift:excess> / max by (BIN) (loopwright_drift_excess_critical{loop="LOOP"})
) / <drift:dispersion>""",
    "loopwright:drift:drifted": """\
(<drift:score> >= bool 1) * (<drift:distance> >= bool MIN_EFFECT)
* (<drift:dispersion> * MIN_EVENTS <= bool on (VERSION) group_left () <events:window>)
and on (VERSION) <version:watched>""",
}

# What a monitor finds by itself over longer than a window (`monitor.growing`): its evidence over what is needed, where
# the window of all replicas does not say it. Evidence is a logarithm, of which NEEDED is needed at least, and any of R
# replicas may be misled: ln R more are asked of each (Bonferroni).
GROWING = {
    "loopwright:drift:growing": """\
max by (FEATURE) (loopwright_drift_growing{loop="LOOP"})
  >= on (VERSION) group_left () 1 + ln(count by (VERSION) (loopwright_drift_window_events{loop="LOOP"})) / NEEDED
  and on (VERSION) <version:watched>
  unless on (FEATURE) (<drift:drifted> == 1)""",
}

# How much greater than in the reference the share of odd values is, by what is odd: monitor.odd. Three bins lie beyond
# a number's reference, and two beyond a category's.
ODD = {
    "loopwright:feature_bin:more": "<feature_bin:window_share> - <feature_bin:reference_share>",
    "loopwright:beyond:more": """\
sum by (FEATURE) (<feature_bin:more> and on (BIN) loopwright_drift_excess_critical{loop="LOOP", bin!="0"})""",
    "loopwright:beyond:bins": """\
count by (FEATURE) (max by (BIN) (
  loopwright_drift_excess_critical{loop="LOOP", feature!="PREDICTION", feature!="predicted_class"}))""",
    "loopwright:drift:odd": """\
clamp_min(
  label_replace(
    sum by (FEATURE) (<feature_bin:more> and on (BIN) loopwright_drift_excess_critical{loop="LOOP", bin="0"})
      and on (FEATURE) <beyond:bins>,
    "what", "missing", "", "")
  or
  label_replace(<beyond:more> and on (FEATURE) (<beyond:bins> == 3), "what", "out_of_range", "", "")
  or
  label_replace(<beyond:more> and on (FEATURE) (<beyond:bins> == 2), "what", "new_values", "", ""),
  0
)""",
}

RECORDS = {**COUNTED, **DISPERSION, **DISTANCE, **CHI_SQUARE, **EXCESS, **VERDICT, **GROWING, **ODD}

# The distance of what has drifted, one series a feature whatever says so, so that it is one alert. What fires goes on
# while there are too few events to say anything.
DRIFTED = """\
<drift:distance> and on (FEATURE) (<drift:drifted> == 1)
or
max by (FEATURE) (loopwright_drift_distance{loop="LOOP"} and loopwright_drift_growing{loop="LOOP"})
  and on (FEATURE) <drift:growing>
or
<drift:distance>
  and on (VERSION) (<events:window> < MIN_EVENTS)
  and on (FEATURE) (ALERTS{alertname="LoopwrightDrift", alertstate="firing", loop="LOOP", against=""} offset LOOK)"""

# A metric of labelled predictions is down by a monitor's own test (`monitor.performance` of the loop), which is sent on
# from here where the monitors post nothing. A label is joined by the replica that predicted.
DECLINED = """\
max by (VERSION, metric) (loopwright_performance_score{loop="LOOP"})
  and on (VERSION) (max by (VERSION) (loopwright_performance_alarm{loop="LOOP"}) == 1)"""

_SERIES = re.compile(r"<([a-z_]+:[a-z_]+)>")


def filled(text: str, values: dict[str, str]) -> str:
    """An expression with `values` for its words in capitals."""
    text = _SERIES.sub(r'loopwright:\1{loop="LOOP"}', text)
    words = {**LABELS, **values}
    # Whole words: one may begin another.
    pattern = re.compile(rf"\b({'|'.join(words)})\b")
    return pattern.sub(lambda found: words[found[1]], text)
