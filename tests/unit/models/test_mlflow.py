import numpy as np
import pytest

from loopwright.errors import InputError
from loopwright.models import model


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning", "ignore:.*:FutureWarning", "ignore:.*:UserWarning")
def test_mlflow_loads_a_saved_bundle_and_predicts_the_same(trained, raw, frame, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_LOG_UV_FILES", "false")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    import mlflow

    folder, digest, _ = trained
    saved = tmp_path / "saved"
    mlflow.pyfunc.save_model(
        str(saved), loader_module="loopwright.models.mlflow", data_path=str(folder), pip_requirements=[]
    )
    assert model.load(saved / "data" / folder.name, digest).digest == digest
    loaded = mlflow.pyfunc.load_model(str(saved))
    predictions = loaded.predict(frame.drop(columns="churned"))
    np.testing.assert_array_equal(predictions, model.load(folder).predict(raw))
    with pytest.raises(InputError, match='"plan" is missing'):
        loaded.predict(frame.drop(columns=["churned", "plan"]))
