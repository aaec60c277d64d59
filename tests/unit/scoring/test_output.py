"""Where predictions go: whole files, on disk and in a bucket."""

import pytest

from loopwright.errors import OutputError
from loopwright.scoring import manifest
from loopwright.scoring.output import Output


def test_a_file_is_there_whole_and_can_be_written_again(tmp_path) -> None:
    output = Output("out", tmp_path)
    assert (output.get("a/b"), output.sizes()) == (None, {})
    output.put("a/b", b"one")
    output.put("a/b", b"two!")
    assert output.get("a/b") == b"two!"
    assert output.sizes() == {"a/b": 4}
    assert str(output) == str(tmp_path / "out")


def test_a_store_that_is_no_folder_is_written_by_its_url(monkeypatch) -> None:
    from obstore.store import MemoryStore

    from loopwright import buckets

    store = MemoryStore()
    monkeypatch.setattr(buckets, "connect", lambda url: store)
    output = Output("s3://bucket/scores/")
    output.put("_x/a.json", b"{}")
    output.put("b.parquet", b"12345")
    assert (output.get("_x/a.json"), output.get("none")) == (b"{}", None)
    assert output.sizes() == {"_x/a.json": 2, "b.parquet": 5}


def test_a_new_file_is_created_once(tmp_path, monkeypatch) -> None:
    from obstore.store import MemoryStore

    from loopwright import buckets

    store = MemoryStore()
    monkeypatch.setattr(buckets, "connect", lambda url: store)
    for output in (Output("out", tmp_path), Output("s3://bucket/scores")):
        assert [output.create("_x/a.json", content) for content in (b"one", b"two")] == [True, False]
        assert output.get("_x/a.json") == b"one"
        assert output.sizes() == {"_x/a.json": 3}
    assert [path.name for path in (tmp_path / "out" / "_x").iterdir()] == ["a.json"]


def test_a_place_that_refuses_is_told_without_a_traceback(tmp_path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match=r"cannot be written: (Not a directory|File exists)"):
        Output("out", tmp_path).put("a", b"1")


def test_a_folder_with_something_else_in_it_is_refused(tmp_path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.parquet").write_bytes(b"1")
    with pytest.raises(OutputError, match=r"is not empty: it has mine\.parquet"):
        manifest.read(Output("out", tmp_path))
    assert manifest.read(Output("new", tmp_path)) is None


def test_a_file_is_not_an_output(tmp_path) -> None:
    (tmp_path / "out").write_bytes(b"1")
    with pytest.raises(OutputError, match="is not empty"):
        manifest.read(Output("out", tmp_path))


def test_a_manifest_of_another_kind_is_refused(tmp_path) -> None:
    Output("out", tmp_path).put(manifest.MANIFEST, b'{"kind": "something"}')
    with pytest.raises(OutputError, match="cannot be read"):
        manifest.read(Output("out", tmp_path))
