"""What happened over time, as sections of the page: the moments, the traffic, the drift."""

from loopwright.report import charts, markup, series, tables
from loopwright.report.axis import Axis, since
from loopwright.report.facts import Facts, at
from loopwright.report.svg import elapsed, escape

_NO_SERIES = "There is no series to draw: it is written while `loopwright up` runs, and none is here."
_MOST_SWITCHES = 3


def moments(facts: Facts) -> str:
    """The marked moments, with what led to each."""
    told = facts.timeline
    if not told.moments:
        return markup.section(
            "moments", "What happened", markup.words("Nothing that is worth a mark has happened yet.")
        )
    begin = f"{at(told.zero):%Y-%m-%d %H:%M:%S} UTC"
    note = f"Times count from A, {begin}. A line leads from each moment to what it caused."
    if any(moment.cause is not None and not moment.recorded for moment in told.moments):
        note += " Where it is dashed, the cause is not in the ledger: the moment only came next."
    if told.left_out:
        note += f" The newest {len(told.moments)} moments are drawn; {told.left_out:,} older ones are in the ledger."
    return markup.section(
        "moments", "What happened", markup.note(note), markup.both(lambda width: charts.timeline(told, width))
    )


def _axis(facts: Facts) -> Axis:
    """The time of the series, counted from the first moment where that lies in or near it."""
    begin, end = series.extent(facts.series)
    told = facts.timeline
    if told.moments and begin - (end - begin) <= told.zero <= end:
        return Axis(told.zero, begin, end, since(told.moments[0]))
    return Axis(begin, begin, end, f"{at(begin):%Y-%m-%d %H:%M:%S} UTC")


def traffic(facts: Facts) -> str:
    """Who answered how many requests, and when."""
    found = series.traffic(facts.series)
    if not found.runs:
        return markup.section("traffic", "Traffic", markup.words(_NO_SERIES))
    axis, colours = _axis(facts), facts.colours
    rows = [
        (f"version {escape(one)}", f"{found.requests[one]:,}", f"{found.errors.get(one, 0):,}")
        for one in colours
        if one in found.requests
    ]
    total, failed = sum(found.requests.values()), sum(found.errors.values())
    took = elapsed(axis.end - axis.begin)
    note = (
        f"Since the loop was last started: {total:,} requests were counted at the gateway in {took}; "
        f"{f'{failed:,}' if failed else 'none'} failed."
    )
    return markup.section(
        "traffic",
        "Traffic",
        markup.note(note + markup.thinned(found.seconds_a_point, "the mean")),
        markup.both(lambda width: charts.traffic(found, axis, facts.timeline, colours, width)),
        markup.details(tables.table(("", "#requests", "#errors"), rows, "", "Requests by version")),
    )


def drift(facts: Facts) -> str:
    """How far the features were from what the model was trained on."""
    limit = facts.loop.monitor.min_effect
    found = series.drift(facts.series, limit)
    if not found.distance:
        words = _NO_SERIES if not facts.series else "The monitor had nothing to say yet: no window had any events."
        return markup.section("drift", "Drift", markup.words(words))
    axis, told, score = _axis(facts), facts.timeline, {line.name: line.peak for line in found.score}
    rows = [
        (
            escape(line.name),
            tables.figure(line.peak),
            tables.figure(score.get(line.name)),
            "drifted" if line.drifted else "",
        )
        for line in found.distance
    ]
    drifted = [line for line in found.distance if line.drifted]
    note = (
        f"A feature counts as drifted where its distance is at least {limit:g} and its test statistic at least the "
        f"critical value; that follows from the whole loop's budget of false alarms, "
        f"{facts.loop.monitor.false_alarms}. {len(drifted) or 'None'} of {len(found.distance)} features did"
    )
    more = len(drifted) - charts.MOST_LABELLED
    note += f"; the {charts.MOST_LABELLED} farthest are coloured." if more > 0 else "."
    for moment, version in found.switches[1 : 1 + _MOST_SWITCHES]:
        note += (
            f" From {elapsed(moment - axis.zero)} on, version {version} is looked at, beside a reference of its own."
        )
    if len(found.switches) > 1 + _MOST_SWITCHES:
        note += f" Then it changed {len(found.switches) - 1 - _MOST_SWITCHES} times more."
    note += markup.thinned(found.seconds_a_point, "the greatest value")
    heads = ("feature", "#greatest distance", "#greatest score", "")
    return markup.section(
        "drift",
        "Drift",
        markup.note(note),
        markup.both(lambda width: charts.drift(found, axis, told, "distance", limit, width)),
        markup.both(lambda width: charts.drift(found, axis, told, "score", 1.0, width)),
        markup.details(tables.table(heads, rows, "", "Greatest drift by feature")),
    )
