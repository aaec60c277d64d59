"""What the pods of a run leave for each other, in a bucket that is away for a moment."""

import http.server
import threading
from pathlib import Path

import pytest

from loopwright.errors import StateError
from loopwright.steps.place import RunPlace

AWAY = 5
"""Answers that say so: one more than obstore tries by itself."""


def test_a_store_that_is_away_for_a_moment_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[str, bytes] = {}
    asked: list[str] = []

    class Store(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append(self.path)
            if here := len(asked) > AWAY:
                kept[self.path] = body
            self.send_response(200 if here else 503)
            self.send_header("ETag", '"1"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Store) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        settings = {"ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}", "REGION": "us-east-1"}
        for name, text in (settings | {"ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b"}).items():
            monkeypatch.setenv(f"AWS_{name}", text)
        place = RunPlace("s3://runs/churn", "churn-1", tmp_path)
        (path,) = place.outputs("metrics.json")
        path.write_text("{}")
        place.keep("metrics.json")
        server.shutdown()
    assert kept == {"/runs/churn/churn-1/metrics.json": b"{}"}


def test_a_folder_that_cannot_be_written_is_told_for_a_machine_and_a_claim(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("no folder")
    with pytest.raises(StateError, match="cannot be written: Not a directory") as refused:
        RunPlace(str(tmp_path / "runs"), "small-1", tmp_path).outputs("rows.parquet")
    assert "a folder of this machine, or a claim" in str(refused.value)
    assert "See to the disk or the claim" in str(refused.value)
