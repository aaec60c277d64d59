"""A stand-in of KServe's controller for the end-to-end tests of rollouts, where KServe itself cannot be installed.

It copies what KServe's own controller (0.21, Standard mode, Gateway API) was seen to do, on the same kind of cluster
and behind the same Envoy Gateway:

- A predictor named v1 of the InferenceService churn becomes the Deployment and Service `churn-v1-predictor`. The
  container of the ServingRuntime comes first, with the model's arguments after its own; the containers beside `model:`
  follow. Annotations and labels of the InferenceService go onto the pods, so changing one restarts them.
- The Service has port 80 for the container's first port. A further port keeps its number, and one named grpc has the
  application protocol h2c and a rule of its own on the routes.
- An entry of `spec.canary` is the stable predictor with the entry merged over it. It is on the routes once its
  Deployment has an available replica, with its percentage; until then the stable one has 100.
- Deployments and Services that nothing names any more are deleted before the routes are written.
- The routes `churn` and `churn-predictor` are written only while the stable Deployment is available. What somebody
  else changes in them is changed back.
- With a canary that is ready, the stable Deployment is made smaller by the canary's replicas, to not less than one.

- A claim is mounted at /mnt/models. What lies in a bucket an init container copies there, with the endpoint and the
  credentials of the Secret that the pod's service account names; it runs from an image of ours that reads buckets.

It does not do more: no webhooks (the resource's own rules in kserve_crds.yaml refuse the same weights), no autoscalers,
no storage but `pvc://` and `s3://`, no Knative mode. It looks again every quarter of a second instead of watching, and
keeps no state, so that it can be stopped and started at any time as the real one can.
"""

import argparse
import json
import math
import sys
import threading
from datetime import UTC, datetime
from typing import Any

from kubernetes import client, config
from urllib3.exceptions import HTTPError

Object = dict[str, Any]
LABEL = "serving.kserve.io/inferenceservice"
PERIOD = 0.25
MOUNT = "/mnt/models"
STORE = "serving.kserve.io/s3"
ENDPOINT = f"{STORE}-endpoint"
FETCH = """
import sys
from pathlib import Path
from loopwright import buckets
uri, folder = sys.argv[1], Path(sys.argv[2])
store, count = buckets.connect(uri), 0
for page in store.list():
    for one in page:
        path = folder / one["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(store.get(one["path"]).bytes())
        count += 1
sys.exit(None if count else f"there is nothing at {uri}")
"""
# The fields of a predictor that are KServe's; the others are those of a pod.
OWN = {
    *("name", "model", "minReplicas", "maxReplicas", "scaleTarget", "scaleMetric", "autoScaling", "containers"),
    *("canaryTrafficPercent", "containerConcurrency", "timeout", "logger", "batcher", "labels", "annotations"),
    *("deploymentStrategy", "volumes"),
}


class KServe:
    """The controller of one namespace."""

    def __init__(self, api: client.ApiClient, namespace: str, gateway: str, domain: str, image: str) -> None:
        self._api, self._namespace, self._gateway, self._domain = api, namespace, gateway, domain
        self._image = image

    def run(self, stop: threading.Event) -> None:
        """Reconcile until told to stop; what fails is said and tried again."""
        while not stop.is_set():
            try:
                for service in self._get("serving.kserve.io/v1beta1", "inferenceservices")["items"]:
                    if "deletionTimestamp" not in service["metadata"]:
                        self.reconcile(service)
            except (client.ApiException, HTTPError) as error:
                print(f"kserve stand-in: {error}", file=sys.stderr, flush=True)
            stop.wait(PERIOD)

    def reconcile(self, service: Object) -> None:
        """Bring what belongs to one InferenceService to what it says."""
        stable, canaries = service["spec"]["predictor"], service["spec"].get("canary") or []
        statuses = []
        for canary in canaries:
            predictor = merged(stable, canary["predictor"])
            predictor["minReplicas"] = replicas(stable, canary)
            deployment = self._predictor(service, predictor, predictor["minReplicas"])
            percent, ready = canary.get("trafficPercent", 0), available(deployment)
            statuses.append({"name": predictor["name"], "ready": ready, "trafficPercent": percent})
        self._sweep(service, {workload(service, one) for one in (stable, *(one["predictor"] for one in canaries))})
        ready_canaries = [canary for canary, status in zip(canaries, statuses, strict=True) if status["ready"]]
        count = stable.get("minReplicas", 1)
        if ready_canaries:
            count = max(count - sum(replicas(stable, canary) for canary in ready_canaries), 1)
        serves = available(self._predictor(service, stable, count))
        routed = serves and self._routes(service, ready_canaries)
        self._status(service, serves, routed, statuses)

    def _predictor(self, service: Object, predictor: Object, count: int) -> Object:
        """The Deployment and the Service of one predictor; returns the Deployment."""
        name, meta = workload(service, predictor), service["metadata"]
        runtime = self._get("serving.kserve.io/v1alpha1", "servingruntimes", predictor["model"]["runtime"])
        labels = (meta.get("labels") or {}) | {"app": f"isvc.{name}", "component": "predictor", LABEL: meta["name"]}
        notes = (runtime["spec"].get("annotations") or {}) | {
            key: text for key, text in (meta.get("annotations") or {}).items() if "last-applied" not in key
        }
        pod = pod_spec(service, predictor, runtime)
        if (uri := predictor["model"].get("storageUri", "")).startswith("s3://"):
            pod = fetched(pod, uri, self._image, self._secret(predictor))
        about = self._about(service, name) | {"labels": labels, "annotations": notes}
        spec = {
            "replicas": count,
            "selector": {"matchLabels": {"app": labels["app"]}},
            "template": {"metadata": {"labels": labels, "annotations": notes}, "spec": pod},
        }
        first, *others = pod["containers"][0]["ports"]
        ports = [port(first, 80), *(port(one, one["containerPort"]) for one in others)]
        self._apply("v1", "Service", "services", about, {"selector": {"app": labels["app"]}, "ports": ports})
        return self._apply("apps/v1", "Deployment", "deployments", about, spec)

    def _sweep(self, service: Object, names: set[str]) -> None:
        selector = f"{LABEL}={service['metadata']['name']},component=predictor"
        for api, plural in (("apps/v1", "deployments"), ("v1", "services")):
            for one in self._get(api, plural, selector=selector)["items"]:
                if one["metadata"]["name"] not in names:
                    self._call("DELETE", api, plural, one["metadata"]["name"])

    def _routes(self, service: Object, canaries: list[Object]) -> bool:
        """Write both routes; returns whether the gateway has them."""
        name, stable = service["metadata"]["name"], workload(service, service["spec"]["predictor"])
        ports = self._get("v1", "services", stable)["spec"]["ports"]
        rest = next(one["port"] for one in ports if "grpc" not in one.get("name", ""))
        grpc = next((one["port"] for one in ports if "grpc" in one.get("name", "")), None)
        weights = [(stable, 100 - sum(canary.get("trafficPercent", 0) for canary in canaries))]
        weights += [(workload(service, canary["predictor"]), canary.get("trafficPercent", 0)) for canary in canaries]

        def rule(match: Object, number: int) -> Object:
            set_ = [
                {"name": "KServe-Isvc-Name", "value": name},
                {"name": "KServe-Isvc-Namespace", "value": self._namespace},
            ]
            backends = [
                {"kind": "Service", "name": backend, "namespace": self._namespace, "port": number}
                # Where no canary is declared there is one backend, of the default weight.
                | ({"weight": weight} if service["spec"].get("canary") else {})
                for backend, weight in weights
            ]
            filters = [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": set_}}]
            return {"matches": [match], "filters": filters, "backendRefs": backends, "timeouts": {"request": "60s"}}

        def path(value: str) -> Object:
            return {"path": {"type": "RegularExpression", "value": value}}

        rules = [rule(path("^/.*$"), rest)]
        if grpc is not None:
            typed = {"name": "content-type", "type": "RegularExpression", "value": "^application/grpc.*"}
            match = path(r"^/inference\.GRPCInferenceService/.*$") | {"headers": [typed]}
            rules.insert(0, rule(match, grpc))
        namespace, _, gateway = self._gateway.partition("/")
        parent = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": namespace, "name": gateway}
        accepted = True
        for route in (f"{name}-predictor", name):
            about = self._about(service, route) | {
                key: service["metadata"].get(key) or {} for key in ("labels", "annotations")
            }
            spec = {"hostnames": [self._host(route)], "parentRefs": [parent], "rules": rules}
            made = self._apply("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes", about, spec)
            parents = made.get("status", {}).get("parents", [])
            accepted = accepted and bool(parents)
            accepted = accepted and all(one["status"] == "True" for it in parents for one in it["conditions"])
        return accepted

    def _status(self, service: Object, serves: bool, routed: bool, canaries: list[Object]) -> None:
        old = {one["type"]: one for one in service.get("status", {}).get("conditions", [])}
        wanted = {"PredictorReady": serves, "IngressReady": routed, "Ready": serves and routed}
        if canaries:
            wanted["CanaryPredictorReady"] = all(one["ready"] for one in canaries)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        conditions = []
        for kind, holds in sorted(wanted.items()):
            one = {"type": kind, "status": str(holds), "lastTransitionTime": now}
            same = kind in old and old[kind]["status"] == one["status"]
            conditions.append(old[kind] if same else one)
        state = "Loaded" if serves else "Loading"
        name, stable = service["metadata"]["name"], workload(service, service["spec"]["predictor"])
        status = {
            "conditions": conditions,
            "canaryStatuses": canaries or None,
            "deploymentMode": "Standard",
            "observedGeneration": service["metadata"]["generation"],
            "modelStatus": {
                "states": {"activeModelState": state if serves else "", "targetModelState": state},
                "transitionStatus": "UpToDate" if serves else "InProgress",
            },
        }
        if routed:
            status["url"] = f"http://{self._host(name)}"
            status["address"] = {"url": f"http://{stable}.{self._namespace}.svc.cluster.local"}
        before = service.get("status", {})
        if any(before.get(key) != value for key, value in status.items()):
            where = ("serving.kserve.io/v1beta1", "inferenceservices", f"{name}/status")
            self._call("PATCH", *where, body={"status": status}, media="application/merge-patch+json")

    def _secret(self, predictor: Object) -> Object:
        """The Secret with the store's endpoint, of the predictor's service account."""
        account = self._get("v1", "serviceaccounts", predictor["serviceAccountName"])
        secrets = [self._get("v1", "secrets", one["name"]) for one in account.get("secrets", [])]
        return next(one for one in secrets if ENDPOINT in (one["metadata"].get("annotations") or {}))

    def _about(self, service: Object, name: str) -> Object:
        owner = {
            "apiVersion": service["apiVersion"],
            "kind": service["kind"],
            "name": service["metadata"]["name"],
            "uid": service["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
        return {"name": name, "namespace": self._namespace, "ownerReferences": [owner]}

    def _host(self, name: str) -> str:
        return f"{name}-{self._namespace}.{self._domain}"

    def _get(self, api: str, plural: str, name: str = "", selector: str = "") -> Object:
        return self._call("GET", api, plural, name, query=[("labelSelector", selector)] if selector else [])

    def _apply(self, api: str, kind: str, plural: str, about: Object, spec: Object) -> Object:
        body = {"apiVersion": api, "kind": kind, "metadata": about, "spec": spec}
        query = [("fieldManager", "kserve-stand-in"), ("force", "true")]
        return self._call(
            "PATCH", api, plural, about["name"], body=body, query=query, media="application/apply-patch+yaml"
        )

    def _call(
        self,
        method: str,
        api: str,
        plural: str,
        name: str = "",
        *,
        body: Object | None = None,
        query: Any = (),
        media: str = "application/json",
    ) -> Object:
        root = f"/apis/{api}" if "/" in api else f"/api/{api}"
        path = f"{root}/namespaces/{self._namespace}/{plural}" + (f"/{name}" if name else "")
        answer = self._api.call_api(
            path,
            method,
            query_params=list(query),
            header_params={"Accept": "application/json", "Content-Type": media},
            body=body,
            auth_settings=["BearerToken"],
            _preload_content=False,
            _return_http_data_only=True,
            _request_timeout=15,
        )
        found: Object = json.loads(answer.data)
        return found


def workload(service: Object, predictor: Object) -> str:
    """What the Deployment and the Service of a predictor are called."""
    name = predictor.get("name")
    return "-".join(part for part in (service["metadata"]["name"], name, "predictor") if part)


def replicas(stable: Object, canary: Object) -> int:
    """A canary's pods: as declared, or the percentage of the stable predictor's, rounded up: none at 0 %."""
    declared = canary["predictor"].get("minReplicas")
    if declared is not None:
        return int(declared)
    return math.ceil(stable.get("minReplicas", 1) * canary.get("trafficPercent", 0) / 100)


def merged(below: Any, above: Any) -> Any:
    """`above` laid over `below`: mappings are merged, everything else is replaced."""
    if isinstance(below, dict) and isinstance(above, dict):
        return below | {key: merged(below.get(key), value) for key, value in above.items()}
    return below if above is None else above


def available(deployment: Object) -> bool:
    """Whether a Deployment has an available replica."""
    return bool(deployment.get("status", {}).get("availableReplicas"))


def port(container: Object, number: int) -> Object:
    """The Service's port of a container's port."""
    name = container.get("name", "")
    made = {"name": name, "port": number, "targetPort": container["containerPort"], "protocol": "TCP"}
    return made | ({"appProtocol": "kubernetes.io/h2c"} if "grpc" in name else {})


def pod_spec(service: Object, predictor: Object, runtime: Object) -> Object:
    """The pod of a predictor: the runtime's container with the model's arguments, then the predictor's others."""
    model = predictor["model"]
    variables = [{"name": "INFERENCE_SERVICE_NAME", "value": service["metadata"]["name"]}]
    server, *beside = (dict(one) for one in runtime["spec"]["containers"])
    server["args"] = [*server.get("args", []), *model.get("args", [])]
    volumes = [*runtime["spec"].get("volumes", []), *predictor.get("volumes", [])]
    uri = model.get("storageUri", "")
    if uri.startswith("pvc://"):
        claim, _, folder = uri.removeprefix("pvc://").partition("/")
        volumes.append({"name": "kserve-pvc-source", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}})
        mount = {"name": "kserve-pvc-source", "mountPath": MOUNT, "subPath": folder, "readOnly": True}
        server["volumeMounts"] = [*server.get("volumeMounts", []), mount]
    containers = [server, *beside, *(dict(one) for one in predictor.get("containers", []))]
    for container in containers:
        container["env"] = [*container.get("env", []), *variables]
    pod = {key: value for key, value in predictor.items() if key not in OWN}
    return pod | {"containers": containers, "volumes": volumes}


def fetched(pod: Object, uri: str, image: str, secret: Object) -> Object:
    """The pod with an init container that copies the model from its bucket to where the server reads it."""
    server, *beside = pod["containers"]
    notes, name = secret["metadata"]["annotations"], secret["metadata"]["name"]
    scheme = "https" if notes.get(f"{STORE}-usehttps", "1") == "1" else "http"
    plain = {
        "AWS_ENDPOINT_URL": f"{scheme}://{notes[ENDPOINT]}",
        "AWS_REGION": notes.get(f"{STORE}-region", "us-east-1"),
    }
    keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    env = [{"name": key, "value": text} for key, text in plain.items()]
    env += [{"name": key, "valueFrom": {"secretKeyRef": {"name": name, "key": key}}} for key in keys]
    mount = {"name": "kserve-provision-location", "mountPath": MOUNT}
    initializer = {
        "name": "storage-initializer",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", FETCH],
        "args": [uri, MOUNT],
        "env": env,
        "volumeMounts": [mount],
        "securityContext": server["securityContext"],
    }
    server = server | {"volumeMounts": [*server.get("volumeMounts", []), mount | {"readOnly": True}]}
    volumes = [*pod["volumes"], {"name": mount["name"], "emptyDir": {}}]
    return pod | {"initContainers": [initializer], "containers": [server, *beside], "volumes": volumes}


def main() -> None:
    parser = argparse.ArgumentParser(description="A stand-in of KServe's controller for one namespace.")
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--gateway", default="envoy-gateway-system/gateway")
    parser.add_argument("--domain", default="example.com")
    parser.add_argument("--initializer", default="loopwright/trigger:0.1.0", help="an image of ours that reads buckets")
    options = parser.parse_args()
    config.load_kube_config()
    with client.ApiClient() as api:
        KServe(api, options.namespace, options.gateway, options.domain, options.initializer).run(threading.Event())


if __name__ == "__main__":
    main()
