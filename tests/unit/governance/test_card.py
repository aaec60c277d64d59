from loopwright.governance import card, document
from loopwright.governance.document import Document, Missing, Section, Text
from loopwright.report.tables import NONE

EVALUATION = {
    "rows": 600,
    "classes": ["No", "Yes"],
    "metrics": {"roc_auc": 0.85, "brier": 0.12},
    "intervals": {"roc_auc": [0.8, 0.9]},
    "champion": {"version": 3, "metrics": {"roc_auc": 0.84, "brier": 0.13}},
    "confusion": [[400, 50], [60, 90]],
    "threshold": 0.4,
    "slices": [
        {"column": "plan", "value": "a|b", "rows": 12, "small": True, "metrics": {"roc_auc": 0.7}, "intervals": {}},
        {
            "column": "plan",
            "value": "c",
            "rows": 588,
            "metrics": {"roc_auc": 0.86},
            "intervals": {"roc_auc": [0.8, 0.9]},
        },
    ],
    "fairness": [
        {
            "attribute": "gender",
            "measures": {"disparate_impact": 0.5},
            "intervals": {"disparate_impact": [0.3, 0.7]},
            "groups": [
                {"group": "f", "rows": 300, "selection_rate": 0.5, "intervals": {"selection_rate": [0.4, 0.6]}},
                {"group": "m", "rows": 280, "selection_rate": 0.25, "intervals": {}},
            ],
            "too_small": {"x": 20},
        }
    ],
    "gates": [{"gate": "minimum", "metric": "roc_auc", "passed": False, "detail": "0.85, at least 0.9 needed"}],
    "profit": {"per_row": 1.5},
}


def text(*blocks):
    return document.markdown(Document("t", "a", [Section("s", blocks)]))[0]


def test_metrics_have_their_intervals_and_the_champion_beside_them():
    shown = text(*card.metrics(EVALUATION, 4))
    assert "| `roc_auc` | 0.8500 | \\[0.8000, 0.9000\\] | 0.8400 |" in shown
    assert "| `brier` (less is better) | 0.1200 |  | 0.1300 |" in shown
    assert "Confusion at the threshold 0.4" in shown
    assert "| truly Yes | 60 | 90 |" in shown


def test_what_an_evaluation_has_that_this_release_does_not_know_is_shown_all_the_same():
    assert "**Profit**" in text(*card.metrics(EVALUATION, 4))
    assert "| per\\_row | 1.5000 |" in text(*card.metrics(EVALUATION, 4))


def test_small_slices_are_said_to_be_small_and_groups_are_in_a_table():
    shown = text(*card.slices(EVALUATION), *card.fairness(EVALUATION)).replace(NONE, "-")
    assert "| plan = a\\|b | 12 (small) | 0.7000 |" in shown
    assert "| plan = c | 588 | 0.8600 \\[0.8000, 0.9000\\] |" in shown
    assert "| gender | rows | selection rate | true positive rate | false positive rate | accuracy |" in shown
    assert "| f | 300 | 0.5000 \\[0.4000, 0.6000\\] | - | - | - |" in shown
    assert "| m | 280 | 0.2500 | - | - | - |" in shown
    assert "| x (too few, not compared) | 20 | - | - | - | - |" in shown
    assert "| disparate impact | 0.5000 | \\[0.3000, 0.7000\\] |" in shown
    assert "No fairness was measured" in text(*card.fairness({}))


def test_a_gate_that_was_not_passed_stands_out():
    assert "| FAILED | minimum `roc_auc` | 0.85, at least 0.9 needed |" in text(*card.gates(EVALUATION))


def test_a_model_without_metrics_and_a_card_without_words_say_so():
    assert "No metrics were recorded" in text(*card.metrics({}, 1))
    assert card.said("", "The owner.", "owner") == Missing("The owner.", "owner")
    assert card.said("We", "The owner.", "owner") == Text("We")
