"""Which files a source names."""

import pytest

from loopwright.data import files


@pytest.mark.parametrize(
    ("source", "name", "taken"),
    [
        ("s3://lake/in", "s3://lake/in/out/a.parquet", True),
        ("s3://lake/in/", "s3://lake/in/a.parquet", True),
        ("s3://lake", "s3://lake/a.parquet", True),
        ("s3://lake/in", "s3://lake/in2/a.parquet", False),
        ("s3://lake/in", "s3://other/in/a.parquet", False),
        ("s3://lake/in", "s3://lake/in/_out/a.parquet", False),
        ("s3://lake/*/a*", "s3://lake/in/a.parquet", True),
        ("s3://lake/*.parquet", "s3://lake/in/a.parquet", False),
        ("in", "in/out/a.parquet", True),
        ("in/../in", "file://in/a.parquet", True),
        ("in", "s3://in/a.parquet", False),
        ("in/a.parquet", "in/out/a.parquet", False),
        ("in/**", "in/out/a.parquet", True),
        ("in/*.csv", "in/a.parquet", False),
    ],
)
def test_what_a_source_would_take_is_known_before_it_is_there(tmp_path, source, name, taken) -> None:
    assert files.takes(source, tmp_path, name) is taken
