"""The page is whole in itself, says what happened, escapes what it is given, and stays bounded and honest."""

import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser

import pytest

from loopwright.report import page
from loopwright.report.facts import Facts

VOID = {"meta", "br", "hr", "link", "img", "input"}


class Reader(HTMLParser):
    """Checks that every tag is closed in order, and collects tags, attributes and text."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(text):
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


def words(text):
    """The page as a person reads it: without style, tags and runs of spaces."""
    body = re.sub(r"<style>.*?</style>", "", text, flags=re.S)
    return re.sub(r"\s+", " ", " ".join(read(body).text))


def test_the_page_needs_nothing_beside_itself(facts):
    text = page.render(facts())
    reader = read(text)
    assert not {"script", "link", "img", "iframe", "object", "image", "use"} & set(reader.tags)
    links = [value for name, value in reader.attributes if name in ("href", "src", "action", "data", "xlink:href")]
    assert links
    assert all(link.startswith("#") for link in links)
    assert "http" not in re.sub(r"http-equiv", "", text)
    assert "@import" not in text
    assert "url(" not in text
    assert not [name for name, _ in reader.attributes if name.startswith("on")]


def test_the_page_follows_the_reader_s_scheme_and_screen(facts):
    text = page.render(facts())
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text
    assert text.count('class="wide"') == text.count('class="narrow"') == 4


def test_ids_are_unique_and_links_lead_somewhere(facts):
    reader = read(page.render(facts()))
    ids = [value for name, value in reader.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {value[1:] for name, value in reader.attributes if name == "href"} <= set(ids)


def test_pictures_have_a_title_and_a_description(facts):
    reader = read(page.render(facts()))
    assert reader.tags.count("svg") == reader.tags.count("desc")
    assert reader.tags.count("svg") >= 12


def test_the_headline_says_who_serves_why_and_what_was_taken_back(facts):
    text = words(page.render(facts()))
    assert "churn champion: version 2 Version 2 serves: it was trained because of drift in region" in text
    assert "monthly_charges and seats, and promoted 94.2 s after the alarm." in text
    assert "Version 3 was taken back: label_metric: the loss is higher by 0.0912" in text
    assert "drift begins → alarm 8.40 s" in text
    assert "alarm → new champion 94.2 s" in text
    assert "verdict → no traffic 0.12 s" in text


def test_a_first_version_is_explained_by_who_asked_for_it(facts):
    early = [entry for entry in facts().entries if entry.number <= 12]
    text = words(page.render(facts(entries=early)))
    assert "Version 1 serves: it was trained because ada asked for it (the first version)." in text


def test_a_failed_run_is_said_in_the_headline(facts):
    *before, last = facts().entries
    failed = {"state": "failed", "seconds": 3.0, "version": None, "error": "the disk is full."}
    text = words(page.render(facts(entries=[*before, replace(last, kind="run_ended", facts=failed)])))
    assert "The run failed: the disk is full." in text


def test_gates_say_passed_or_failed_with_the_comparison(facts):
    given = facts()
    judged = [entry for entry in given.entries if entry.kind == "judged"][-1]
    gates = [{"gate": "minimum", "metric": "roc_auc", "passed": False, "detail": "0.7010, at least 0.75 needed"}]
    bad = replace(judged, number=900, cause=None, facts={**judged.facts, "gates": gates, "passed": False})
    text = words(page.render(facts(entries=[*given.entries, bad])))
    assert "The model: ✗ did not pass its gates on 1,578 rows, no version was registered" in text
    assert "✗ failed minimum roc_auc 0.7010, at least 0.75 needed" in text
    assert "The curves of this model are not kept" in text
    assert "✓ passed champion roc_auc 0.8420 against the champion's 0.7860" in text


def test_metrics_stand_beside_the_champion_s_and_a_smaller_loss_is_better(facts):
    text = page.render(facts())
    row = re.search(r"<tr><td><code>brier</code></td>(.*?)</tr>", text)
    assert re.sub("<[^>]+>", " ", row[1]).split() == ["0.1195", "0.1535", "\N{MINUS SIGN}0.0340"]
    assert '<span class="good">\N{MINUS SIGN}0.0340' in row[1]


def test_each_rollout_has_its_verdicts_with_the_numbers_behind_them(facts):
    text = words(page.render(facts()))
    rollouts = text[text.index("Rollouts") :]
    assert "Version 3 over version 2: ✗ rolled back after 20.6 s" in rollouts
    assert "20.0 s 5 % roll back 190 errors 0.20 % 0.00 % 2.00 % e-value 0.673, worse from 160 not worse" in rollouts
    assert "loss on labels 0.2482 0.1570 0.0100 +0.0912, at least +0.0134; 160 labels worse" in rollouts
    assert "Canary: 5 % → 25 % → 50 % → 100 %." in rollouts
    assert "There was no champion, so it took all of the traffic at once." in rollouts
    assert "5.00 s 5 % wait 240 waiting for the bake time" in rollouts


def test_a_rollout_that_goes_on_is_said_to_be_under_way(facts):
    entries = [entry for entry in facts().entries if entry.kind != "rolled_back"]
    assert "Version 3 over version 2: under way" in words(page.render(facts(entries=entries)))


def test_the_ledger_is_a_chain_of_hashes_with_causes(facts):
    given = facts()
    text = page.render(given)
    second, first = given.entries[1], given.entries[0]
    row = re.search(r'<tr id="e2">(.*?)</tr>', text)[1]
    assert '<a href="#e1">1</a>' in row
    assert second.hash[:8] in row
    assert f"← {first.hash[:8]}" in row
    assert "← genesis" in re.search(r'<tr id="e1">(.*?)</tr>', text)[1]
    assert "The chain holds" in text


def test_entries_of_other_loops_in_the_chain_are_counted(facts):
    kept = [entry for entry in facts().entries if entry.number not in (3, 4)]
    text = page.render(facts(entries=kept))
    assert "2 of other loops" in text
    assert '<a href="#e4">' not in text


@pytest.mark.parametrize(
    ("verified", "expected"),
    [
        ("the ledger does not verify: entry 7 (judged) was changed", "✗ the ledger does not verify: entry 7"),
        (False, "The chain was not followed"),
    ],
)
def test_a_chain_that_does_not_hold_is_not_said_to(facts, verified, expected):
    text = words(page.render(facts(verified=verified)))
    assert expected in text
    assert "The chain holds" not in text


def test_an_entry_whose_facts_were_changed_is_still_shown(facts):
    entries = [replace(one, facts={}) for one in facts().entries]
    text = words(page.render(facts(entries=entries, verified="entry 1 was changed")))
    assert "registered: its facts are not those of this kind" in text


def test_everything_that_comes_from_data_is_escaped(facts):
    evil = "<script>alert('\"1&2\"')</script>"
    given = facts()

    def spoiled(value):
        if isinstance(value, str):
            return value + evil
        if isinstance(value, dict):
            return {key + evil if key not in KNOWN else key: spoiled(one) for key, one in value.items()}
        return [spoiled(one) for one in value] if isinstance(value, list) else value

    known = re.findall(r'"([a-z_]+)"', repr([entry.facts for entry in given.entries]).replace("'", '"'))
    global KNOWN
    KNOWN = {*known, "curves", "champion_curves", "roc", "fpr", "tpr", "calibration", "predicted", "observed", "count"}
    entries = [replace(one, facts=spoiled(dict(one.facts)), hash=evil) for one in given.entries]
    samples = [{**one, "drift": {name + evil: value for name, value in one["drift"].items()}} for one in given.series]
    text = page.render(
        facts(
            entries=entries,
            series=samples,
            evaluations={one: spoiled(value) for one, value in given.evaluations.items()},
            marks=[(evil, given.marks[0][1])],
            verified=evil,
            notes=[evil],
        )
    )
    assert "script" not in read(text).tags
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_a_loop_without_a_series_says_so_in_words(facts):
    text = words(page.render(facts(series=[])))
    assert text.count("There is no series to draw") == 2


def test_a_loop_that_only_began_has_a_page(facts):
    given = facts()
    text = words(page.render(facts(entries=given.entries[:1], series=[], evaluations={}, marks=[])))
    assert "No version has gone live yet." in text
    assert "No model has been judged yet." in text
    assert "No rollout has begun yet." in text


def test_a_series_without_drift_says_that_the_monitor_had_nothing_to_say(facts):
    samples = [{**one, "drift": {}} for one in facts().series]
    assert "The monitor had nothing to say yet" in words(page.render(facts(series=samples)))


def test_a_long_life_is_thinned_and_the_page_says_so(facts):
    given = facts()
    entries = [
        replace(
            one,
            number=one.number + 51 * life,
            cause=one.cause and one.cause + 51 * life,
            at=one.at + life * timedelta(1),
        )
        for life in range(80)
        for one in given.entries
    ]
    samples = [{**one, "at": one["at"] + 240 * part} for part in range(25) for one in given.series]
    text = page.render(facts(entries=entries, series=samples, marks=[]))
    said = words(text)
    assert len(text) < 1_000_000
    assert "The newest 300 entries are here; `" not in said
    assert "The newest 300 entries are here; loopwright history tells the 3,780 before them." in said
    assert "The newest 24 moments are drawn; 1,176 older ones are in the ledger." in said
    assert "The newest 4 judgements are shown; 236 older ones are in the ledger." in said
    assert "The newest 8 rollouts are shown, of 240." in said
    assert "Each point is the mean of" in said
    assert "Each point is the greatest value of" in said


def test_a_regression_shows_residuals(facts):
    evaluation = {
        "rows": 500,
        "metrics": {"rmse": 2.5, "r2": 0.8},
        "gates": [],
        "passed": True,
        "champion": None,
        "champion_curves": None,
        "curves": {"residuals": {"share": [0.01, 0.5, 0.99], "value": [-5.0, 0.1, 6.0]}},
        "confusion": None,
    }
    text = words(page.render(facts(evaluations={1: evaluation, 2: evaluation, 3: evaluation})))
    assert "Residuals, predicted minus true" in text
    assert "ROC" not in text


def test_what_could_not_be_read_is_said(facts):
    text = words(page.render(facts(notes=["the evaluation of version 9: the registry has no such version"])))
    assert "What could not be read: the evaluation of version 9" in text


def test_the_page_is_a_function_of_its_facts(facts):
    assert page.render(facts()) == page.render(facts())
    assert page.Facts is Facts


def test_one_judgement_is_a_page_of_its_own_before_there_is_a_version(facts):
    known = facts()
    text = page.judgement(known.loop, known.evaluations[2], known.generated)
    reader = read(text)
    assert text.startswith("<!DOCTYPE html>")
    assert "script" not in reader.tags
    assert "The model: " in words(text)
    assert "no version was registered" not in words(text), "that comes after it"
    assert "0.842" in words(text)
    assert "version 1" in words(text), "the champion that it was judged beside"
