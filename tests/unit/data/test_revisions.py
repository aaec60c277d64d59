import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from loopwright.data import revisions
from loopwright.errors import DataError
from loopwright.loop.source import Source

DVC = "outs:\n- md5: 5d41402abc4b2a76b9719d911017c592\n  size: 5\n  hash: md5\n  path: rows.csv\n"
MD5 = "900150983cd24fb0d6963f7d28e17f72"
LOCK = f"stages:\n  export:\n    cmd: x\n    outs:\n    - path: data/rows.csv\n      md5: {MD5}\n"


class LakeFS(BaseHTTPRequestHandler):
    """A stand-in for the one question that a lakeFS server is asked (logCommits of its API)."""

    asked: tuple[str, str | None] = ("", None)

    def do_GET(self) -> None:
        type(self).asked = self.path, self.headers["Authorization"]
        known = self.path.startswith("/api/v1/repositories/shop/refs/main/")
        self.send_response(200 if known else 404)
        self.end_headers()
        self.wfile.write(json.dumps({"results": [{"id": "c0ffee"}]} if known else {"message": "no"}).encode())

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def lakefs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = HTTPServer(("127.0.0.1", 0), LakeFS)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv(revisions.ENDPOINT, f"http://127.0.0.1:{server.server_port}/api/v1")
    monkeypatch.setenv(revisions.KEY, "key")
    monkeypatch.setenv(revisions.SECRET, "s3cret")
    yield
    server.shutdown()
    thread.join()
    server.server_close()


def test_dvc_says_it_beside_the_file_or_in_the_lock_above_it(tmp_path: Path) -> None:
    assert revisions.of("rows.csv", tmp_path) is None
    (tmp_path / "rows.csv.dvc").write_text(DVC)
    assert revisions.of("rows.csv", tmp_path) == {"dvc": "5d41402abc4b2a76b9719d911017c592"}
    (tmp_path / "dvc.lock").write_text(LOCK)
    (tmp_path / "loop").mkdir()
    assert revisions.of("../data/rows.csv", tmp_path / "loop") == {"dvc": "900150983cd24fb0d6963f7d28e17f72"}
    assert revisions.of("../data/other.csv", tmp_path / "loop") is None
    (tmp_path / "rows.csv.dvc").write_text("outs: [")
    with pytest.raises(DataError, match="is not what DVC writes"):
        revisions.of("rows.csv", tmp_path)


@pytest.mark.usefixtures("lakefs")
def test_a_lakefs_server_says_which_commit_a_branch_is_at() -> None:
    assert revisions.of("s3://shop/main/rows/", Path()) == {"lakefs": "shop@c0ffee"}
    assert LakeFS.asked == ("/api/v1/repositories/shop/refs/main/commits?amount=1", "Basic a2V5OnMzY3JldA==")
    with pytest.raises(DataError, match="does not say which commit shop/gone is at: HTTP Error 404") as caught:
        revisions.of("s3://shop/gone/rows/", Path())
    assert "s3cret" not in str(caught.value)


def test_without_a_server_or_for_a_database_there_is_no_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(revisions.ENDPOINT, raising=False)
    assert revisions.of("s3://shop/main/rows/", Path()) is None
    assert revisions.of(Source(python="rows:read"), Path()) is None
