"""The churn example's live traffic, against a small stand-in for the gateway and the monitor."""

import contextlib
import csv
import json
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from loopwright.durations import Clock

# A loop day takes a twentieth of a second, so that the label delay of a week takes 0.35 s.
SPEED = 1_728_000.0
TOKEN = "t0ken"


class StandInPlatform(ThreadingHTTPServer):
    """Answers predictions and takes labels as the gateway and the monitor would, and remembers what it was sent."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.lock = threading.Lock()
        self.requests = {}
        self.labels = {}
        self.answer = lambda number: "ok"
        self.monitor_status = 200
        self.authorizations = set()

    def handle_error(self, request, client_address):
        """A client that hung up is no news here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/v1/labels":
            self.take_labels(body)
        elif self.path == "/v1/models/churn:predict":
            self.predict(body)
        else:
            self.reply(404, b"{}")

    def predict(self, body):
        platform, id = self.server, self.headers["X-Request-Id"]
        with platform.lock:
            number = len(platform.requests)
            platform.requests[id] = (time.time(), body["instances"])
        version = "2" if number % 4 == 3 else "1"
        match platform.answer(number):
            case "ok":
                prediction = {"id": id, "class": "No", "probability": 0.25, "probabilities": {"No": 0.75, "Yes": 0.25}}
                answer = {"model_name": "churn", "model_version": version, "id": id, "predictions": [prediction]}
                self.reply(200, json.dumps(answer).encode(), version)
            case "nonsense":
                self.reply(200, b"<html>", version)
            case "hang up":
                self.close_connection = True
                self.connection.close()
            case status:
                self.reply(status, b'{"error": "no"}', version)

    def take_labels(self, body):
        platform = self.server
        with platform.lock:
            platform.authorizations.add(self.headers["Authorization"])
            if platform.monitor_status != 200:
                return self.reply(platform.monitor_status, b"{}")
            for item in body["labels"]:
                platform.labels.setdefault(item["id"], (time.time(), item["label"]))
            count = len(body["labels"])
        return self.reply(200, json.dumps({"joined": count, "unknown": 0, "repeated": 0}).encode())

    def reply(self, status, content, version=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if version is not None:
            self.send_header("X-Model-Version", version)
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def platform():
    server = StandInPlatform()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def make(platform, churn, tmp_path):
    """Makes and starts a traffic against the platform; whatever was started is stopped at the end."""
    started = []

    def make(process=None, **changes):
        settings = {"gateway_url": platform.url, "monitor_url": platform.url, "token": TOKEN, "rate": 150.0, "seed": 1}
        process = process or churn("generator").ChurnProcess(1)
        traffic = churn("traffic").Traffic(
            process, data_folder=tmp_path / "data", clock=Clock(SPEED, time.time()), **(settings | changes)
        )
        started.append(traffic)
        return traffic.start()

    yield make
    for traffic in started:
        with contextlib.suppress(RuntimeError):
            traffic.stop()


@pytest.fixture
def remembering(churn):
    """A process that remembers the moments that were asked of it."""

    class Remembering(churn("generator").ChurnProcess):
        moments = []  # noqa: RUF012 - one object, one test

        def rows(self, moments):
            self.moments.extend(moments)
            return super().rows(moments)

    return Remembering(1)


def until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)


def in_order(platform):
    """What the requests carried, in the order in which they were made."""
    with platform.lock:
        requests = dict(platform.requests)
    return [requests[id][1] for id in sorted(requests, key=lambda id: int(id.rsplit("-", 1)[1]))]


def exported(folder):
    """Every exported row, by customer and moment."""
    rows = {}
    for file in sorted(folder.glob("*.csv")):
        with file.open(newline="") as stream:
            rows |= {(row["customer_id"], row["observed_at"]): row for row in csv.DictReader(stream)}
    return rows


def test_every_request_is_one_customer_and_is_counted_by_the_version_that_answered(platform, make, churn):
    traffic = make()
    until(lambda: len(platform.requests) > 60)
    seen = traffic.stop()
    assert seen["sent"] == seen["ok"] == len(platform.requests)
    assert seen["failed"] == {}
    assert sum(seen["by_version"].values()) == seen["ok"]
    assert seen["by_version"]["2"] == seen["ok"] // 4
    assert 0 < seen["latency_ms"]["p50"] <= seen["latency_ms"]["p99"] <= seen["latency_ms"]["max"]
    assert 0 < seen["cpu_share"] < 1
    expected = {"customer_id", *churn("generator").INPUTS}
    assert all(len(instances) == 1 and set(instances[0]) == expected for _, instances in platform.requests.values())


def test_customers_arrive_at_the_rate_in_exponential_gaps(platform, make, remembering):
    make(process=remembering, rate=400.0)
    until(lambda: len(remembering.moments) > 300)
    gaps = np.diff(remembering.moments) / SPEED
    # The median, for a machine that stands still for over a second leaves one long gap.
    assert np.median(gaps) == pytest.approx(np.log(2) / 400, rel=0.3)
    assert np.quantile(gaps, 0.9) == pytest.approx(np.log(10) / 400, rel=0.3)


def test_labels_reach_the_monitor_after_the_delay_with_the_token(platform, make, remembering):
    traffic = make(process=remembering)
    until(lambda: len(platform.labels) > 40)
    seen = traffic.stop()
    assert platform.authorizations == {f"Bearer {TOKEN}"}
    assert seen["labels"]["joined"] == seen["labels"]["sent"] == len(platform.labels)
    assert set(platform.labels) <= set(platform.requests)
    for id, (real, _) in platform.labels.items():
        known = remembering.moments[int(id.rsplit("-", 1)[1]) - 1] + 7 * 86400
        assert traffic._clock.at(real).timestamp() >= known
    values = [label for _, label in platform.labels.values()]
    assert set(values) == {"Yes", "No"}
    share = values.count("Yes") / len(values)
    counted = seen["brier"]
    assert sum(version["labels"] for version in counted.values()) == len(values)
    mean = sum(version["labels"] * version["mean"] for version in counted.values()) / len(values)
    assert mean == pytest.approx(share * 0.75**2 + (1 - share) * 0.25**2, abs=1e-3)


def test_the_warehouse_gets_a_complete_file_about_every_day(platform, make, churn, tmp_path):
    traffic = make()
    until(lambda: traffic.snapshot()["export"].get("files", 0) >= 4)
    seen = traffic.stop()
    now = traffic._clock.now()
    folder = tmp_path / "data"
    rows = exported(folder)
    assert len(rows) == seen["export"]["rows"]
    assert sorted(file.suffix for file in folder.iterdir()) == [".csv"] * seen["export"]["files"]
    assert all(tuple(row) == churn("generator").COLUMNS for row in rows.values())
    newest = max(datetime.fromisoformat(row["observed_at"]) for row in rows.values())
    assert newest <= now - timedelta(days=7)
    # At 150 rows and twenty days a second, a file a day holds about 7.
    assert len(rows) / seen["export"]["files"] < 60


def test_the_label_bug_is_in_the_warehouse_back_to_what_is_restated_and_not_at_the_monitor(
    platform, make, churn, tmp_path
):
    traffic = make(restate=timedelta(days=1000))
    until(lambda: traffic.snapshot()["export"].get("files", 0) >= 4)
    before = exported(tmp_path / "data")
    traffic.drift("labels")
    files = traffic.snapshot()["export"]["files"]
    until(lambda: traffic.snapshot()["export"].get("restated", 0) >= files)
    until(lambda: traffic.snapshot()["export"]["files"] > files + 2)
    traffic.stop()
    after = exported(tmp_path / "data")
    assert len(after) > len(before)
    for key, row in before.items():
        assert (after[key]["churned"] != row["churned"]) == (row["contract"] == "annual")
    inputs = churn("generator").INPUTS
    told = {}
    for id, (_, label) in platform.labels.items():
        customer = platform.requests[id][1][0]
        # As the csv module writes them; a customer that was drawn twice differs in what it did.
        told[tuple("" if customer[name] is None else str(customer[name]) for name in inputs)] = label
    compared = 0
    for row in after.values():
        key = tuple(row[name] for name in inputs)
        if key in told:
            compared += 1
            assert (told[key] != row["churned"]) == (row["contract"] == "annual")
    assert compared > 20


def test_files_older_than_what_is_restated_stay_as_they_are(make, tmp_path):
    traffic = make(restate=timedelta(0))
    until(lambda: traffic.snapshot()["export"].get("files", 0) >= 3)
    before = exported(tmp_path / "data")
    traffic.drift("labels")
    files = traffic.snapshot()["export"]["files"]
    until(lambda: traffic.snapshot()["export"]["files"] > files + 2)
    assert traffic.stop()["export"].get("restated", 0) == 0
    after = exported(tmp_path / "data")
    assert {key: after[key] for key in before} == before


def test_failures_are_counted_by_reason_and_stop_nothing(platform, make):
    kinds = ["ok", "ok", 503, "nonsense", "hang up"]
    platform.answer = lambda number: kinds[number % 5]
    traffic = make()
    until(lambda: len(platform.requests) > 100)
    seen = traffic.stop()
    assert seen["sent"] == seen["ok"] + sum(seen["failed"].values())
    assert set(seen["failed"]) == {"HTTP 503", "answer not understood", "connection closed"}
    assert seen["failed"]["HTTP 503"] == pytest.approx(len(platform.requests) / 5, abs=2)
    assert seen["ok"] == pytest.approx(len(platform.requests) * 2 / 5, abs=2)
    assert (
        sum(seen["failed_by_version"].values()) == seen["failed"]["HTTP 503"] + seen["failed"]["answer not understood"]
    )


def test_a_gateway_that_is_gone_is_counted(platform, make):
    traffic = make(gateway_url="http://127.0.0.1:1")
    until(lambda: traffic.snapshot()["failed"].get("cannot connect", 0) > 20)
    seen = traffic.stop()
    assert seen["ok"] == 0
    assert seen["latency_ms"] == {}


def test_labels_wait_for_a_monitor_that_fails(platform, make):
    platform.monitor_status = 503
    traffic = make()
    until(lambda: traffic.snapshot()["labels"].get("failed posts: HTTP 503", 0) >= 2)
    assert traffic.snapshot()["labels"].get("sent", 0) == 0
    platform.monitor_status = 200
    until(lambda: traffic.snapshot()["labels"].get("sent", 0) > 20)
    traffic.stop()
    # None was lost: the earliest predictions have their labels too.
    assert set(list(platform.requests)[:20]) <= set(platform.labels)


def test_a_drift_begins_at_the_loops_time_of_the_call(platform, make):
    traffic = make()
    until(lambda: len(platform.requests) > 30)
    earliest = traffic._clock.now()
    begun = traffic.drift("upstream")
    assert begun.tzinfo is UTC
    assert earliest <= begun <= traffic._clock.now()

    def with_cents():
        return [instances[0]["monthly_charges"] > 1000 for instances in in_order(platform)]

    until(lambda: sum(with_cents()) > 30)
    traffic.stop()
    seen = with_cents()
    assert seen.index(True) >= 30
    assert seen == sorted(seen)


def test_the_drivers_own_error_is_shown_and_not_hidden(platform, make, churn):
    class Broken(churn("generator").ChurnProcess):
        def rows(self, moments):
            raise ZeroDivisionError("no customers")

    traffic = make(process=Broken(1))
    until(lambda: not traffic._thread.is_alive())
    with pytest.raises(RuntimeError, match="no customers"):
        traffic.snapshot()


def test_a_traffic_is_started_once(platform, make):
    traffic = make()
    with pytest.raises(RuntimeError, match="started before"):
        traffic.start()


def test_customers_do_not_depend_on_how_the_requests_went(platform, make, churn):
    platform.answer = lambda number: 500 if number % 2 else "ok"
    traffic = make()
    until(lambda: len(platform.requests) > 50)
    traffic.stop()
    drawn = churn("generator").ChurnProcess(1).rows(np.zeros(200)).columns["seats"].tolist()
    sent = [instances[0]["seats"] for instances in in_order(platform)]
    assert sent == drawn[: len(sent)]
