"""What there is to score: units of Parquet, CSV and queries, and inputs that are of no use."""

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loopwright.errors import DataError
from loopwright.loop.source import Source
from loopwright.scoring import plan as plans
from loopwright.scoring.plan import plan

NEEDED = ["age", "plan"]


def write(path, rows, **options):
    pd.DataFrame({"age": range(rows), "plan": "basic", "more": 1.5}).to_parquet(path, index=False, **options)


def test_row_groups_are_put_together_up_to_a_partition_and_a_larger_one_is_its_own(tmp_path) -> None:
    write(tmp_path / "a.parquet", 1_000, row_group_size=150)
    write(tmp_path / "b.parquet", 700)
    found = plan(str(tmp_path), tmp_path, NEEDED, 400)
    assert [(unit.name[-9:], unit.begin, unit.rows, unit.groups) for unit in found.units] == [
        ("a.parquet", 0, 300, (0, 1)),
        ("a.parquet", 300, 300, (2, 3)),
        ("a.parquet", 600, 400, (4, 5, 6)),
        ("b.parquet", 0, 700, (0,)),
    ]
    assert [unit.number for unit in found.units] == [0, 1, 2, 3]
    assert found.rows == 1_700


def test_a_unit_gives_its_own_rows_with_the_columns_that_are_asked_for(tmp_path) -> None:
    write(tmp_path / "a.parquet", 1_000, row_group_size=150)
    unit = plan("a.parquet", tmp_path, NEEDED, 400).units[1]
    batches = list(unit.read(["plan", "age"], ["plan"]))
    assert [batch.schema.names for batch in batches] == [["plan", "age"]] * len(batches)
    assert [age for batch in batches for age in batch.column("age").to_pylist()] == list(range(300, 600))
    assert {str(batch.column("plan").type) for batch in batches} == {
        "dictionary<values=string, indices=int32, ordered=0>"
    }


def test_what_a_file_has_beside_is_read_behind_the_columns_that_it_has_to_have(tmp_path) -> None:
    write(tmp_path / "a.parquet", 10)
    pd.DataFrame({"more": 2.5, "age": range(25), "plan": "x", "own": 1}).to_csv(tmp_path / "b.csv", index=False)
    found = plan(str(tmp_path), tmp_path, NEEDED, 10, ["own", "more", "age", "gone"])
    names = [[batch.schema.names for batch in unit.read(NEEDED, [])] for unit in found.units]
    assert names == [[["age", "plan", "more"]], [["age", "plan", "own", "more"]]]
    assert found.beside == {"more", "age"}
    (tmp_path / "rows.py").write_text(f"import pandas as pd\ndef read():\n    return pd.read_csv('{tmp_path}/b.csv')\n")
    (unit,) = plan(Source(python="rows:read"), tmp_path, NEEDED, 10, ["own", "gone"]).units
    assert [batch.schema.names for batch in unit.read(NEEDED, [])] == [["age", "plan", "own"]]
    with pytest.raises(DataError, match="has no column absent"):
        list(unit.read(["absent"], []))


def test_wide_rows_are_read_few_at_a_time(tmp_path, monkeypatch) -> None:
    write(tmp_path / "a.parquet", 1_000)
    monkeypatch.setattr(plans, "BATCH_CELLS", 200)
    (unit,) = plan("a.parquet", tmp_path, NEEDED, 5_000).units
    assert max(batch.num_rows for batch in unit.read(NEEDED, [])) <= 100


def test_rows_of_csv_are_not_known_before_they_are_read(tmp_path) -> None:
    write(tmp_path / "a.parquet", 10)
    pd.DataFrame({"age": range(25), "plan": "basic"}).to_csv(tmp_path / "b.csv", index=False)
    found = plan(str(tmp_path), tmp_path, NEEDED, 10)
    assert (found.rows, [unit.rows for unit in found.units]) == (None, [10, None])
    assert sum(batch.num_rows for batch in found.units[1].read(NEEDED, [])) == 25


def test_the_fingerprint_changes_with_the_files_and_with_the_query(tmp_path) -> None:
    write(tmp_path / "a.parquet", 10)
    seen = [plan(str(tmp_path), tmp_path, NEEDED, 10).fingerprint for _ in range(2)]
    write(tmp_path / "b.parquet", 10)
    seen.append(plan(str(tmp_path), tmp_path, NEEDED, 10).fingerprint)
    queries = [Source(sql=text, url_env="URL") for text in ("SELECT 1", "SELECT 2", "SELECT 2")]
    seen += [plan(query, tmp_path, NEEDED, 10).fingerprint for query in queries]
    assert [len(set(seen)), seen[0] == seen[1], seen[4] == seen[5]] == [4, True, True]


def test_a_half_written_parquet_file_is_named(tmp_path) -> None:
    write(tmp_path / "a.parquet", 1_000)
    write(tmp_path / "b.parquet", 1_000)
    half = (tmp_path / "b.parquet").read_bytes()
    (tmp_path / "b.parquet").write_bytes(half[: len(half) // 2])
    with pytest.raises(DataError, match=r"b\.parquet is neither CSV nor Parquet"):
        plan(str(tmp_path), tmp_path, NEEDED, 10)


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_missing_column_is_named_before_anything_is_scored(tmp_path, kind) -> None:
    frame = pd.DataFrame({"age": [1]})
    frame.to_parquet(tmp_path / "a.parquet") if kind == "parquet" else frame.to_csv(tmp_path / "a.csv")
    with pytest.raises(DataError, match="has no column plan"):
        plan(f"a.{kind}", tmp_path, NEEDED, 10)


def test_a_query_without_a_needed_column_is_refused_when_it_is_read(tmp_path) -> None:
    (tmp_path / "gives.py").write_text("import pandas\ndef rows():\n    return pandas.DataFrame({'age': [1]})\n")
    (unit,) = plan(Source(python="gives:rows"), tmp_path, NEEDED, 10).units
    with pytest.raises(DataError, match="has no column plan"):
        list(unit.read(NEEDED, []))


def test_an_input_without_rows_is_refused(tmp_path) -> None:
    write(tmp_path / "a.parquet", 0)
    with pytest.raises(DataError, match="has no rows"):
        plan("a.parquet", tmp_path, NEEDED, 10)
    (tmp_path / "b.csv").write_text("")
    with pytest.raises(DataError, match="is empty"):
        plan("b.csv", tmp_path, NEEDED, 10)
    with pytest.raises(DataError, match="there is no data at"):
        plan("c.csv", tmp_path, NEEDED, 10)


def typed(path, **columns):
    """The batches of a Parquet file with columns of these types."""
    pq.write_table(pa.table(columns), path)
    (unit,) = plan(str(path), path.parent, NEEDED, 400).units
    return list(unit.read(NEEDED, ["plan"]))


def test_a_column_of_lists_or_structs_where_text_is_wanted_is_read(tmp_path) -> None:
    for values in ([["a", "b"], None], [{"kind": "a"}, {"kind": None}]):
        (batch,) = typed(tmp_path / "a.parquet", plan=pa.array(values), age=pa.array([1, 2]))
        assert batch.column("plan").to_pylist() == values


def test_views_of_text_are_read_as_text_that_can_be_filtered(tmp_path) -> None:
    path = tmp_path / "a.parquet"
    views = pa.array(["1", "x"], pa.string_view())
    (batch,) = typed(path, age=views, plan=pa.array(["a", "b"], pa.string_view()), more=views)
    assert batch.schema.field("age").type == pa.string()
    assert batch.filter(pa.array([False, True])).to_pylist() == [{"age": "x", "plan": "b"}]


def test_a_column_that_is_there_twice_is_refused_before_anything_is_read(tmp_path) -> None:
    twice = pa.table([pa.array([1]), pa.array(["a"]), pa.array([2])], names=["age", "plan", "age"])
    pq.write_table(twice, tmp_path / "a.parquet")
    (tmp_path / "b.csv").write_text("age,plan,age\n1,a,2\n")
    for name in ("a.parquet", "b.csv"):
        with pytest.raises(DataError, match="has the column 'age' more than once"):
            plan(name, tmp_path, NEEDED, 400)


def test_a_damaged_page_is_told_in_one_line_that_names_the_file(tmp_path) -> None:
    path = tmp_path / "a.parquet"
    ages = pa.array(range(20_000))
    pq.write_table(pa.table({"age": ages, "plan": ages.cast(pa.string())}), path, compression="snappy")
    content = bytearray(path.read_bytes())
    content[100:2_000] = b"\xff" * 1_900
    path.write_bytes(content)
    (unit,) = plan(str(path), tmp_path, NEEDED, 50_000).units
    with pytest.raises(DataError, match=r"a\.parquet is damaged: ") as told:
        list(unit.read(NEEDED, ["plan"]))
    assert "permissions" not in str(told.value)
    assert "\n" not in told.value.found


def test_a_column_that_is_missing_may_be_the_one_of_id(tmp_path) -> None:
    write(tmp_path / "a.parquet", 10)
    with pytest.raises(DataError, match="has no column nope") as told:
        plan("a.parquet", tmp_path, [*NEEDED, "nope"], 400)
    assert "--id" in str(told.value)
