"""The whole product in one namespace of a cluster, as its users install it, for the tests of the story and of faults.

The chart with the engine `argo` and with PostgreSQL, MLflow and an S3 store, all with claims; the example churn with
durations of seconds; version 1 trained in pods, served from s3:// behind the gateway by two replicas; Prometheus and
Alertmanager with the rendered rules. Only KServe's controller may be stood in for (conftest.py).
"""

import importlib.util
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote

import yaml


def _module(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    spec.loader.exec_module(made)
    return made


HERE = Path(__file__).parent
ROOT = HERE.parents[1]
parts, install = _module("house_conftest", HERE / "conftest.py"), _module("house_install", HERE / "test_install.py")
load, observers = _module("house_load", HERE / "load.py"), _module("house_observers", HERE / "observers.py")
generator = _module("house_generator", ROOT / "examples/churn/generator.py")
kubectl, until = parts.kubectl, parts.until

BUILTIN = yaml.safe_load((ROOT / "helm/loopwright/values.yaml").read_text())["builtin"]
POSTGRES = ("{repository}:{tag}".format(**BUILTIN["postgresql"]["image"]), "docker.io/loopwright-e2e/postgresql:debian")
STORE = "{repository}:{tag}".format(**BUILTIN["objectStore"]["image"])
OURS = ("trigger", "component-python", "predictor", "monitor")
IMAGES = (POSTGRES, (STORE,), (observers.IMAGE,), *((f"docker.io/loopwright/{one}:{parts.TAG}",) for one in OURS))
STEPS = (20, 50)
CLAIMS = ("loopwright-state", "loopwright-postgresql", "loopwright-mlflow", "loopwright-object-store")
HISTORY, DELIVERED = 8000, 4000
"""Rows that the first version is trained on, and that come later at once."""
A_DAY = 2000

# What the example declares for a company's weeks, in seconds. Its labels come a week late and are not waited for.
DECLARED: dict[str, Any] = {
    "gates": {"minimum": {"roc_auc": 0.7}, "champion": {"roc_auc": {"no_worse_by": 0.03}}},
    "rollout": {
        "strategy": "canary",
        "steps": list(STEPS),
        "bake": "8s",
        "min_requests": 50,
        "timeout": "5m",
        "analysis": {
            "error_rate": {"max": 0.02},
            # Of a node that does everything at once.
            "latency_p99": {"max": "5s"},
            "prediction_shift": {"max": 0.8},
        },
    },
    "monitor": {"window": "30s", "min_events": 300, "reference": "2d"},
    "retrain": {"on": ["drift"], "cooldown": "5s", "min_new_rows": 1000, "daily_cap": 50},
    "serving": {
        "models": "s3://models/churn",
        "gateway": parts.GATEWAY,
        "service_account": "loopwright-models",
        # Prometheus raises the alarms.
        "alerts": "",
        "replicas": {"min": 2},
        "images": {"tag": parts.TAG},
        "resources": {
            "predictor": {"requests": {"cpu": "20m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}},
            "monitor": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
        },
    },
}


class Weights(threading.Thread):
    """Reads the gateway's weights twice a second: what share of the traffic each version had, and when."""

    def __init__(self, house: "House") -> None:
        super().__init__(daemon=True)
        self.seen: list[dict[str, int]] = []
        self._house, self._stopping = house, threading.Event()

    def run(self) -> None:
        while not self._stopping.wait(0.5):
            # While the API server is away nothing is read, and nothing can be changed either.
            if (weights := self._house.weights()) and weights != (self.seen[-1] if self.seen else None):
                self.seen.append(weights)

    def shares(self, champion: int, challenger: int) -> list[int]:
        """The challenger's shares in percent, one after another; what has been seen has to be these two alone."""
        shares = []
        for weights in self.seen:
            assert weights.keys() <= {f"v{champion}", f"v{challenger}"}, weights
            share = 100 * weights.get(f"v{challenger}", 0) // sum(weights.values())
            shares += [share] if shares[-1:] != [share] else []
        return shares

    def __enter__(self) -> "Weights":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self.join(30)


@dataclass
class House:
    """One installation. What changes on the cluster is read by its API, what the product knows by its command."""

    namespace: str
    address: str
    folder: Path
    home: Path
    process: Any = field(default_factory=lambda: generator.ChurnProcess(seed=7))
    start: datetime = field(default_factory=lambda: datetime.now(UTC) - timedelta(days=14))
    """Of the rows that are not there yet when version 1 is trained."""
    deliveries: int = 0
    values: list[str] = field(default_factory=list)
    stand_in: "subprocess.Popen[str] | None" = None

    @property
    def host(self) -> str:
        """The service's host name."""
        return f"churn-{self.namespace}.example.com"

    def loopwright(self, *arguments: str) -> str:
        """The command, in the trigger's pod."""
        command = ["kubectl", "-n", self.namespace, "exec", install.TRIGGER, "--", "loopwright", *arguments]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=400)
        assert answer.returncode == 0, f"loopwright {' '.join(arguments)}: {answer.stdout}{answer.stderr}"
        return answer.stdout

    def story(self) -> list[dict[str, Any]]:
        """The ledger."""
        entries: list[dict[str, Any]] = json.loads(self.loopwright("history", "/loop", "--json"))
        return entries

    def rows(self, name: str, count: int = 5000) -> Path:
        """Requests of customers as they are now, a JSON object a line."""
        path, lines = self.folder / f"{name}.jsonl", []
        for row in self.process.rows([time.time()] * count).records():
            del row["customer_id"]
            lines.append(json.dumps(row))
        path.write_text("\n".join(lines))
        return path

    def deliver(self) -> None:
        """What the warehouse exports: rows of the days after the history, whose labels are known by now."""
        count = DELIVERED * self.deliveries + generator.np.arange(DELIVERED)
        rows = self.process.rows(self.start.timestamp() + count * 86400 / A_DAY)
        self.process.export(rows, self.home / "rows" / f"customers-new-{self.deliveries}.csv")
        self.deliveries += 1

    def load(self, rows: Path, rate: float = 30.0) -> Any:
        """A steady load of all protocols through the gateway, which must not notice anything."""
        return load.Load(self.address, self.host, "churn", rate=rate, rows=rows)

    def ask(self, query: str) -> list[dict[str, Any]]:
        """Prometheus' answer."""
        prometheus = f"/api/v1/namespaces/{self.namespace}/services/prometheus:9090/proxy"
        answer = kubectl("get", "--raw", f"{prometheus}/api/v1/query?query={quote(query)}")
        found: list[dict[str, Any]] = json.loads(answer)["data"]["result"]
        return found

    def get(self, kind: str, *more: str) -> Any:
        """Objects as the API has them; nothing where it does not answer."""
        command = ["kubectl", "-n", self.namespace, "get", kind, *more, "-o", "json"]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60)
        return json.loads(answer.stdout) if answer.returncode == 0 and answer.stdout else None

    def weights(self) -> dict[str, int]:
        """The weights of the versions on KServe's route."""
        route = self.get("httproutes", "churn")
        backends = route["spec"]["rules"][-1]["backendRefs"] if route else []
        return {one["name"].removeprefix("churn-").removesuffix("-predictor"): one.get("weight", 1) for one in backends}

    def champion(self) -> int:
        """The version of the stable predictor; 0 while the API does not answer."""
        found = self.get("inferenceservices.serving.kserve.io", "churn")
        return int(found["spec"]["predictor"]["name"].removeprefix("v")) if found else 0

    def workflows(self, what: str) -> dict[str, str]:
        """The phases of the Workflows of runs (`training`) or of a version's rollout (its number)."""
        label = "loopwright.dev/pipeline=training" if what == "training" else f"loopwright.dev/version={what}"
        found = self.get("workflows.argoproj.io", "-l", label)
        items = found["items"] if found else []
        return {one["metadata"]["name"]: one.get("status", {}).get("phase", "Pending") for one in items}

    def pods(self, selector: str) -> list[str]:
        """The names of the running pods that have these labels and are not on their way out."""
        found = self.get("pods", "-l", selector)
        return [
            one["metadata"]["name"]
            for one in (found["items"] if found else [])
            if one["status"].get("phase") == "Running" and "deletionTimestamp" not in one["metadata"]
        ]

    def becomes_champion(self, version: int, seconds: float = 600) -> None:
        """Wait until a version is alone and the newest Workflow of its rollout has ended well."""

        def over() -> bool:
            # Their names end in the number of the attempt.
            attempts = {int(name.rpartition("-")[2]): phase for name, phase in self.workflows(str(version)).items()}
            phase = attempts[max(attempts)] if attempts else ""
            assert phase not in ("Failed", "Error"), (attempts, self.log())
            return phase == "Succeeded" and self.champion() == version

        until(over, seconds, f"version {version} is the champion; {self.log()}")

    def log(self) -> str:
        """The trigger's last lines, for messages."""
        command = ["kubectl", "-n", self.namespace, "logs", install.TRIGGER, "--tail=30"]
        return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout

    def helm(self, command: str, *more: str) -> str:
        """Install or upgrade the release with its values, and more of them."""
        return str(install.helm(self.namespace, command, install.CHART, *self.values, *more))


@contextmanager
def installed(address: str, folder: Path) -> Iterator[House]:
    """The house, with version 1 serving; it goes when the block is left."""
    name = f"loopwright-whole-{time.time_ns() % 10**8}"
    house = House(name, address, folder, parts.MODELS / name)
    items = _place(house)
    for path in (house.home.parent, house.home):
        path.chmod(0o755)
    history = generator.history(house.process, HISTORY, house.start + generator.LABEL_DELAY, A_DAY)
    generator.write_history(house.process, history, house.home / "rows")
    kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    house.stand_in = parts._stand_in(name)
    try:
        _install(house)
        _serve(house)
        _watch(house)
        yield house
    finally:
        kubectl("delete", "namespace", name, "--wait=false")
        volumes = kubectl("get", "persistentvolumes", "-o", "name").split()
        ours = [one for one in volumes if one.startswith(f"persistentvolume/{name}-")]
        kubectl("delete", "--wait=false", *ours)
        if house.stand_in is not None:
            house.stand_in.terminate()
            house.stand_in.wait(30)
        subprocess.run(["rm", "-rf", str(house.home)], timeout=60)


def _place(house: House) -> list[dict[str, Any]]:
    """A namespace that enforces `restricted`, and volumes of the rows, and of all where nobody provides any."""
    closed = _module("house_closed", HERE / "test_closed_loop.py")
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    items = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": house.namespace, "labels": labels}}]
    items += closed.volume(house.namespace, "rows", house.home, "ReadWriteMany")
    if not json.loads(kubectl("get", "storageclasses", "-o", "json"))["items"]:
        for claim in CLAIMS:
            items += [
                one
                for one in closed.volume(house.namespace, claim, house.home, "ReadWriteOnce")
                if one["kind"] == "PersistentVolume"
            ]
            # As large as the chart's claims.
            items[-1]["spec"]["capacity"] = {"storage": "10Gi"}
    return items


def _install(house: House) -> None:
    """The chart, with the declaration as a user writes it."""
    there = kubectl("get", "nodes", "-o", "jsonpath={.items[*].status.images[*].names[*]}").split()
    postgres = next(name for name in POSTGRES if name in there)
    declared = yaml.safe_load((ROOT / "examples/churn/loop.yaml").read_text()) | DECLARED
    (house.folder / "loop.yaml").write_text(yaml.safe_dump(declared, sort_keys=False))
    values = {
        "engine": "argo",
        "image": {"tag": parts.TAG},
        "training": {"image": {"tag": parts.TAG}, "artifacts": "s3://runs/churn"},
        "data": {"existingClaim": "rows"},
        "persistence": {"enabled": True, "keep": False},
        "rollouts": {"enabled": True},
        "networkPolicy": {"enabled": True},
        "prometheusUrl": "http://prometheus:9090",
        "builtin": {
            "enabled": True,
            "postgresql": {"image": dict(zip(("repository", "tag"), postgres.rsplit(":", 1), strict=True))},
            "objectStore": {"buckets": ["models", "events", "runs"]},
        },
    }
    (house.folder / "values.yaml").write_text(yaml.safe_dump(values))
    files = {"loop.declaration": house.folder / "loop.yaml", "loop.features": ROOT / "examples/churn/features.py"}
    house.values = ["--values", str(house.folder / "values.yaml")]
    for value, path in files.items():
        house.values += ["--set-file", f"{value}={path}"]
    house.helm("install", "--wait", "--timeout", "6m")


def _serve(house: House) -> None:
    """Version 1: a person's, as docs/cluster.md says it."""
    house.loopwright("check", "/loop")
    house.loopwright("run", "/loop")
    house.loopwright("publish", "/loop")
    manifests = house.loopwright("render", "/loop", "--to", "-", "--namespace", house.namespace)
    kubectl("-n", house.namespace, "apply", "-f", "-", stdin=manifests)
    service = "inferenceservices.serving.kserve.io/churn"
    kubectl("-n", house.namespace, "wait", "--for=condition=Ready", service, "--timeout=170s")
    assert "the champion" in house.loopwright("rollout", "/loop", "--version", "1", "--workflow")


def _watch(house: House) -> None:
    """Prometheus and Alertmanager, with the files that are rendered for the loop."""
    house.loopwright("render", "/loop", "--to", "/tmp/rendered", "--prometheus", "--namespace", house.namespace)
    names = ("rules.yml", "alertmanager.yml", "loopwright.tmpl")
    inside = ("-n", house.namespace, "exec", install.TRIGGER, "--", "cat")
    files = {name: kubectl(*inside, f"/tmp/rendered/prometheus/{name}") for name in names}
    items = {"apiVersion": "v1", "kind": "List", "items": observers.manifests(house.namespace, files, "loopwright")}
    kubectl("-n", house.namespace, "apply", "-f", "-", stdin=json.dumps(items))
    for name in ("prometheus", "alertmanager"):
        kubectl("-n", house.namespace, "rollout", "status", f"deployment/{name}", "--timeout=120s")
