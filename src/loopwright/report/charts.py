"""The pictures over time: the moments with their causes, the traffic by version, the drift by feature.

Each is drawn for a width, as the page shows a wide one or a narrow one: text that shrinks with its picture cannot be
read on a phone. The moments' letters stand in every picture, so that the eye can go from one to the other.
"""

from collections.abc import Mapping, Sequence

from loopwright.report import svg
from loopwright.report.axis import Axis, shorten, since
from loopwright.report.facts import Timeline
from loopwright.report.series import Drift, Line, Span, Traffic
from loopwright.report.svg import Box, Scale

WIDE, NARROW = 1000.0, 380.0
MOST_LABELLED = 5
_NAMES = 140.0  # on the right of wide pictures, for the names of lines that go on to the end
_LEAST_SCORE = 0.1  # below a tenth of the critical value, all scores say the same: nothing


def timeline(told: Timeline, width: float) -> str:
    """The moments down the page, to scale across it, each with an elbow from the moment that led to it."""
    moments, zero, narrow = told.moments, told.zero, width < WIDE
    row, top = (46.0, 10.0) if narrow else (30.0, 10.0)
    box = Box(12.0 if narrow else 360.0, top, width - (12 if narrow else 70), top + row * len(moments))
    axis = Axis(zero, zero, max(moment.at for moment in moments), since(moments[0]))
    x = axis.scale(box)
    # Narrow rows have two lines: the words, and below them the time.
    at = [(x(moment.at), top + row * index + (34 if narrow else row / 2)) for index, moment in enumerate(moments)]
    under, over = [axis.grid(box, 4 if narrow else 8)], list[str]()
    for index, (moment, (right, y)) in enumerate(zip(moments, at, strict=True)):
        words = y - 16 if narrow else y + 4
        under.append(svg.line(0, top + row * index, width, top + row * index, "rule") if index else "")
        after = svg.elapsed(moment.at - zero)
        over.append(svg.text(width if narrow else 66, words, after if index else "0", "figure", "end"))
        left = 0.0 if narrow else 86.0
        over.append(svg.text(left, words, moment.letter, "letter"))
        over.append(svg.text(left + 22, words, moment.text, f"words {moment.tone}"))
        if moment.cause is not None:
            from_x, from_y = at[moment.cause]
            kind = "elbow" if moment.recorded else "elbow guessed"
            under.append(svg.path([(from_x, from_y), (from_x, y), (right, y)], kind))
            taken = "+" + svg.elapsed(moment.at - moments[moment.cause].at)
            # Right of the dot where there is room, else left of the line that comes down to it.
            roomy = right + 64 < width
            over.append(
                svg.text(right + 10 if roomy else from_x - 8, y + 4, taken, "note", "start" if roomy else "end")
            )
        dot = "dot given" if moment.entry is None else f"dot {moment.tone}"
        over.append(svg.circle(right, y, 5, dot, f"{moment.text}, {after} after {moments[0].text}"))
    said = "; ".join(f"{moment.letter}, {svg.elapsed(moment.at - zero)}: {moment.text}" for moment in moments)
    height = box.bottom + 42
    parts = [*axis.draw(box, 4 if narrow else 8), *under, *over]
    return svg.picture(width, height, "What happened, and what led to it", said, parts, "chart timeline")


def traffic(found: Traffic, axis: Axis, told: Timeline, colours: Mapping[str, int], width: float) -> str:
    """Requests a second, the versions' areas on one another, the oldest at the bottom."""
    narrow = width < WIDE
    box = Box(40.0, 46.0, width - (4 if narrow else _NAMES), 266.0)
    most = max((sum(span.rates.values()) for run in found.runs for span in run), default=0.0)
    y = Scale(0, most * 1.12 or 1.0, box.bottom, box.top)
    x = axis.scale(box)
    parts = svg.axis_left(box, y, svg.ticks(0, y.high, 4), svg.tidy)
    order = [version for version in colours if version in found.versions]
    for run in found.runs:
        parts += _stack(run, order, colours, x, y)
    parts += _failed(found, x, y)
    parts += _moments(told, axis, box, "moment over")
    parts += _named(found, order, colours, x, y, box)
    parts.append(svg.text(0, 12, "requests a second", "tick"))
    parts += axis.draw(box, 4 if narrow else 8)
    said = ", ".join(f"version {version} answered {found.requests[version]:,}" for version in order)
    title = "Requests a second, by version"
    return svg.picture(width, box.bottom + 40, title, f"In all, {said}." if said else "No requests.", parts, "chart")


def _stack(run: Sequence[Span], order: Sequence[str], colours: Mapping[str, int], x: Scale, y: Scale) -> list[str]:
    """One unbroken stretch. Steps, as a rate belongs to a whole span, not to a moment."""
    parts, below = [], [0.0] * len(run)
    for version in order:
        if not any(version in span.rates for span in run):
            continue
        above = [low + span.rates.get(version, 0.0) for low, span in zip(below, run, strict=True)]
        kind = f"area {svg.colour(colours[version])}"
        parts.append(svg.area(_steps(run, above, x, y), _steps(run, below, x, y), kind, f"version {version}"))
        below = above
    return parts


def _steps(run: Sequence[Span], values: Sequence[float], x: Scale, y: Scale) -> list[svg.Point]:
    pairs = zip(run, values, strict=True)
    return [point for span, value in pairs for point in ((x(span.begin), y(value)), (x(span.end), y(value)))]


def _failed(found: Traffic, x: Scale, y: Scale) -> list[str]:
    """What failed, of all versions together, at the bottom of what they answered; nothing where nothing did."""
    parts = []
    for run in found.runs:
        values = [sum(span.errors.values()) for span in run]
        if any(values):
            parts.append(svg.area(_steps(run, values, x, y), _steps(run, [0.0] * len(run), x, y), "failed", "failed"))
    return parts


def _named(found: Traffic, order: Sequence[str], colours: Mapping[str, int], x: Scale, y: Scale, box: Box) -> list[str]:
    """Each version's name where its area is thickest: inside it, or above it with a line where it is too thin."""
    parts, taken = [], list[float]()
    for version in order:
        spans = [span for run in found.runs for span in run if span.rates.get(version, 0) > 0]
        if not spans:
            continue
        highest = max(span.rates[version] for span in spans)
        thick = [span for span in spans if span.rates[version] >= 0.85 * highest]
        # The middle of the longest time at which it is about as thick as it gets.
        chosen = thick[len(thick) // 2]
        at = x((chosen.begin + chosen.end) / 2)
        low = sum(chosen.rates.get(one, 0.0) for one in order[: order.index(version)])
        thickness = y(low) - y(low + chosen.rates[version])
        # The highest that anything gets near the name, so that it stands clear of it.
        near = [one for run in found.runs for one in run if abs(x(one.begin) - at) < 40]
        top = y(max((sum(one.rates.values()) for one in near), default=0.0))
        at = min(max(at, box.left + 34), box.right - 34)
        while any(abs(at - other) < 70 for other in taken) and at < box.right - 104:
            at += 35
        taken.append(at)
        if thickness >= 18:
            parts.append(svg.text(at, y(low) - thickness / 2 + 4, f"version {version}", "inside", "middle"))
        else:
            kind = f"name {svg.colour(colours[version])}"
            parts.append(svg.text(at, top - 6, f"version {version}", kind, "middle"))
    return parts


def drift(found: Drift, axis: Axis, told: Timeline, what: str, limit: float, width: float) -> str:
    """Each feature's `distance` or `score` over time, with the line at which it counts as drifted."""
    narrow, scored = width < WIDE, what == "score"
    lines = found.score if scored else found.distance
    labelled = [line for line in found.distance if line.drifted][:MOST_LABELLED]
    place = {line.name: index for index, line in enumerate(labelled)}
    # A narrow picture has no room on the right; its names stand in a row of their own, above.
    rows = -(-len(labelled) // 2) if narrow else 0
    box = Box(40.0, 46.0 + 18 * rows, width - (4 if narrow else _NAMES), 236.0 + 18 * rows)
    peak = max([limit, *(line.peak for line in lines)])
    y = (
        Scale(_LEAST_SCORE, max(peak * 1.2, 2.0), box.bottom, box.top, log=True)
        if scored
        else Scale(0, peak * 1.1, box.bottom, box.top)
    )
    values = [v for v in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 1000) if v <= y.high] if scored else []
    x = axis.scale(box)
    parts = svg.axis_left(box, y, values or svg.ticks(0, y.high, 4), svg.tidy)
    parts += _moments(told, axis, box)
    drawn = [(line.name in place and part.drifted, part.peak, line.name, part) for line in lines for part in line.parts]
    for loud, _, name, part in sorted(drawn, key=lambda one: one[:3]):
        kind = f"line {svg.colour(place[name])}" if loud else "line other"
        parts.append(svg.path([(x(moment), y(value)) for moment, value in part.points], kind, name))
    parts.append(svg.line(box.left, y(limit), box.right, y(limit), "limit"))
    name_at, anchor = (box.right, "end") if narrow else (box.left + 4, "start")
    parts.append(svg.text(name_at, y(limit) - 5, f"alarm at {limit:g}", "limit-name", anchor))
    parts.append(svg.text(0, 12, _SAYS[what], "tick"))
    if narrow:
        parts += _names_above([line.name for line in labelled], width)
    else:
        parts += _names_beside([line for line in lines if line.name in place], place, x, y, box)
    parts += axis.draw(box, 4 if narrow else 8)
    drifted = ", ".join(f"{line.name} up to {line.peak:.2f}" for line in lines if line.drifted)
    said = f"Above the line: {drifted}." if drifted else "No feature drifted."
    title = f"Drift by feature: {_SAYS[what]}"
    return svg.picture(width, box.bottom + 40, title, said, parts, "chart")


_SAYS = {
    "distance": "Jensen-Shannon distance",
    "score": "test statistic / critical value (log scale)",
}


def _names_beside(lines: Sequence[Line], place: Mapping[str, int], x: Scale, y: Scale, box: Box) -> list[str]:
    """The names at the ends of the parts that drifted most, pushed apart where they would overlap."""
    parts: list[str] = []
    chosen = [(line.name, max((p for p in line.parts if p.drifted), key=lambda part: part.peak)) for line in lines]
    for right in {part.points[-1][0]: None for _, part in chosen}:
        ending = [(name, part.points[-1]) for name, part in chosen if part.points[-1][0] == right]
        ends = [y(value) for _, (_, value) in ending]
        for (name, (at, _)), end, level in zip(
            ending, ends, svg.spread(ends, 16, box.top + 6, box.bottom - 4), strict=True
        ):
            kind = svg.colour(place[name])
            parts.append(svg.path([(x(at) + 2, end), (x(at) + 12, level)], f"lead {kind}"))
            parts.append(svg.text(x(at) + 16, level + 4, shorten(name, 19), f"name {kind}"))
    return parts


def _names_above(names: Sequence[str], width: float) -> list[str]:
    return [
        svg.text(width / 2 * (index % 2), 32 + 18 * (index // 2), shorten(name, 24), f"name {svg.colour(index)}")
        for index, name in enumerate(names)
    ]


def _moments(told: Timeline, axis: Axis, box: Box, kind: str = "moment") -> list[str]:
    """A hairline for each moment in the picture's time, with its letter; letters too near to the last go lower."""
    x, parts, last, low = axis.scale(box), [], -100.0, False
    for moment in told.moments:
        if not axis.begin <= moment.at <= axis.end:
            continue
        at = x(moment.at)
        low = not low if at - last < 12 else False
        last = at
        parts.append(svg.line(at, box.top, at, box.bottom, kind))
        parts.append(svg.text(at, box.top - (5 if low else 16), moment.letter, "letter", "middle"))
    return parts
