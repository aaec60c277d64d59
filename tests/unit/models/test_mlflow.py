from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from loopwright.errors import InputError
from loopwright.models import model
from loopwright.registry import Submission, logged


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning", "ignore:.*:FutureWarning", "ignore:.*:UserWarning")
def test_mlflow_loads_a_logged_bundle_and_predicts_the_same(trained, raw, frame, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    import mlflow

    folder, digest, _ = trained
    saved = tmp_path / "saved"
    saved.mkdir()
    inputs = frame.drop(columns="churned")
    predicted = model.load(folder).predict(raw)
    names = [spec.name for spec in model.load(folder).inputs]
    example, output = inputs[names].head(3), predicted[:3]
    submission = Submission(folder, digest, {}, {}, {}, {}, "ab" * 32, True, example, output)
    logged.write(saved, submission, "a run", SimpleNamespace(model_id="m-1", artifact_location=saved.as_uri()))
    assert model.load(saved / "data" / folder.name, digest).digest == digest
    loaded = mlflow.pyfunc.load_model(str(saved))
    np.testing.assert_array_equal(loaded.predict(inputs[names]), predicted)
    assert loaded.metadata.get_input_schema().input_names() == names
    pd.testing.assert_frame_equal(loaded.input_example, example.reset_index(drop=True), check_dtype=False)
    assert loaded.metadata.get_serving_input(str(saved)).startswith('{"dataframe_split"')
    assert "loopwright[predictor]" in (saved / "requirements.txt").read_text().splitlines()
    with pytest.raises((InputError, mlflow.MlflowException), match="plan"):
        loaded.predict(inputs[names].drop(columns="plan"))
