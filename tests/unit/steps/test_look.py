from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from loopwright.cli.main import command
from loopwright.data import contract, joins
from loopwright.errors import DataError
from loopwright.steps import look

NOW = datetime(2027, 1, 1, tzinfo=UTC)


def test_a_look_finds_what_a_check_of_the_whole_frame_finds(small, small_folder, tmp_path):
    path = small_folder / "rows.csv"
    path.write_text(path.read_text().replace("premium", "gold", 3))
    found = look.look(small, small_folder, tmp_path, NOW)
    whole = contract.check(joins.read(small, small_folder), small, NOW)
    assert found.outcome.report() == whole.report()
    assert found.outcome.aside == 3
    assert sorted(found.sample()["customer"]) == sorted(whole.valid["customer"])
    assert set(found.sample().columns) == set(whole.valid.columns)


def test_of_many_rows_a_sample_is_looked_at_and_said_to_be_one(small, small_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(look, "SAMPLE", 300)
    found = look.look(small, small_folder, tmp_path, NOW)
    rows = found.sample()
    assert (len(rows), found.outcome.rows) == (300, 800)
    # Rows stand in the file by the hour; those of a sample are of all of it.
    assert 300 < rows["customer"].str.slice(1).astype(int).mean() < 500
    told = CliRunner().invoke(command, ["check", str(small_folder)], standalone_mode=False)
    assert told.exception is None
    assert "split, leaks and feature code were tried on 300 of them" in " ".join(told.output.split())


def test_a_source_that_cannot_be_read_is_told_as_a_run_would(small, tmp_path):
    with pytest.raises(DataError, match=r"rows\.csv"):
        look.look(small, tmp_path, tmp_path, NOW)
