import pytest

from loopwright.errors import RegistryError

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning", "ignore:.*:FutureWarning")


def test_a_run_and_its_model_have_metrics_parameters_dataset_and_tags(registry):
    version = registry.get("churn", 3)
    with registry.connected() as client:
        run = client.get_run(version.run_id)
        model = client.get_logged_model(version.source.removeprefix("models:/"))
    assert (run.info.status, run.info.run_name) == ("FINISHED", "three")
    assert run.data.metrics == {"roc_auc": 0.9, "f1": 0.5}
    assert run.data.params == {"estimator": "lightgbm", "seed": "7"} == model.params
    assert run.data.tags["loopwright.approval"] == "waiting"
    (dataset,) = run.inputs.dataset_inputs
    assert (dataset.dataset.name, dataset.dataset.digest) == ("snapshot", "ab" * 16)
    assert [(tag.key, tag.value) for tag in dataset.tags] == [("mlflow.data.context", "training")]
    assert [one.model_id for one in run.outputs.model_outputs] == [model.model_id]
    assert {metric.key: metric.value for metric in model.metrics} == {"roc_auc": 0.9, "f1": 0.5}
    assert (str(model.status), model.source_run_id) == ("READY", version.run_id)


def test_a_model_that_did_not_pass_is_a_run_with_a_model_and_no_version(registry):
    with registry.connected() as client:
        found = client.search_runs([registry.experiment(client, "churn")], "tags.`loopwright.run` = 'four'")
    assert [run.info.status for run in found] == ["FINISHED"]
    assert len(found[0].outputs.model_outputs) == 1


def test_a_model_that_cannot_be_stored_leaves_a_failed_run_and_no_version(registry, submitted, monkeypatch):
    before = [version.number for version in registry.versions("churn")]
    with registry.connected() as client:

        def full(*_: object) -> None:
            raise OSError("No space left on device")

        monkeypatch.setattr(client, "log_model_artifacts", full)
    with pytest.raises(RegistryError, match="No space left"):
        registry.register("churn", submitted("five"))
    monkeypatch.undo()
    with registry.connected() as client:
        found = client.search_runs([registry.experiment(client, "churn")], "tags.`loopwright.run` = 'five'")
        models = client.search_logged_models([found[0].info.experiment_id])
    assert [run.info.status for run in found] == ["FAILED"]
    assert [str(one.status) for one in models if one.source_run_id == found[0].info.run_id] == ["FAILED"]
    assert [version.number for version in registry.versions("churn")] == before
