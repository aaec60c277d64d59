"""One HTML page of a check of the data: what was broken, by which rows, and the rows that were set aside.

It is complete in itself, as the loop's report is, and KFP shows it as an artifact of the run. It has rows of the data,
as the file of rows set aside beside it has, so who may read it is who may read the data.
"""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from loopwright.report import markup, tables
from loopwright.report.svg import escape

MOST_ROWS, LONGEST = 100, 60
"""Rows that are shown, and characters of a value."""
_POLICIES = {"fail": "stops the run", "quarantine": "rows set aside", "warn": "told"}


def render(loop: str, report: Mapping[str, Any], set_aside: Path) -> str:
    """The page of a report as `steps.validate` writes it, with the rows in its Parquet file of rows set aside."""
    style = files("loopwright.report").joinpath("page.css").read_text(encoding="utf-8")
    name = escape(loop)
    body = "\n".join((_header(name, report), _rules(report), _notes(report), _aside(report, set_aside)))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        # Whatever a value in the data may try: nothing is loaded and no script runs.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{name}: the data and its contract</title>\n<style>\n{style}</style></head>\n"
        f"<body><main>\n{body}\n</main></body></html>\n"
    )


def _header(name: str, report: Mapping[str, Any]) -> str:
    stopped = any(one["fatal"] for one in report["violations"])
    sign = tables.outcome(not stopped, "may be used", "breaks its contract")
    share = report["set_aside"] / max(report["rows"], 1)
    told = f"{report['rows']:,} rows: {report['kept']:,} kept, {report['set_aside']:,} set aside ({share:.1%})"
    return f"<header><h1>{name}: the data</h1><p>{sign}. {told}.</p></header>"


def _rules(report: Mapping[str, Any]) -> str:
    if not report["violations"]:
        return markup.section("rules", "Rules that were broken", markup.words("None was."))
    rows = [
        (
            f"<code>{escape(one['column'])}</code>", escape(one["rule"]), f"{one['rows']:,}", escape(one["expected"]),
            escape(", ".join(map(_short, one["samples"]))), escape(_POLICIES.get(one["policy"], one["policy"])),
        )
        for one in report["violations"]
    ]  # fmt: skip
    heads = ("column", "rule", "#rows", "expected", "such as", "what becomes of it")
    return markup.section("rules", "Rules that were broken", tables.table(heads, rows, caption="Broken rules"))


def _notes(report: Mapping[str, Any]) -> str:
    if not report["notes"]:
        return ""
    return markup.section("notes", "Noticed", "".join(markup.note(one) for one in report["notes"]))


def _aside(report: Mapping[str, Any], set_aside: Path) -> str:
    """The first rows that were set aside, each with its reasons."""
    import pyarrow.parquet as pq

    opened = pq.ParquetFile(set_aside)
    batch = next(opened.iter_batches(MOST_ROWS), None)
    if batch is None or not batch.num_rows:
        return markup.section("aside", "Rows set aside", markup.words("There are none."))
    names = [batch.schema.names[-1], *batch.schema.names[:-1]]
    rows = [[escape(_short(row[name])) for name in names] for row in batch.to_pylist()]
    more = f" The first {MOST_ROWS} are shown." if report["set_aside"] > MOST_ROWS else ""
    about = markup.note(f"As the source has them, with the reasons.{more} All are in `set_aside`, a Parquet file.")
    table = tables.table(["reasons", *names[1:]], rows, caption="Rows set aside")
    return markup.section("aside", "Rows set aside", about, table)


def _short(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
