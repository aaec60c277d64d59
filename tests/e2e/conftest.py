"""A served loop on a real cluster, with as many trained versions as the tests of rollouts need.

The controller is KServe's own where it is installed, and the stand-in of tests/standins elsewhere. With
LOOPWRIGHT_E2E=kserve it has to be KServe's own, and nothing may be missing.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
STAND_IN = ROOT / "tests" / "standins"
# A folder of the machine that a node sees under the same path, for the models' volume.
MODELS = Path(os.environ.get("LOOPWRIGHT_E2E_MODELS", "/tmp/loopwright-e2e"))
TAG = os.environ.get("LOOPWRIGHT_E2E_TAG", "0.1.0")
TOKEN = "for-the-tests-only"
GATEWAY = os.environ.get("LOOPWRIGHT_E2E_GATEWAY", "envoy-gateway-system/gateway")
REAL = os.environ.get("LOOPWRIGHT_E2E") == "kserve"

SERVING = """
rollout:
  strategy: {strategy}
{plan}
  bake: 3s
  min_requests: {least}
  timeout: 60s
  {more}
  analysis:
    error_rate: {{max: 0.05}}
    prediction_shift: {{max: 0.3}}
    {analysis}
serving:
  models: pvc://small-models
  gateway: {gateway}
  images: {{tag: "{tag}"}}
  scrape: none
  resources:
    predictor: {{requests: {{cpu: 50m, memory: 128Mi}}, limits: {{memory: 1Gi}}}}
    monitor: {{requests: {{cpu: 10m, memory: 64Mi}}, limits: {{memory: 512Mi}}}}
"""

# Feature code of versions that are bad in a way that only serving shows: KServe sets the variable.
ERRORS = """
import os

def features(columns):
    if "INFERENCE_SERVICE_NAME" in os.environ and (columns["plan"] == "basic").any():
        raise ValueError("this version was released on a Friday")
    return dict(columns)
"""


def serving(strategy: str, plan: str = "", more: str = "", least: int = 15, analysis: str = "") -> str:
    """The sections `rollout` and `serving` of a declaration."""
    return SERVING.format(
        strategy=strategy, plan=plan, more=more, least=least, analysis=analysis, gateway=GATEWAY, tag=TAG
    )


SLOW = """
import os
import time

def features(columns):
    if "INFERENCE_SERVICE_NAME" in os.environ:
        time.sleep(0.15)
    return dict(columns)
"""


LOOKED = pytest.StashKey[int]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """End at once where the cluster is gone, as no test can tell anything then."""
    session = item.session
    if os.environ.get("KUBECONFIG") and shutil.which("kubectl") and session.stash.get(LOOKED, -1) < session.testsfailed:
        if found := module(ROOT / "tests" / "e2e" / "nodes.py").trouble():
            pytest.exit(f"the end-to-end tests end here: {found}", returncode=1)
        session.stash[LOOKED] = session.testsfailed


def kubectl(*arguments: str, stdin: str = "") -> str:
    """What kubectl answers; it has to succeed."""
    answer = subprocess.run(["kubectl", *arguments], input=stdin, capture_output=True, text=True, timeout=180)
    assert answer.returncode == 0, f"kubectl {' '.join(arguments)}: {answer.stderr}"
    return answer.stdout


def module(path: Path) -> ModuleType:
    """A file of the tests as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = made
    spec.loader.exec_module(made)
    return made


def until(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """Wait for something that nobody announces."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.1)
    return found


def missing(reason: str) -> None:
    """A part is not there: a reason to skip, and an error where everything has to be there."""
    if REAL:
        pytest.fail(f"{reason}, and LOOPWRIGHT_E2E=kserve")
    pytest.skip(reason)


@dataclass
class Rolling:
    """A rollout in a process of its own."""

    process: "subprocess.Popen[str]"
    log: Path
    code: int | None = None

    def lines(self) -> list[dict[str, Any]]:
        """What it has said so far."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def reached(self, weight: int, seconds: float = 60) -> None:
        """Wait until it says that the challenger has this share."""

        def there() -> bool:
            given = self.said(f" gets {weight} % of the traffic")
            assert given or self.process.poll() is None, self.log.read_text()
            return given

        until(there, seconds, f"the share of {weight} %: {self.log}")

    def said(self, text: str) -> bool:
        """Whether one of its lines has this text."""
        return any(text in line.get("text", "") for line in self.lines())

    def ended(self, seconds: float = 90) -> int:
        """Wait for its end; returns the exit code."""
        return self.process.wait(seconds)


@dataclass
class Service:
    """The served loop `small` in a namespace of its own."""

    namespace: str
    address: str
    folder: Path
    declaration: str
    bundles: dict[str, tuple[Path, str]]
    """Trained bundles and their digests, by what they are: good, other, wrong, errors, slow."""
    made: list[int] = field(default_factory=lambda: [1])
    environment: dict[str, str] = field(default_factory=dict)
    stand_in: "subprocess.Popen[str] | None" = None

    @property
    def host(self) -> str:
        """The service's host name."""
        return f"small-{self.namespace}.example.com"

    def version(self, kind: str) -> tuple[int, str]:
        """Put a bundle on the volume as a new version; returns its number and digest."""
        number = self.made[-1] + 1
        self.made.append(number)
        folder, digest = self.bundles[kind]
        shutil.copytree(folder, MODELS / self.namespace / str(number))
        return number, digest

    def start(
        self, version: int, digest: str, strategy: str = "canary", more: str = "", least: int = 15, analysis: str = ""
    ) -> Rolling:
        """Roll a version out, in a process."""
        plan = "  steps: [20, 50]" if strategy in ("canary", "shadow") else ""
        text = serving(strategy=strategy, plan=plan, more=more, least=least, analysis=analysis)
        (self.folder / "loop.yaml").write_text(self.declaration + text)
        log = self.folder / f"{version}-{time.time_ns()}.log"
        command = [sys.executable, str(ROOT / "tests/e2e/take_live.py"), str(self.folder), str(version), digest]
        with log.open("w") as output:
            process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, text=True, env=os.environ | self.environment
            )
        return Rolling(process, log)

    def restart_controller(self, meanwhile: Callable[[], None]) -> None:
        """Kill what plays KServe's controller, and start it again after `meanwhile`."""
        if self.stand_in is None:
            stop, start = os.environ.get("LOOPWRIGHT_E2E_STOP"), os.environ.get("LOOPWRIGHT_E2E_START")
            if not (stop and start):
                pytest.skip("LOOPWRIGHT_E2E_STOP and _START do not say how KServe's controller is restarted")
            subprocess.run(["sh", "-c", stop], check=True, timeout=60)
            meanwhile()
            subprocess.run(["sh", "-c", start], check=True, timeout=120)
            return
        self.stand_in.kill()
        self.stand_in.wait(30)
        meanwhile()
        self.stand_in = _stand_in(self.namespace)

    def weights(self) -> dict[str, int]:
        """The weights on KServe's route, by the backend's name."""
        route = json.loads(kubectl("-n", self.namespace, "get", "httproute", "small", "-o", "json"))
        return {one["name"]: one.get("weight", 1) for one in route["spec"]["rules"][-1]["backendRefs"]}

    def champion(self) -> int:
        """The version of the stable predictor."""
        path = "jsonpath={.spec.predictor.name}"
        return int(
            kubectl(
                "-n", self.namespace, "get", "inferenceservices.serving.kserve.io", "small", "-o", path
            ).removeprefix("v")
        )

    def pods(self, version: int) -> list[str]:
        """The names of a version's pods that are not on their way out."""
        found = json.loads(
            kubectl("-n", self.namespace, "get", "pods", "-l", f"app=isvc.small-v{version}-predictor", "-o", "json")
        )
        return [one["metadata"]["name"] for one in found["items"] if "deletionTimestamp" not in one["metadata"]]


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory, small_rows: pd.DataFrame) -> dict[str, tuple[Path, str]]:
    """Trained versions of the small loop: two good ones, one of another market, one that fails, one that is slow."""
    from loopwright import declaration
    from loopwright.data import splits
    from loopwright.models import bundle
    from loopwright.steps.train import train

    tests = module(ROOT / "tests" / "conftest.py")
    loop, folder = declaration.parse(tests.DECLARATION), tmp_path_factory.mktemp("bundles")
    rows = small_rows.assign(
        age=small_rows["age"].astype(int),
        spend=pd.to_numeric(small_rows["spend"]),
        seen=pd.to_datetime(small_rows["seen"]),
    )
    # Hardly anybody leaves in the market of this one.
    elsewhere = rows.assign(left=(rows["age"] > 86).map({True: "Yes", False: "No"}))
    made = {}
    for kind, frame, code in (
        ("good", rows, ""),
        ("other", rows.iloc[:700], ""),
        ("wrong", elsewhere, ""),
        ("errors", rows, ERRORS),
        ("slow", rows, SLOW),
    ):
        parts = splits.split(frame, loop)
        paths = [folder / f"{kind}-{name}.parquet" for name in ("training", "holdout")]
        for part, path in zip(parts, paths, strict=True):
            part.to_parquet(path, index=False)
        train(loop, code, *paths, folder / kind)
        made[kind] = (folder / kind, bundle.digest(folder / kind))
    return made


def on_a_node(image: str) -> bool:
    """Whether a node has an image."""
    images = kubectl("get", "nodes", "-o", "jsonpath={.items[*].status.images[*].names[*]}").split()
    return any(one == image or one.endswith(f"/{image}") for one in images)


@pytest.fixture(scope="session")
def component() -> str:
    """The image of the steps, where its pods can have a folder of this machine's."""
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("KUBECONFIG is not set")
    if os.geteuid() != 0:
        pytest.skip("the claim is a folder of this machine's, which only root can give to the pods' user")
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not on PATH")
    image = f"loopwright/component-python:{TAG}"
    if not on_a_node(image):
        pytest.skip(f"no node has the image {image}; `make images` builds it")
    return image


@pytest.fixture(scope="session")
def claimed() -> Callable[..., list[dict[str, Any]]]:
    """Makes a namespace that enforces the restricted pod security standard, and claims on folders of this machine."""

    def make(namespace: str, **folders: Path) -> list[dict[str, Any]]:
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        made = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}}]
        for name, folder in folders.items():
            made += _claim(namespace, name.replace("_", "-"), folder)
        return made

    return make


def _claim(namespace: str, name: str, folder: Path) -> list[dict[str, Any]]:
    spec = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    place = {"claimRef": {"namespace": namespace, "name": name}, "hostPath": {"path": str(folder)}}
    volume = f"{namespace}-{name}"
    bound = {"volumeName": volume, "resources": {"requests": {"storage": "1Gi"}}}
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": volume},
            "spec": {**spec, **place, "capacity": {"storage": "1Gi"}},
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {**spec, **bound},
        },
    ]


@pytest.fixture(scope="session")
def gateway_address() -> str:
    """Where the gateway listens, for this machine."""
    if not os.environ.get("KUBECONFIG"):
        missing("KUBECONFIG is not set")
    if shutil.which("kubectl") is None:
        missing("kubectl is not on PATH")
    namespace, _, name = GATEWAY.partition("/")
    command = ["kubectl", "-n", namespace, "get", "gateway", name, "-o", "jsonpath={.status.addresses[0].value}"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if answer.returncode != 0 or not answer.stdout:
        missing(f"there is no Gateway {GATEWAY} with an address")
    for image in (f"loopwright/predictor:{TAG}", f"loopwright/monitor:{TAG}"):
        if not on_a_node(image):
            missing(f"no node has the image {image}; `make images` builds it")
    return f"{os.environ.get('LOOPWRIGHT_E2E_ADDRESS') or answer.stdout + ':80'}"


def _stand_in(namespace: str) -> "subprocess.Popen[str] | None":
    """The stand-in of KServe's controller, unless KServe itself is there."""
    name = "inferenceservices.serving.kserve.io"
    command = ["kubectl", "get", "crd", name, "-o", "jsonpath={.metadata.labels.loopwright\\.dev/stand-in}"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if found.returncode == 0 and found.stdout != "kserve":
        return None
    if REAL:
        pytest.fail("KServe is not installed, and LOOPWRIGHT_E2E=kserve")
    kubectl("apply", "-f", str(STAND_IN / "kserve_crds.yaml"))
    kubectl("wait", "--for=condition=Established", f"crd/{name}", "--timeout=60s")
    command = [sys.executable, str(STAND_IN / "kserve.py"), "--namespace", namespace, "--gateway", GATEWAY]
    command += ["--initializer", f"loopwright/trigger:{TAG}"]
    return subprocess.Popen(command, text=True)


@pytest.fixture(scope="module")
def service(
    gateway_address: str, bundles: dict[str, tuple[Path, str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Version 1 of the small loop, served."""
    tests = module(ROOT / "tests" / "conftest.py")
    name = f"loopwright-rollouts-{time.time_ns() % 10**8}"
    home = MODELS / name
    home.mkdir(parents=True)
    for path in (MODELS, home):
        path.chmod(0o755)
    folder = tmp_path_factory.mktemp("loop")
    made = Service(name, gateway_address, folder, tests.DECLARATION, bundles)
    made.environment = {
        "LOOPWRIGHT_GATEWAY": "kserve",
        "LOOPWRIGHT_NAMESPACE": name,
        "LOOPWRIGHT_TOKEN": TOKEN,
    }
    (folder / "loop.yaml").write_text(tests.DECLARATION + serving("canary"))
    shutil.copytree(bundles["good"][0], home / "1")
    kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": _place(name, home)}))
    made.stand_in = _stand_in(name)
    try:
        _deploy(folder, name, bundles["good"][1])
        yield made
    finally:
        kubectl("delete", "namespace", name, "--wait=false")
        kubectl("delete", "persistentvolume", name, "--wait=false")
        if made.stand_in is not None:
            made.stand_in.terminate()
            made.stand_in.wait(30)
        shutil.rmtree(home)


def _place(name: str, home: Path) -> list[dict[str, Any]]:
    """A restricted namespace with the token and the models."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    volume = {"accessModes": ["ReadOnlyMany"], "storageClassName": "", "volumeName": name}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}},
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "loopwright", "namespace": name},
            "stringData": {"token": TOKEN},
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name},
            "spec": {
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadOnlyMany"],
                "storageClassName": "",
                "claimRef": {"namespace": name, "name": "small-models"},
                "hostPath": {"path": str(home)},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "small-models", "namespace": name},
            "spec": volume | {"resources": {"requests": {"storage": "1Gi"}}},
        },
    ]


def _deploy(folder: Path, namespace: str, digest: str) -> None:
    from loopwright import declaration
    from loopwright.rollout import kserve
    from loopwright.rollout.kserve.deploy import deploy

    said: list[str] = []
    cluster = kserve.connect(namespace)
    deploy(declaration.load(folder), 1, digest, cluster, said.append, timeout_s=120)


# An installation a module: rollouts of one leave another champion than the next expects.
@pytest.fixture(scope="module")
def house(gateway_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The whole product on the cluster (house.py), with version 1 of the example churn serving."""
    if shutil.which("helm") is None:
        missing("helm is not on PATH")
    crd = ["kubectl", "get", "crd", "workflowtemplates.argoproj.io"]
    if subprocess.run(crd, capture_output=True, timeout=60).returncode != 0:
        missing("Argo Workflows is not on this cluster")
    houses = module(Path(__file__).with_name("house.py"))
    there = kubectl("get", "nodes", "-o", "jsonpath={.items[*].status.images[*].names[*]}").split()
    for images in houses.IMAGES:
        if not any(one in there for one in images):
            missing(f"no node has {' or '.join(images)}; `make images` and tests/e2e/images/build make them")
    with houses.installed(gateway_address, tmp_path_factory.mktemp("house")) as made:
        yield made
