"""A stand-in of Kubeflow Pipelines' REST API (v2beta1, 2.17) for tests, where no backend can be installed.

It keeps experiments, pipelines with versions, runs and recurring runs in memory, and answers what kfp.Client asks in
the shapes of the real API server: fields in snake_case, empty lists left out, filters on the name, lists in pages. It
runs nothing: a test moves a run on by `Backend.tell`. It also does what is hard to come by with a real one: `fail_next`
answers requests with a status, or loses the answer to what was done, and `before_create` lets another submitter be
first.
"""

import json
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Object = dict[str, Any]
DROPPED = 0
"""A status that is none: the request is carried out and its answer is lost."""


class Backend:
    """What the API knows. `url` is where it listens, once `start` was called."""

    def __init__(self) -> None:
        self.experiments: list[Object] = []
        self.pipelines: list[Object] = []
        self.versions: list[Object] = []
        self.runs: list[Object] = []
        self.recurring: list[Object] = []
        self.requests: list[str] = []
        self.uploads: list[str] = []
        self.token: str | None = None
        self.fail_next: list[tuple[str, int]] = []
        self.before_create: Callable[[Object], None] | None = None
        self.ends_on_terminate = True
        self.lock = threading.RLock()
        self._now = datetime.now(UTC).replace(microsecond=0)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> "Backend":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def now(self) -> str:
        """The server's clock, a second a look."""
        self._now += timedelta(seconds=1)
        return self._now.strftime("%Y-%m-%dT%H:%M:%SZ")

    def tell(self, name: str, state: str, tasks: dict[str, str] | None = None, error: str | None = None) -> Object:
        """Move the newest run of a name to a state, with the states of its tasks."""
        run = next(run for run in reversed(self.runs) if run["display_name"] == name)
        self.change(run, state)
        ended = state in ("SUCCEEDED", "FAILED", "CANCELED")
        run["finished_at"] = self.now() if ended else "1970-01-01T00:00:00Z"
        if error:
            run["error"] = {"code": 13, "message": error}
        run["run_details"] = {
            "task_details": [
                {
                    "task_id": task,
                    "display_name": task,
                    "pod_name": f"{name}-{task}",
                    "start_time": self.now(),
                    "end_time": self.now() if of in ("SUCCEEDED", "FAILED") else "1970-01-01T00:00:00Z",
                    "state": of,
                }
                for task, of in (tasks or {}).items()
            ]
        }
        return run

    def change(self, run: Object, state: str) -> None:
        """A run's state, and that it once had it."""
        run["state"] = state
        run.setdefault("state_history", []).append({"state": state, "update_time": self.now()})

    def create_run(self, body: Object, created_at: str | None = None) -> Object:
        run = {
            **body,
            "run_id": str(uuid.uuid4()),
            "state": "PENDING",
            "created_at": created_at or self.now(),
            "scheduled_at": "1970-01-01T00:00:00Z",
            "finished_at": "1970-01-01T00:00:00Z",
        }
        self.runs.append(run)
        return run


def _handler(backend: Backend) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """A test says what it found."""

        def do_GET(self) -> None:
            self._answer("GET", b"")

        def do_POST(self) -> None:
            self._answer("POST", self.rfile.read(int(self.headers.get("Content-Length", 0))))

        def do_DELETE(self) -> None:
            self._answer("DELETE", b"")

        def _answer(self, method: str, body: bytes) -> None:
            url = urlsplit(self.path)
            asked = f"{method} {url.path}"
            with backend.lock:
                backend.requests.append(asked)
                failing = next((one for one in backend.fail_next if one[0] in asked), None)
                if failing:
                    backend.fail_next.remove(failing)
                if backend.token is not None and self.headers.get("Authorization") != f"Bearer {backend.token}":
                    return self._send(401, {"error": "Unauthenticated", "message": "the token has expired"})
                if failing and failing[1] != DROPPED:
                    return self._send(failing[1], {"message": "the stand-in was told to fail"})
                query = {name: values[0] for name, values in parse_qs(url.query).items()}
                status, answer = _route(backend, method, url.path, query, body, self.headers.get("Content-Type", ""))
            if failing:
                self.close_connection = True
                return None
            return self._send(status, answer)

        def _send(self, status: int, answer: Any) -> None:
            data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if isinstance(answer, str) else "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler


def _route(backend: Backend, method: str, path: str, query: dict[str, str], body: bytes, kind: str) -> tuple[int, Any]:
    parts = path.split("/")[3:]
    match method, parts:
        case "GET", ["healthz"]:
            return 200, {"multi_user": False}
        case "GET", ["experiments"]:
            return 200, _listed("experiments", backend.experiments, query)
        case "POST", ["experiments"]:
            made = {**json.loads(body), "experiment_id": str(uuid.uuid4()), "created_at": backend.now()}
            return _unique(backend.experiments, made)
        case "GET", ["pipelines"]:
            return 200, _listed("pipelines", backend.pipelines, query)
        case "POST", ["pipelines", "upload"]:
            backend.uploads.append(_uploaded(body, kind))
            made = {"display_name": query["name"], "pipeline_id": str(uuid.uuid4()), "created_at": backend.now()}
            return _unique(backend.pipelines, made)
        case "POST", ["pipelines", "upload_version"]:
            backend.uploads.append(_uploaded(body, kind))
            made = {"display_name": query["name"], "pipeline_id": query["pipelineid"], "created_at": backend.now()}
            return _unique(backend.versions, {**made, "pipeline_version_id": str(uuid.uuid4())})
        case "GET", ["pipelines", pipeline, "versions"]:
            of = [version for version in backend.versions if version["pipeline_id"] == pipeline]
            return 200, _listed("pipeline_versions", of, query)
        case "GET", ["runs"]:
            of = [run for run in backend.runs if query.get("experiment_id", "") in ("", run["experiment_id"])]
            bare = [{name: value for name, value in run.items() if name != "run_details"} for run in of]
            return 200, _listed("runs", bare, query)
        case "POST", ["runs"]:
            wanted = json.loads(body)
            if backend.before_create is not None:
                first, backend.before_create = backend.before_create, None
                first(wanted)
            return 200, backend.create_run(wanted)
        case "GET", ["runs", run]:
            found = _one(backend.runs, "run_id", run)
            return (404, {"message": "not found"}) if found is None else (200, found)
        case "POST", ["runs", action] if action.endswith(":terminate"):
            found = _one(backend.runs, "run_id", action.removesuffix(":terminate"))
            assert found is not None
            if found["state"] in ("SUCCEEDED", "FAILED", "CANCELED"):
                return 400, {"message": "the run has ended"}
            # The real one says FAILED in the end, as Argo does of a Workflow that was terminated.
            backend.change(found, "CANCELING")
            if backend.ends_on_terminate:
                backend.change(found, "FAILED")
            found["finished_at"] = backend.now() if backend.ends_on_terminate else found["finished_at"]
            return 200, {}
        case "GET", ["recurringruns"]:
            return 200, _listed("recurringRuns", backend.recurring, query)
        case "POST", ["recurringruns"]:
            made = {**json.loads(body), "recurring_run_id": str(uuid.uuid4()), "status": "ENABLED"}
            backend.recurring.append({**made, "created_at": backend.now()})
            return 200, backend.recurring[-1]
        case "DELETE", ["recurringruns", identity]:
            backend.recurring = [one for one in backend.recurring if one["recurring_run_id"] != identity]
            return 200, {}
    return 404, {"message": f"the stand-in does not know {method} {path}"}


def _listed(name: str, items: list[Object], query: dict[str, str]) -> Object:
    """A page of what the filter leaves; the real API leaves an empty list out."""
    for predicate in json.loads(query.get("filter") or "{}").get("predicates", []):
        value = predicate.get("string_value", predicate.get("stringValue"))
        items = [item for item in items if item["display_name"] == value]
    if query.get("sort_by"):
        items = sorted(items, key=lambda item: item[query["sort_by"]])
    start, size = int(query.get("page_token") or 0), int(query.get("page_size") or 10)
    answer: Object = {"total_size": len(items)}
    if items[start : start + size]:
        answer[name] = items[start : start + size]
    if start + size < len(items):
        answer["next_page_token"] = str(start + size)
    return answer


def _unique(known: list[Object], made: Object) -> tuple[int, Object]:
    if any(one["display_name"] == made["display_name"] for one in known):
        return 409, {"message": f"the name {made['display_name']} already exists"}
    known.append(made)
    return 200, made


def _one(items: list[Object], key: str, value: str) -> Object | None:
    return next((item for item in items if item[key] == value), None)


def _uploaded(body: bytes, kind: str) -> str:
    parts = message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body).get_payload()
    assert isinstance(parts, list)
    return next(part.get_payload(decode=True).decode() for part in parts if part.get_filename())
