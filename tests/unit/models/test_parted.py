"""LightGBM trained from a file of encoded rows: the model that is trained with all of them in memory."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from loopwright.errors import DataError, DeclarationError
from loopwright.models import features, parted
from loopwright.models.choices import Choices
from loopwright.models.course import course_of
from loopwright.models.fit import fit
from loopwright.models.parted import Sight


def together(sight: Sight, frame: pd.DataFrame, parameters: dict, choices: Choices, folder: Path, seed: int = 7):
    """The model of parts of 100 rows, and that of the whole frame."""
    pieces = [frame.iloc[begin : begin + 100] for begin in range(0, len(frame), 100)]
    specs = parted.merged(features.fit_spec(sight.derived(piece)) for piece in pieces)
    wanted = (frame["churned"] == "Yes").to_numpy(dtype=np.float64)
    course = course_of("classification", parameters, seed, specs, len(frame), 1, {}, choices)
    rows = parted.prepare(
        folder, pieces, lambda piece: sight.matrix(piece, specs),
        lambda piece: (piece["churned"] == "Yes").to_numpy(dtype=np.float64), choices.weights,
    )  # fmt: skip
    assert rows == len(frame)
    text = parted.train(folder, course, len(specs))
    whole = sight.derived(frame)
    assert features.fit_spec(whole) == specs
    one = fit(
        "classification", "lightgbm", parameters, seed, features.encode(specs, whole), specs, wanted, choices=choices
    )
    return text, one.estimator.model_to_string()


@pytest.mark.parametrize("seed", [7, 20_000])
@pytest.mark.parametrize("sample", [100_000, 150])
@pytest.mark.parametrize("weights", [None, (1.0, 3.0)])
def test_one_process_gives_the_same_model_to_the_last_bit(inputs, frame, tmp_path, seed, sample, weights):
    sight = Sight(inputs, "def features(columns):\n    return {**columns, 'twice': 2 * columns['charges']}\n")
    parameters = {"num_iterations": 20, "bin_construct_sample_cnt": sample}
    text, whole = together(sight, frame, parameters, Choices(class_weight=weights), tmp_path / "rows", seed)
    assert text == whole
    assert not (tmp_path / "rows").exists(), "the encoded rows are removed"


def test_a_parameter_that_lightgbm_refuses_is_told_as_in_one_process(inputs, frame, tmp_path):
    with pytest.raises(DeclarationError, match="LightGBM cannot train with these parameters"):
        together(Sight(inputs, ""), frame, {"num_leaves": -3}, Choices(), tmp_path / "rows")
    assert not (tmp_path / "rows").exists()


def test_values_of_a_category_are_those_of_all_parts(inputs, frame):
    sight = Sight(inputs, "")
    some = frame[frame["plan"] == "pro"], frame[frame["plan"].isna()], frame[frame["plan"] == "basic"]
    merged = parted.merged(features.fit_spec(sight.derived(one)) for one in some)
    assert next(spec for spec in merged if spec.name == "plan").values == ("basic", "pro")


def test_feature_code_that_gives_other_columns_for_other_rows_is_refused(inputs, frame):
    source = (
        "def features(columns):\n    return columns if columns['tenure'][0] > 5 else {'tenure': columns['tenure']}\n"
    )
    some = frame[frame["tenure"] > 5], frame[frame["tenure"] < 5]
    with pytest.raises(DataError, match=re.escape("other columns from one part of the rows to the next")):
        parted.merged(features.fit_spec(Sight(inputs, source).derived(one)) for one in some)


def test_what_is_asked_of_the_matrix_is_what_was_written(tmp_path):
    matrix = np.arange(60_000, dtype=np.float64).reshape(-1, 3)
    matrix.tofile(tmp_path / "matrix")
    rows = parted._sequence(tmp_path / "matrix", 3)
    assert len(rows) == 20_000
    assert np.array_equal(rows[8_000:9_000], matrix[8_000:9_000])
    assert all(np.array_equal(rows[place], matrix[place]) for place in (0, 8_191, 8_192, 19_999, 5))
