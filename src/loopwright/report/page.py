"""One HTML page of a loop's story, complete in itself: it names no other file and needs no network and no script.

    Facts -> sections (headline, moments, traffic, drift, judgements, rollouts, ledger) -> page

Pictures over time are in the page twice, for wide and for narrow screens, and the style sheet shows one of them.
"""

from collections.abc import Mapping
from datetime import datetime
from importlib.resources import files
from typing import Any

from loopwright.loop import Loop
from loopwright.report import headline, judged, live, markup, tables
from loopwright.report.facts import Facts
from loopwright.report.svg import escape

__all__ = ["Facts", "judgement", "render"]


def render(facts: Facts) -> str:
    """The whole page."""
    sections = (
        _header,
        live.moments,
        live.traffic,
        live.drift,
        judged.judgements,
        judged.rollouts,
        _ledger,
        _footer,
    )
    return _document(facts.loop.name, "\n".join(section(facts) for section in sections))


def judgement(loop: Loop, evaluation: Mapping[str, Any], generated: datetime) -> str:
    """One evaluation as a page of its own: what a run leaves for who looks at it where it ran."""
    facts = Facts(loop, (), (), {}, (), False, generated)
    top = f"<header><h1>{escape(loop.name)}</h1></header>"
    return _document(loop.name, f"{top}\n{judged.block(facts, None, evaluation, None)}\n{_footer(facts)}")


def _document(title: str, body: str) -> str:
    name = escape(title)
    style = files("loopwright.report").joinpath("page.css").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        # Whatever a name in the data may try: nothing is loaded and no script runs.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{name}: Loopwright report</title>\n<style>\n{style}</style></head>\n"
        f"<body><main>\n{body}\n</main></body></html>\n"
    )


def _header(facts: Facts) -> str:
    told = headline.sentences(facts)
    champion = "no champion" if facts.champion is None else f"champion: version {facts.champion.facts.get('version')}"
    lead = f'<p class="lead">{escape(told[0])}</p>' + "".join(f"<p>{escape(text)}</p>" for text in told[1:])
    figures = {**headline.figures(facts), "ledger": _verified_short(facts)}
    listed = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in figures.items())
    top = f'<h1>{escape(facts.loop.name)}</h1><p class="serves">{escape(champion)}</p>{lead}'
    return f'<header>{top}<dl class="figures">{listed}</dl></header>'


def _ledger(facts: Facts) -> str:
    shown = list(facts.entries[-tables.MOST_ENTRIES :])
    left_out = len(facts.entries) - len(shown)
    note = "Each entry's hash covers its content and the hash before it."
    if left_out:
        note += f" The newest {len(shown):,} entries are here; `loopwright history` tells the {left_out:,} before them."
    if facts.verified is True:
        state = '<p class="state good">✓ The chain holds: every entry is as it was written.</p>'
    elif facts.verified is False:
        state = '<p class="state muted">The chain was not followed for this page.</p>'
    else:
        state = f'<p class="state bad">✗ {escape(facts.verified)}</p>'
    return markup.section("ledger", "Ledger", state, markup.note(note), tables.chain(shown))


def _footer(facts: Facts) -> str:
    notes = "".join(f"<li>{escape(note)}</li>" for note in facts.notes)
    listed = f"<p>What could not be read:</p><ul>{notes}</ul>" if notes else ""
    digest = escape(facts.loop.digest[:12])
    made = f"Written by Loopwright, {facts.generated:%Y-%m-%d %H:%M:%S} UTC, of the declaration <code>{digest}</code>."
    return f"<footer>{listed}<p>{made}</p></footer>"


def _verified_short(facts: Facts) -> str:
    words = {True: "verified", False: "not verified"}
    state = "does not verify" if isinstance(facts.verified, str) else words[facts.verified]
    return f"{len(facts.entries):,} entries, {state}"
