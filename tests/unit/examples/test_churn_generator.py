"""The churn example's data-generating process: repeatable, as hard as README.md says, and drifting as it says."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from loopwright import declaration
from loopwright.data import contract, sources
from loopwright.data.splits import place
from loopwright.errors import ContractError
from loopwright.models import features as feature_code
from loopwright.models.fit import fit
from loopwright.monitor import odd
from loopwright.statistics.distances import jensen_shannon
from loopwright.statistics.profile import Profile

END = datetime(2026, 3, 1, tzinfo=UTC)
START = END.timestamp()
DAY = 86400.0
DRIFTED = {"monthly_charges", "seats", "plan", "region"}


@pytest.fixture(scope="module")
def generator(churn):
    return churn("generator")


@pytest.fixture(scope="module")
def loop(churn_folder):
    return declaration.load(churn_folder)


def draw(generator, rows=20_000, seed=1, drift=(), start=START, days=100.0):
    """Rows at even distances from `start` on, all drifted."""
    process = generator.ChurnProcess(seed)
    for kind in drift:
        process.drift(kind)
    return process.rows(start + np.arange(rows) * (days * DAY / rows))


def columns(generator, rows):
    """The inputs as feature code and profiles take them."""
    return {
        name: rows.columns[name].astype(float) if rows.columns[name].dtype != object else rows.columns[name]
        for name in generator.INPUTS
    }


def distances(generator, reference, rows):
    kinds = {
        name: "category" if values.dtype == object else "number"
        for name, values in columns(generator, reference).items()
    }
    profile = Profile.build("churn", "classification", ["No", "Yes"], columns(generator, reference), kinds, [0.0, 1.0])
    counts = profile.count(columns(generator, rows))
    return {name: jensen_shannon(profile.features[name].counts, counts[name]) for name in generator.INPUTS}


def assert_same(first, second):
    np.testing.assert_array_equal(first.moments, second.moments)
    np.testing.assert_array_equal(first.probability, second.probability)
    np.testing.assert_array_equal(first.churned, second.churned)
    for name, values in first.columns.items():
        pd.testing.assert_series_equal(pd.Series(values), pd.Series(second.columns[name]))


def test_a_seed_gives_the_same_rows_however_they_are_asked_for(generator):
    moments = START + np.arange(500) * 400.0
    together = generator.ChurnProcess(3).rows(moments)
    process = generator.ChurnProcess(3)
    pieces = [process.rows(moments[:1]), process.rows(moments[1:20]), process.rows([]), process.rows(moments[20:])]
    assert_same(together, generator.Rows.join(pieces))


def test_another_seed_gives_other_rows(generator):
    first, second = draw(generator, 200, seed=1), draw(generator, 200, seed=2)
    assert not np.array_equal(first.columns["monthly_charges"], second.columns["monthly_charges"])
    assert not np.array_equal(first.churned, second.churned)


def test_a_quarter_churns_and_the_best_auc_is_as_documented(generator):
    rows = draw(generator, 100_000, days=365.25)
    assert rows.churned.mean() == pytest.approx(0.25, abs=0.01)
    assert generator.auc_of_truth(rows.probability) == pytest.approx(0.8797, abs=0.003)


def test_the_documented_auc_is_what_labels_drawn_with_the_probabilities_show(generator):
    rows = draw(generator, 100_000, seed=5)
    # The standard error of an AUC of 0.88 on 100,000 rows of which a quarter are positive is about 0.0012.
    shown = roc_auc_score(rows.churned, rows.probability)
    assert shown == pytest.approx(generator.auc_of_truth(rows.probability), abs=0.004)
    for low in np.arange(0, 1, 0.2):
        group = (rows.probability >= low) & (rows.probability < low + 0.2)
        assert rows.churned[group].mean() == pytest.approx(rows.probability[group].mean(), abs=0.02)


def test_the_expected_auc_agrees_with_counting_every_pair(generator):
    random = np.random.default_rng(4)
    truth, score = random.random(60), random.integers(0, 10, 60)
    wins = (score[:, None] > score[None, :]) + 0.5 * (score[:, None] == score[None, :])
    weight = truth[:, None] * (1 - truth[None, :])
    assert generator.auc_of_truth(truth, score) == pytest.approx((weight * wins).sum() / weight.sum())
    assert generator.auc_of_truth(truth, np.ones(60)) == pytest.approx(0.5)


def test_the_rows_keep_the_contract_of_the_loop(generator, loop, tmp_path):
    rows = generator.history(generator.ChurnProcess(7), 3000, END)
    generator.write_history(generator.ChurnProcess(7), rows, tmp_path)
    checked = contract.check(sources.read(str(tmp_path), tmp_path), loop)
    assert [str(violation) for violation in checked.violations] == []
    assert len(checked.valid) == 3000
    newest = checked.valid["observed_at"].max().to_pydatetime()
    assert END - newest == pytest.approx(generator.LABEL_DELAY, abs=timedelta(seconds=1))


def test_csv_and_parquet_hold_the_same_rows(generator, loop, tmp_path):
    process = generator.ChurnProcess(7)
    rows = generator.history(process, 500, END)
    frames = []
    for kind in ("csv", "parquet"):
        path = process.export(rows, tmp_path / kind / f"rows.{kind}")
        frames.append(contract.check(sources.read(str(path), tmp_path), loop).valid)
        assert [file.name for file in path.parent.iterdir()] == [path.name]
    pd.testing.assert_frame_equal(*frames, check_dtype=False)


def test_the_command_writes_the_same_files_for_a_seed(generator, tmp_path, capsys):
    for folder in ("a", "b"):
        arguments = ["--rows", "900", "--seed", "5", "--end", "2026-03-01", "--to", str(tmp_path / folder)]
        assert generator.main(arguments) == 0
    assert "900 rows" in capsys.readouterr().out
    first, second = ({f.name: f.read_bytes() for f in (tmp_path / folder).iterdir()} for folder in ("a", "b"))
    assert first == second
    assert len(first) == 1


def test_values_are_missing_at_random_and_not_at_random(generator):
    rows = draw(generator, 50_000)
    since_login, trend = np.isnan(rows.columns["days_since_login"]), np.isnan(rows.columns["usage_trend"])
    logins, tenure = rows.columns["logins_30d"], rows.columns["tenure_months"]
    assert since_login[logins == 0].mean() == pytest.approx(0.806, abs=0.03)
    assert since_login[logins > 0].mean() == pytest.approx(0.03, abs=0.005)
    assert trend[tenure < 3].all()
    assert trend[tenure >= 3].mean() == pytest.approx(0.02, abs=0.005)


def test_the_seasons_are_no_drift(generator):
    winter = draw(generator, 30_000, days=7)
    summer = draw(generator, 30_000, seed=2, start=START + 182 * DAY, days=7)
    found = distances(generator, winter, summer)
    assert max(found.values()) < 0.05
    assert winter.columns["logins_30d"].mean() > 1.03 * summer.columns["logins_30d"].mean()
    assert 0.01 < summer.probability.mean() - winter.probability.mean() < 0.05


def test_a_covariate_drift_moves_four_inputs_and_no_other(generator):
    before, after = draw(generator, 30_000), draw(generator, 30_000, seed=2, drift=["covariate"])
    found = distances(generator, before, after)
    assert {name for name, distance in found.items() if distance >= 0.15} == DRIFTED
    assert max(distance for name, distance in found.items() if name not in DRIFTED) < 0.05
    expected = generator.churn_probability(after.columns, after.moments, generator.BEFORE)
    np.testing.assert_array_equal(after.probability, expected)


def test_a_concept_drift_leaves_the_inputs_and_changes_who_leaves(generator):
    before, after = draw(generator), draw(generator, drift=["concept"])
    for name in generator.INPUTS:
        pd.testing.assert_series_equal(pd.Series(before.columns[name]), pd.Series(after.columns[name]))
    monthly = before.columns["contract"] == "monthly"
    dear = monthly & (before.columns["monthly_charges"] > 80)
    cheap = monthly & (before.columns["monthly_charges"] < 50)
    assert after.probability[dear].mean() > before.probability[dear].mean() + 0.1
    assert after.probability[cheap].mean() < before.probability[cheap].mean() - 0.1
    score = before.probability
    assert generator.auc_of_truth(after.probability, score) < generator.auc_of_truth(after.probability) - 0.04


def test_an_upstream_drift_reports_cents_and_changes_nothing_else(generator, loop):
    before, after = draw(generator, 2000), draw(generator, 2000, drift=["upstream"])
    np.testing.assert_allclose(after.columns["monthly_charges"], 100 * before.columns["monthly_charges"])
    np.testing.assert_array_equal(after.probability, before.probability)
    np.testing.assert_array_equal(after.churned, before.churned)
    frame = pd.DataFrame(after.records()).assign(churned=np.where(after.churned, "Yes", "No"))
    frame["observed_at"] = pd.to_datetime(after.moments, unit="s", utc=True)
    with pytest.raises(ContractError, match="monthly_charges"):
        contract.check(frame, loop).require(loop)


def test_the_label_bug_inverts_exported_labels_of_annual_contracts_only(generator, tmp_path):
    process = generator.ChurnProcess(1)
    rows = process.rows(START + np.arange(2000) * 400.0)
    process.drift("labels", END)
    truth = np.where(rows.churned, "Yes", "No")
    annual = rows.columns["contract"] == "annual"
    assert process.labels(rows) == truth.tolist()
    assert process.labels(rows, END - timedelta(seconds=1)) == truth.tolist()
    exported = pd.read_csv(process.export(rows, tmp_path / "rows.csv", END))["churned"].to_numpy()
    np.testing.assert_array_equal(exported[~annual], truth[~annual])
    assert (exported[annual] != truth[annual]).all()
    assert process.export(rows, tmp_path / "true.csv").read_text() != (tmp_path / "rows.csv").read_text()


def test_a_drift_begins_and_ends_at_its_moments(generator):
    process = generator.ChurnProcess(1)
    process.drift("upstream", END)
    process.drift("upstream", END + timedelta(days=1))
    process.repair("upstream", END + timedelta(days=2))
    moments = START + np.array([-1.0, 0.0, 1.9 * DAY, 2 * DAY])
    assert process.drifted("upstream", moments).tolist() == [False, True, True, False]
    process.drift("upstream", END + timedelta(days=3))
    assert process.drifted("upstream", [START + 3 * DAY]).tolist() == [True]
    with pytest.raises(ValueError, match="no drift 'covariat'"):
        process.drift("covariat")


def test_feature_code_gives_one_row_what_it_gives_many(generator, churn):
    features = churn("features").features
    many = columns(generator, draw(generator, 300))
    copies = {name: values.copy() for name, values in many.items()}
    together = features(many)
    for name, values in many.items():
        pd.testing.assert_series_equal(pd.Series(values), pd.Series(copies[name]))
    for row in range(0, 300, 37):
        alone = features({name: values[row : row + 1] for name, values in many.items()})
        assert list(alone) == list(together)
        for name, values in alone.items():
            pd.testing.assert_series_equal(pd.Series(values), pd.Series(together[name][row : row + 1]))


class Trained:
    """A model of some rows and labels, trained as the pipeline does."""

    def __init__(self, generator, features, rows, churned):
        self.generator, self.features = generator, features
        made = features(columns(generator, rows))
        self.specs = feature_code.fit_spec(made)
        matrix = feature_code.encode(self.specs, made)
        self.fitted = fit("classification", "lightgbm", {}, 7, matrix, self.specs, churned.astype(float))

    def __call__(self, rows):
        return self.fitted.predict(feature_code.encode(self.specs, self.features(columns(self.generator, rows))))

    def auc(self, rows):
        return self.generator.auc_of_truth(rows.probability, self(rows))

    def brier(self, rows):
        return float(np.mean((self(rows) - rows.probability) ** 2 + rows.probability * (1 - rows.probability)))


def live(generator, seed, drifted_from=None):
    """60 days of rows, 200 a day, with the demo's drift from a day on, and which of them are held out."""
    process = generator.ChurnProcess(seed)
    for kind in ("covariate", "concept") if drifted_from is not None else ():
        process.drift(kind, END + timedelta(days=drifted_from))
    rows = process.rows(START + np.arange(12_000) * (DAY / 200))
    return rows, np.array([place(customer, 7) < 0.2 for customer in rows.columns["customer_id"].tolist()])


@pytest.fixture(scope="module")
def train(generator, churn):
    return lambda rows, churned: Trained(generator, churn("features").features, rows, churned)


@pytest.fixture(scope="module")
def champion(generator, train):
    rows, held = live(generator, 7)
    return train(rows.take(~held), rows.churned[~held])


def test_the_drift_breaks_a_model_and_retraining_recovers_most_of_it(generator, champion, train):
    before, after = draw(generator, 8000, seed=9), draw(generator, 8000, seed=9, drift=["covariate", "concept"])
    assert champion.auc(before) > generator.auc_of_truth(before.probability) - 0.015
    assert champion.auc(after) < champion.auc(before) - 0.07
    assert champion.brier(after) > champion.brier(before) + 0.035
    rows, held = live(generator, 11, drifted_from=36)
    retrained = train(rows.take(~held), rows.churned[~held])
    lost = generator.auc_of_truth(after.probability) - champion.auc(after)
    assert retrained.auc(after) - champion.auc(after) > 0.6 * lost
    assert champion.brier(after) - retrained.brier(after) > 0.025


def test_a_model_of_inverted_labels_passes_the_gates_and_is_far_worse_in_truth(generator, champion, train):
    rows, held = live(generator, 21)
    bug = (rows.moments >= START + 30 * DAY) & (rows.columns["contract"] == "annual")
    exported = rows.churned ^ bug
    misled = train(rows.take(~held), exported[~held])
    judged = rows.take(held)
    assert roc_auc_score(exported[held], misled(judged)) > 0.75
    assert roc_auc_score(exported[held], misled(judged)) > roc_auc_score(exported[held], champion(judged)) + 0.05
    truth = draw(generator, 8000, seed=9)
    assert misled.brier(truth) > champion.brier(truth) + 0.05


@pytest.mark.parametrize(("drift", "suspected"), [((), []), (("covariate",), []), (("upstream",), ["monthly_charges"])])
def test_a_changed_unit_looks_like_a_fault_of_the_source_and_a_changed_market_does_not(
    generator, loop, drift, suspected
):
    before, now = columns(generator, draw(generator)), columns(generator, draw(generator, 4000, 2, drift))
    kinds = {name: "category" if values.dtype == object else "number" for name, values in before.items()}
    profile = Profile.build("churn", "classification", ["No", "Yes"], before, kinds, [0.1, 0.9])
    counts = profile.count(now)
    found = {name: odd.odd(bins, counts[name]) for name, bins in profile.features.items()}
    assert odd.suspected(loop, found) == suspected
