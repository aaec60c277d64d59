import pytest
import yaml

from loopwright import declaration
from loopwright.errors import DeclarationError
from loopwright.loop import Loop
from loopwright.serving.resources import names, pods, service, steps
from loopwright.serving.resources.steps import Change

DECLARATION = """
apiVersion: loopwright/v1
kind: Loop
metadata: {name: churn}
data: {source: churn.csv, label: {column: churned}, contract: {age: {type: integer}}}
model: {task: classification}
serving: """


def loop(serving: str = "{}") -> Loop:
    return declaration.parse(f"{DECLARATION}{serving}\n", "loop.yaml")


@pytest.mark.parametrize(
    ("models", "uri"),
    [
        ("", "pvc://churn-models/3"),
        ("pvc://shared/churn/", "pvc://shared/churn/3"),
        ("s3://bucket/models/churn", "s3://bucket/models/churn/3"),
    ],
)
def test_a_version_lies_in_a_folder_of_its_own(models: str, uri: str) -> None:
    found = service.inference_service(loop(f"{{models: '{models}'}}"), 3, "d3")
    model = found["spec"]["predictor"]["model"]
    assert model["storageUri"] == uri
    assert model["args"] == ["--name=churn", "--version=3", "--digest=d3"]


@pytest.mark.parametrize(
    ("serving", "message"),
    [
        ("{models: /var/models}", "is no place of models: s3://bucket/prefix"),
        ("{models: 's3://bucket/{version}'}", "without {version}"),
        ("{replicas: {min: 3, max: 2}}", "max is 2, below min, which is 3"),
        ("{replicas: {min: 0}}", "greater than or equal to 1"),
        ("{resources: {predictor: {requests: {cpu: lots}}}}", "no Kubernetes quantity"),
        ("{gateway: gateway}", "gateway"),
        ("{host: 'http://churn'}", "is no host name"),
        ("{max_unavailable: 0}", "no node could be drained"),
        ("{mode: serverless}", "mode"),
        ("{replica: 3}", "replica"),
        ("{images: {tag: 'a b'}}", "tag"),
    ],
)
def test_what_cannot_be_served_is_said_at_the_declaration(serving: str, message: str) -> None:
    with pytest.raises(DeclarationError, match=message.replace("{", r"\{").replace("}", r"\}")):
        loop(serving)


def test_a_fixed_number_of_pods_has_no_autoscaler() -> None:
    found = service.inference_service(loop("{replicas: {min: 2}}"), 1)
    assert found["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] == "none"
    assert {key: value for key, value in found["spec"]["predictor"].items() if "plicas" in key} == {"minReplicas": 2}


def test_an_autoscaler_has_its_bounds_and_its_aim() -> None:
    found = service.inference_service(loop("{replicas: {min: 2, max: 9}, autoscaling: {target: 60}}"), 1)
    predictor = found["spec"]["predictor"]
    assert found["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] == "hpa"
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (2, 9)
    assert (predictor["scaleMetric"], predictor["scaleTarget"]) == ("cpu", 60)


def test_a_budget_and_a_pod_monitor_are_made_where_they_are_declared() -> None:
    plain = ["servingruntime.yaml", "loop.yaml", "inferenceservice.yaml"]
    assert list(service.manifests(loop(), 1)) == plain
    more = service.manifests(loop("{replicas: {min: 2}, max_unavailable: 50%, scrape: podmonitor}"), 1)
    assert list(more) == [*plain, "poddisruptionbudget.yaml", "podmonitor.yaml"]
    assert more["poddisruptionbudget.yaml"]["spec"]["maxUnavailable"] == "50%"
    assert [one["port"] for one in more["podmonitor.yaml"]["spec"]["podMetricsEndpoints"]] == ["http1", "monitor"]


def test_nodes_are_chosen_as_declared() -> None:
    chosen = "{node_selector: {pool: cpu}, tolerations: [{key: dedicated, value: models}], service_account: reader}"
    predictor = service.inference_service(loop(chosen), 1)["spec"]["predictor"]
    assert predictor["nodeSelector"] == {"pool": "cpu"}
    assert predictor["tolerations"] == [{"key": "dedicated", "operator": "Equal", "value": "models"}]
    assert predictor["serviceAccountName"] == "reader"


@pytest.mark.parametrize(
    ("images", "image"),
    [
        ("{tag: 1.2.3}", "loopwright/predictor:1.2.3"),
        ("{predictor: registry:5000/predictor, tag: 1.2.3}", "registry:5000/predictor:1.2.3"),
        ("{predictor: 'mirror/predictor:9', tag: 1.2.3}", "mirror/predictor:9"),
        ("{predictor: mirror/predictor@sha256:abc}", "mirror/predictor@sha256:abc"),
    ],
)
def test_an_image_keeps_a_tag_of_its_own(images: str, image: str) -> None:
    assert loop(f"{{images: {images}}}").serving.images.of("predictor") == image


def test_grpc_has_a_port_that_kserve_routes_in_standard_mode_only() -> None:
    ports = [
        [one["name"] for one in service.manifests(loop(f"{{mode: {mode}}}"), 1)["servingruntime.yaml"]["spec"][
            "containers"][0]["ports"]]
        for mode in ("standard", "knative")
    ]  # fmt: skip
    assert ports == [["http1", "grpc"], ["http1"]]


def test_knative_s_canary_is_the_next_revision_of_one_service() -> None:
    change = Change(loop("{mode: knative}"), 1, 2)
    files = steps.steps(change, "canary")
    shares = [one.content["spec"]["predictor"].get("canaryTrafficPercent") for one in files]
    assert shares == [0, 5, 25, 50, None, None]
    assert all("name" not in one.content["spec"]["predictor"] for one in files)
    assert steps.steps(change, "shadow") == []


@pytest.mark.parametrize("strategy", steps.STRATEGIES)
def test_the_order_of_the_files_is_the_order_of_their_names(strategy: str) -> None:
    files = [one.name for one in steps.steps(Change(loop(), 1, 2), strategy)]
    assert files == sorted(files)


def test_a_file_is_yaml_below_its_comment() -> None:
    step = steps.steps(Change(loop(), 1, 2), "canary")[0]
    assert yaml.safe_load(step.text(loop(), "x")) == step.content


@pytest.mark.parametrize(("name", "version"), [("v7", 7), ("v0", None), ("vx", None), ("", None), (None, None)])
def test_only_names_that_loopwright_gives_are_versions(name: str | None, version: int | None) -> None:
    assert names.version(name) == version


def test_the_monitor_is_given_the_keys_of_its_bucket_and_of_no_other() -> None:
    def names(archive: str) -> list[str]:
        environment = pods.monitor(loop(f"{{}}\nmonitor: {{archive: {{url: '{archive}'}}}}"))["env"]
        assert all(one["valueFrom"]["secretKeyRef"]["optional"] for one in environment[1:])
        return [one["name"] for one in environment]

    assert names("s3://events/live")[1:3] == ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
    assert names("gs://events/live") == ["LOOPWRIGHT_TOKEN", "GOOGLE_SERVICE_ACCOUNT_KEY"]
    for local in ("kept", "file:///var/kept"):
        with pytest.raises(DeclarationError, match="every pod would have for itself and lose"):
            names(local)
