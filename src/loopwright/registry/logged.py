"""A judged model as MLflow keeps it: a run with metrics, parameters and a dataset, and a logged model with the bundle.

This is what `mlflow.pyfunc.log_model` writes, by MLflow's client. That function goes on to read the metadata of every
installed package, looks for a git repository around the interpreter's main program and loads the model again, which
took a sixth of a run on 7,000 rows; we know what the model needs, and which code it is of.
"""

import json
import platform
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from loopwright.registry.version import EVALUATION, Submission

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import Model

MODEL = "model"
NEEDS = "loopwright[predictor]"
_SOURCE = {"mlflow.source.name": "loopwright", "mlflow.source.type": "LOCAL"}
_EXAMPLE, _SERVED = "input_example.json", "serving_input_example.json"
_CONDA, _PYTHON, _REQUIREMENTS = "conda.yaml", "python_env.yaml", "requirements.txt"


class Logged(NamedTuple):
    """Where MLflow has a model: the run, the logged model, and its URI."""

    run: str
    model: str
    uri: str


def log(client: "MlflowClient", experiment: str, submission: Submission, tags: dict[str, str]) -> Logged:
    """Log a run and its model; both are FAILED in MLflow where that fails."""
    from mlflow.entities import LoggedModelOutput, Metric, Param
    from mlflow.exceptions import MlflowException

    run = client.create_run(experiment, tags={**_SOURCE, **tags}, run_name=submission.tags.get("run")).info.run_id
    model = None
    try:
        parameters = {name: str(value) for name, value in submission.parameters.items()}
        model = client.create_logged_model(experiment, name=MODEL, source_run_id=run, params=parameters)
        now = time.time_ns() // 1_000_000
        metrics = [
            Metric(name, value, now, 0, model_id=model.model_id, run_id=run)
            for name, value in submission.metrics.items()
        ]
        client.log_batch(run, metrics, [Param(name, value) for name, value in parameters.items()])
        client.log_dict(run, dict(submission.evaluation), EVALUATION)
        client.log_inputs(run, [_dataset(submission)])
        client.log_outputs(run, [LoggedModelOutput(model.model_id, 0)])
        with tempfile.TemporaryDirectory() as made:
            write(Path(made), submission, run, model)
            client.log_model_artifacts(model.model_id, made)
        client.finalize_logged_model(model.model_id, "READY")
    except BaseException:
        # A registry that is away cannot be told; why the model was not stored is what the first error says.
        with suppress(MlflowException):
            client.set_terminated(run, "FAILED")
            if model is not None:
                client.finalize_logged_model(model.model_id, "FAILED")
        raise
    client.set_terminated(run)
    return Logged(run, model.model_id, model.model_uri)


def _dataset(submission: Submission) -> Any:
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.pandas_dataset import from_pandas
    from mlflow.entities import Dataset, DatasetInput, InputTag

    # Without a source MLflow looks for one, and for a git repository.
    source = CodeDatasetSource(tags=_SOURCE)
    found = from_pandas(submission.example, source, name="snapshot", digest=submission.snapshot[:32])
    return DatasetInput(Dataset(**found.to_dict()), [InputTag("mlflow.data.context", "training")])


def write(folder: Path, submission: Submission, run: str, logged: Any) -> None:
    """The folder of an MLflow model that `loopwright.models.mlflow` loads: the bundle, and what describes it."""
    from mlflow.models import Model, infer_signature

    shutil.copytree(submission.bundle, folder / "data" / submission.bundle.name)
    model = Model(
        artifact_path=logged.artifact_location,
        run_id=run,
        model_uuid=logged.model_id,
        model_id=logged.model_id,
        signature=infer_signature(submission.example, submission.output),
    )
    model.add_flavor(
        "python_function",
        loader_module="loopwright.models.mlflow",
        python_version=platform.python_version(),
        data=f"data/{submission.bundle.name}",
        env={"conda": _CONDA, "virtualenv": _PYTHON},
        streamable=False,
        code=None,
    )
    _environment(folder)
    _example(folder, submission, model)
    model.model_size_bytes = sum(path.stat().st_size for path in (folder / "data").rglob("*") if path.is_file())
    model.save(str(folder / "MLmodel"))


def _environment(folder: Path) -> None:
    """What MLflow makes an environment from, for conda, virtualenv and uv."""
    from mlflow.version import VERSION

    packages, python = [f"mlflow=={VERSION}", NEEDS], platform.python_version()
    (folder / _REQUIREMENTS).write_text("\n".join(packages))
    build = {"python": python, "build_dependencies": ["pip"], "dependencies": [f"-r {_REQUIREMENTS}"]}
    (folder / _PYTHON).write_text(yaml.safe_dump(build, sort_keys=False))
    depends = [f"python={python}", "pip", {"pip": packages}]
    conda = {"name": "mlflow-env", "channels": ["conda-forge"], "dependencies": depends}
    (folder / _CONDA).write_text(yaml.safe_dump(conda, sort_keys=False))


def _example(folder: Path, submission: Submission, model: "Model") -> None:
    """Some rows as MLflow's load_input_example and its server read them."""
    text = submission.example.to_json(orient="split", index=False, date_format="iso")
    (folder / _EXAMPLE).write_text(text)
    (folder / _SERVED).write_text(json.dumps({"dataframe_split": json.loads(text)}))
    model.saved_input_example_info = {
        "artifact_path": _EXAMPLE,
        "serving_input_path": _SERVED,
        "type": "dataframe",
        "pandas_orient": "split",
    }
