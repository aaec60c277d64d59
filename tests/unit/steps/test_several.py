"""A label of three classes through validate, split, train, evaluate: judged beside a champion, or refused in words."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from loopwright import declaration
from loopwright.data import contract, infer, splits, written
from loopwright.errors import DataError, DeclarationError
from loopwright.models import bundle
from loopwright.models.columns import from_frame
from loopwright.models.model import Model
from loopwright.report import curves, judged, tables
from loopwright.statistics.labelled import tally
from loopwright.statistics.profile import Profile
from loopwright.steps import leakage
from loopwright.steps.evaluate import evaluate
from loopwright.steps.train import train

LOOP = """
apiVersion: loopwright/v1
kind: Loop
metadata: {name: fruit}
data:
  source: rows.csv
  label: {column: kind, classes: [pear, apple, fig]}
  contract:
    weight: {type: number}
    skin: {values: [green, red, brown]}
model: {task: classification, parameters: {num_iterations: 40, learning_rate: 0.1}}
gates:
  minimum: {f1_macro: 0.5, balanced_accuracy: {value: 0.5, confidence: 0.9}}
  maximum: {log_loss: 1.0}
  champion: {roc_auc_ovr: {no_worse_by: 0.1}, accuracy: {max_drop: 0.2}}
  slices: [skin]
"""


def drawn(rows=600, seed=2):
    random = np.random.default_rng(seed)
    place = random.choice(3, rows, p=[0.5, 0.35, 0.15])
    skins = np.array(["green", "red", "brown"])
    skin = np.where(random.random(rows) < 0.6, skins[place], random.choice(skins, rows))
    kind = np.array(["pear", "apple", "fig"])[place]
    return pd.DataFrame({"weight": 100 + 40 * place + random.normal(0, 35, rows), "skin": skin, "kind": kind})


@pytest.fixture(scope="module")
def loop():
    return declaration.parse(LOOP)


@pytest.fixture(scope="module")
def place(loop, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fruit")
    training, holdout = splits.split(drawn(), loop)
    training.to_parquet(folder / "training.parquet")
    training.iloc[:250].to_parquet(folder / "half.parquet")
    holdout.to_parquet(folder / "holdout.parquet")
    for rows, name in (("training", "model"), ("half", "before")):
        train(loop, "", folder / f"{rows}.parquet", folder / "holdout.parquet", folder / name)
    return folder


class Champion:
    """Stands in for the registry: its champion is a bundle's folder."""

    def __init__(self, folder):
        self._folder = folder

    def champion(self, name):
        return SimpleNamespace(number=1, digest=bundle.digest(self._folder))

    def fetch(self, name, version):
        return self._folder


@pytest.fixture(scope="module")
def found(loop, place):
    return evaluate(loop, Champion(place / "before"), place / "model", place / "holdout.parquet")


def test_it_is_judged_by_the_metrics_of_more_classes_beside_the_champion(loop, place, found):
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["classes"] == ["pear", "apple", "fig"]
    assert set(found["metrics"]) == set(loop.judged_by) == set(found["champion"]["metrics"])
    holdout = pd.read_parquet(place / "holdout.parquet")
    model = Model(bundle.read(place / "model"))
    predicted = model.predict(from_frame(model.inputs, holdout[["weight", "skin"]]))
    truth = holdout["kind"].map({"pear": 0, "apple": 1, "fig": 2}).to_numpy()
    assert found["metrics"]["f1_macro"] == pytest.approx(
        metrics.f1_score(truth, predicted.argmax(axis=1), average="macro")
    )
    assert found["metrics"]["roc_auc_ovr"] == pytest.approx(metrics.roc_auc_score(truth, predicted, multi_class="ovr"))
    assert found["confusion"] == metrics.confusion_matrix(truth, predicted.argmax(axis=1)).tolist()
    for name, (low, high) in found["intervals"].items():
        assert low <= found["metrics"][name] + 0.05, name
        assert high >= found["metrics"][name] - 0.05, name
    assert found["gains"]["roc_auc_ovr"]["low"] < found["gains"]["roc_auc_ovr"]["high"]


def test_a_champion_that_spells_its_classes_in_another_way_is_compared_with(tmp_path):
    rows = drawn().assign(kind=drawn()["kind"].map({"pear": "1", "apple": "2", "fig": "true"}))
    training, holdout = (part.reset_index(drop=True) for part in (rows.iloc[:400], rows.iloc[400:]))
    training.to_parquet(tmp_path / "training.parquet")
    holdout.to_parquet(tmp_path / "holdout.parquet")
    paths = tmp_path / "training.parquet", tmp_path / "holdout.parquet"
    before, now = (
        declaration.parse(LOOP.replace("pear, apple, fig", names)) for names in ("1.0, 2.0, true", "1, 2, 'true'")
    )
    for one, name in ((before, "before"), (now, "model")):
        train(one, "", *paths, tmp_path / name)
    assert bundle.read(tmp_path / "before").manifest.classes == ("1.0", "2.0", "True")
    found = evaluate(now, Champion(tmp_path / "before"), tmp_path / "model", paths[1])
    assert found["classes"] == ["1", "2", "true"]
    assert found["champion"]["metrics"] == found["metrics"]


def test_its_gates_hold_numbers_evidence_and_the_champion(found):
    gates = {(one["gate"], one["metric"]): one for one in found["gates"]}
    assert found["passed"], [one["detail"] for one in found["gates"]]
    assert gates["champion", "roc_auc_ovr"]["state"] == "passed"
    assert "with 90% confidence at least" in gates["minimum", "balanced_accuracy"]["detail"]
    assert gates["sanity", "row order"]["passed"]


def test_slices_have_its_metrics(found):
    assert {one["value"] for one in found["slices"]} == {"green", "red", "brown"}
    assert all({"f1_macro", "accuracy"} <= set(one["metrics"]) for one in found["slices"])


def test_the_report_and_the_card_show_every_class(found):
    side = curves.Side("version 2", 0, found["curves"])
    assert "mean of one against the rest" in curves.roc([side], [0.9], several=True)
    facts = SimpleNamespace(colours={})
    page = judged.block(facts, 2, found, None)
    for text in ("Each class against the rest", "truly pear", "predicted fig", "roc_auc_ovr"):
        assert text in page, text
    assert "truly negative" not in tables.confusion(found)
    from loopwright.governance import card
    from loopwright.governance.document import Picture, Table

    blocks = card.metrics(found, 2)
    captions = [block.caption for block in blocks if isinstance(block, Table)]
    assert captions[1:] == ["Confusion", "Each class against the rest"]
    assert [block.name for block in blocks if isinstance(block, Picture)] == ["roc", "calibration"]


def test_the_profile_knows_the_predicted_classes_and_what_labels_said(place):
    profile = Profile.from_json(bundle.read(place / "model").contents[bundle.PROFILE])
    rows = len(pd.read_parquet(place / "holdout.parquet"))
    assert profile.predicted_class.values == ("pear", "apple", "fig")
    assert int(profile.predicted_class.counts.sum()) == rows
    one = tally(profile)
    sums = np.array(profile.labelled)
    assert one.count(sums) == rows
    assert one.measure(sums)["accuracy"].value > 0.6


def test_a_champion_of_other_classes_is_not_compared_with(loop, place):
    label = loop.data.label.model_copy(update={"classes": ("apple", "pear", "fig")})
    other = loop.model_copy(update={"data": loop.data.model_copy(update={"label": label})})
    train(other, "", place / "training.parquet", place / "holdout.parquet", place / "turned")
    again = evaluate(other, Champion(place / "before"), place / "turned", place / "holdout.parquet")
    assert again["champion"] is None
    assert "version 1 learnt something else: classification, pear, apple, fig" in again["incomparable"]
    assert not again["passed"]


def test_a_row_of_no_declared_class_is_set_aside_and_counted(loop):
    rows = drawn().astype(str)
    rows.loc[:4, "kind"] = "plum"
    checked = contract.check(rows, loop)
    assert len(checked.set_aside) == 5
    (violation,) = checked.violations
    assert "expected one of pear, apple, fig (`data.label.classes`)" in str(violation)


def test_classes_that_are_not_declared_or_not_there_are_told(loop):
    with pytest.raises(DataError, match=r"has plum; expected one of pear, apple, fig"):
        splits.split(drawn().replace({"kind": {"fig": "plum"}}), loop)
    with pytest.raises(DataError, match=r"is never fig; expected at least 1 row of each class"):
        splits.split(drawn().query("kind != 'fig'"), loop)
    undeclared = loop.data.label.model_copy(update={"classes": ()})
    two = loop.model_copy(update={"data": loop.data.model_copy(update={"label": undeclared})})
    with pytest.raises(DataError, match=r"has 3 classes \(apple, fig, pear\); expected two classes, or all of them in"):
        splits.split(drawn(), two)


def test_an_input_that_gives_the_class_is_a_leak(loop):
    rows = drawn()
    assert leakage.leaks(loop, *splits.split(rows, loop), ["pear", "apple", "fig"]) == []
    rows["weight"] = rows["kind"].map({"pear": 100.0, "apple": 200.0, "fig": 300.0}) + rows["weight"] / 1000
    (leak,) = leakage.leaks(loop, *splits.split(rows, loop), ["pear", "apple", "fig"])
    assert (leak.kind, leak.column) == ("label", "weight")


def test_init_declares_the_classes_that_it_sees():
    rows = drawn().astype(str)
    text = written.declaration("fruit", "rows.csv", "kind", infer.infer(rows, "kind"))
    made = declaration.parse(text)
    assert made.data.label.classes == ("apple", "fig", "pear")
    assert made.gates.champion.keys() == {"roc_auc_ovr"}
    contract.check(rows, made).require(made)
    numbers = rows.assign(kind=rows["kind"].map({"pear": "0", "apple": "1", "fig": "10"}))
    text = written.declaration("fruit", "rows.csv", "kind", infer.infer(numbers, "kind"))
    assert declaration.parse(text).model.task == "regression"
    assert 'If these numbers are classes: `classes: ["0", "1", "10"]`' in text


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("[pear, apple, fig]", "[pear, apple]", "more than two"),
        ("[pear, apple, fig]", "[pear, fig, pear]", "begin with the same 40 characters"),
        ("classes: [pear", "positive: fig, classes: [pear", "none is the positive one"),
        ("task: classification,", "task: classification, threshold: 0.3,", "model.threshold is for two classes"),
        ("task: classification,", "task: regression,", "data.label.classes is for a classification"),
        ("f1_macro: 0.5", "roc_auc: 0.5", "roc_auc is no metric of classification; there are roc_auc_ovr, accuracy"),
        ("slices: [skin]", "monotone: {weight: increasing}", "gates.monotone is for two classes"),
        ("slices: [skin]", "fairness: {skin: {}}", "gates.fairness compares positive decisions"),
        (
            "slices: [skin]",
            "slices: [skin]\nmonitor: {performance: {metric: log_loss}}",
            "log_loss is no metric that labels give of classification; there are accuracy, balanced_accuracy",
        ),
    ],
)  # fmt: skip
def test_what_more_than_two_classes_do_not_have_is_refused_in_words(old, new, expected):
    assert LOOP.count(old) == 1
    with pytest.raises(DeclarationError, match=expected):
        declaration.parse(LOOP.replace(old, new))
