import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from loopwright.errors import RegistryError
from loopwright.registry import EVALUATION, Registry
from loopwright.registry.tables import Tables, folder

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning", "ignore:.*:FutureWarning")


def test_the_tables_say_what_mlflow_says_of_each_version(registry, place):
    read = Tables(place.registry_uri).versions("churn")
    by_mlflow = Registry(place)
    by_mlflow._tables = Tables("http://a.server")
    told = by_mlflow.versions("churn")
    assert [version.number for version in told] == [1, 3]
    assert [version.aliases for version in told] == [("champion",), ("challenger",)]
    assert read is not None, "MLflow's schema is another one: hold what is read against it, and name its revision"
    assert [replace(version, location="") for version in read] == told


def test_bundle_and_evaluation_are_where_mlflow_finds_them(registry, place):
    by_mlflow = Registry(place)
    by_mlflow._tables = Tables("http://a.server")
    for number in (1, 3):
        here = registry.fetch("churn", registry.get("churn", number))
        assert here == by_mlflow.fetch("churn", by_mlflow.get("churn", number))
        assert (here / "model.json").read_text() == "{}"
        assert registry.evaluation("churn", number) == by_mlflow.evaluation("churn", number) != {}


def test_what_is_not_where_the_tables_say_is_left_to_mlflow(registry, place, tmp_path):
    version = registry.get("churn", 3)
    gone = replace(version, location=(tmp_path / "gone").as_uri())
    assert registry.fetch("churn", gone) == registry.fetch("churn", version)


def test_another_schema_is_left_to_mlflow(registry, place, tmp_path):
    copy = tmp_path / "mlflow.db"
    shutil.copy(place.registry_uri.removeprefix("sqlite:///"), copy)
    assert Tables(f"sqlite:///{copy}").versions("churn")
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'a later one'")
    assert Tables(f"sqlite:///{copy}").versions("churn") is None
    assert Tables(f"sqlite:///{copy}").artifacts("any") is None


def test_a_damaged_database_is_left_to_mlflow(tmp_path):
    damaged = tmp_path / "mlflow.db"
    damaged.write_text("this is no database")
    assert Tables(f"sqlite:///{damaged}").versions("churn") is None


def test_a_database_that_is_not_there_has_no_versions_and_is_not_made(tmp_path):
    absent = tmp_path / "mlflow.db"
    assert Tables(f"sqlite:///{absent}").versions("churn") == []
    assert not absent.exists()


def test_a_damaged_evaluation_is_said_in_words(registry, place, monkeypatch, tmp_path):
    (tmp_path / EVALUATION).write_text('{"metrics"')
    monkeypatch.setattr(Tables, "artifacts", lambda *_: tmp_path)
    assert registry.evaluation("churn", 1)["threshold"] == 0.4, "MLflow is asked"
    found = Registry(place)._tables
    monkeypatch.undo()
    real = found.artifacts(registry.get("churn", 1).run_id)
    assert real is not None
    kept = (real / EVALUATION).read_bytes()
    (real / EVALUATION).write_text('{"metrics"')
    try:
        with pytest.raises(RegistryError, match="does not answer as it should"):
            registry.evaluation("churn", 1)
    finally:
        (real / EVALUATION).write_bytes(kept)


def test_a_port_that_is_no_number_is_said_in_words(place):
    broken = replace(place, registry_uri="postgresql+psycopg://u:s3cret@127.0.0.1:abc/x")
    with pytest.raises(RegistryError) as told:
        Registry(broken).versions("churn")
    assert "s3cret" not in str(told.value)


@pytest.mark.parametrize("uri", ["http://mlflow:5000", "https://mlflow", "mysql+pymysql://a/b", "databricks"])
def test_what_is_no_database_that_is_known_is_left_to_mlflow(uri):
    assert Tables(uri).versions("churn") is None


def test_workspaces_are_left_to_mlflow(registry, place, monkeypatch):
    monkeypatch.setenv("MLFLOW_ENABLE_WORKSPACES", "true")
    assert Tables(place.registry_uri).versions("churn") is None


def test_versions_bundle_and_evaluation_are_read_without_importing_mlflow(registry, place):
    code = (
        "import sys; from pathlib import Path; from loopwright import settings\n"
        "from loopwright.registry import Registry\n"
        f"registry = Registry(settings.read(Path({str(place.state.parent)!r}), {{}}))\n"
        "registry.fetch('churn', registry.champion('churn')); registry.evaluation('churn', 3)\n"
        "print('mlflow' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (found.stdout.strip(), found.stderr) == ("False", "")


def test_only_a_file_uri_of_this_machine_is_a_folder():
    assert folder("file:///a%20b/c") == Path("/a b/c")
    assert [folder(uri) for uri in ("s3://bucket/a", "file://other/a", "", "/plain")] == [None] * 4


def test_the_evaluation_lies_among_the_runs_artifacts(registry, place):
    run = registry.get("churn", 1).run_id
    found = Tables(place.registry_uri).artifacts(run)
    assert found is not None
    assert (found / EVALUATION).is_file()
    assert Tables(place.registry_uri).artifacts("none") is None


def test_an_alias_that_moves_while_it_is_read_is_never_nowhere(registry, place, submitted, monkeypatch):
    read = Tables._read

    def slowly(self, queries, **values):
        monkeypatch.undo()
        first = read(self, queries[:1], **values)
        registry.promote("churn", registry.register("churn", submitted("six")))
        return first + read(self, queries[1:], **values)

    monkeypatch.setattr(Tables, "_read", slowly)
    versions = Tables(place.registry_uri).versions("churn")
    assert [version.number for version in versions if "champion" in version.aliases] == [1]
