"""The chart's parts beside the trigger: built-in services, jobs, monitors, a loop from Git, `helm test`."""

import base64
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from loopwright import declaration
from loopwright.serving.resources.service import pod_monitor

ROOT = Path(__file__).parents[2]
BUILTIN = "builtin.enabled=true"
EVERYTHING = (
    f"{BUILTIN},persistence.enabled=true,networkPolicy.enabled=true,jobs.report.enabled=true,jobs.labels.enabled=true,"
    "jobs.labels.source=/loop/data/outcomes.parquet"
)
SERVICES = {"loopwright-postgresql": 5432, "loopwright-mlflow": 5000, "loopwright-object-store": 9000}


def decoded(secret: Any) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}


def variables(container: Any) -> dict[str, Any]:
    return {one["name"]: one for one in container["env"]}


def containers(objects: Any) -> dict[str, Any]:
    """Every container of what runs, with its pod's spec."""
    found = {}
    for (kind, name), one in objects.items():
        spec = one.get("spec", {})
        pod = (
            spec["template"]["spec"]
            if kind == "Deployment"
            else spec["jobTemplate"]["spec"]["template"]["spec"]
            if kind == "CronJob"
            else spec
            if kind == "Pod"
            else None
        )
        for container in [] if pod is None else [*pod.get("initContainers", []), *pod["containers"]]:
            found[f"{name}/{container['name']}"] = (container, pod)
    return found


def test_one_value_brings_postgresql_mlflow_and_a_store_and_the_trigger_uses_them(helm: Any) -> None:
    objects = helm.template("--set", BUILTIN)
    for name, port in SERVICES.items():
        service = objects["Service", name]["spec"]
        assert service["ports"][0]["port"] == port
        labels = objects["Deployment", name]["spec"]["template"]["metadata"]["labels"]
        assert service["selector"] == labels
    urls = decoded(objects["Secret", "loopwright-postgresql"])
    assert len(urls["password"]) == 40
    assert urls["ledger-url"] == (
        f"postgresql+pg8000://loopwright:{urls['password']}@loopwright-postgresql.somewhere.svc:5432/loopwright"
    )
    assert urls["registry-uri"] == "http://loopwright-mlflow.somewhere.svc:5000"
    trigger, _ = containers(objects)["loopwright-trigger/trigger"]
    env = variables(trigger)
    for name in ("LEDGER_URL", "REGISTRY_URI"):
        assert env[f"LOOPWRIGHT_{name}"]["valueFrom"]["secretKeyRef"]["name"] == "loopwright-postgresql"
    assert env["AWS_ENDPOINT_URL"]["value"] == "http://loopwright-object-store:9000"
    assert env["AWS_ACCESS_KEY_ID"]["valueFrom"]["secretKeyRef"]["name"] == "loopwright-object-store"


def test_predictors_fetch_models_from_the_built_in_store(helm: Any) -> None:
    objects = helm.template("--set", BUILTIN)
    assert objects["ServiceAccount", "loopwright-models"]["secrets"] == [{"name": "loopwright-object-store"}]
    annotations = objects["Secret", "loopwright-object-store"]["metadata"]["annotations"]
    assert annotations["serving.kserve.io/s3-endpoint"] == "loopwright-object-store:9000"
    assert annotations["serving.kserve.io/s3-usehttps"] == "0"


def test_your_own_store_is_named_by_url_and_secret(helm: Any) -> None:
    values = "objectStore.endpoint=https://s3.example,objectStore.existingSecret=keys,rollouts.enabled=true"
    objects = helm.template("--set", f"{values},prometheusUrl=http://prometheus:9090")
    trigger, _ = containers(objects)["loopwright-trigger/trigger"]
    assert variables(trigger)["AWS_ENDPOINT_URL"]["value"] == "https://s3.example"
    template = objects["WorkflowTemplate", "loopwright-rollout"]
    rollout = next(one for one in template["spec"]["templates"] if one["name"] == "take-live")["container"]
    assert variables(rollout)["AWS_SECRET_ACCESS_KEY"]["valueFrom"]["secretKeyRef"]["name"] == "keys"
    assert decoded(objects["Secret", "loopwright"])["prometheus-url"] == "http://prometheus:9090"


def test_what_is_kept_is_kept_with_its_passwords_unless_told(helm: Any) -> None:
    def kept(*arguments: str) -> set[tuple[str, str]]:
        objects = helm.template("--set", f"{BUILTIN},persistence.enabled=true", *arguments)
        return {
            key
            for key, one in objects.items()
            if (one["metadata"].get("annotations") or {}).get("helm.sh/resource-policy") == "keep"
        }

    claims = {("PersistentVolumeClaim", name) for name in ("loopwright-state", *SERVICES)}
    secrets = {("Secret", "loopwright-postgresql"), ("Secret", "loopwright-object-store")}
    assert kept() == claims | secrets
    assert kept("--set", "persistence.keep=false") == set()


def test_every_container_is_restricted_read_only_and_bounded(helm: Any) -> None:
    values = EVERYTHING.replace("builtin.enabled=true", "builtin.enabled=true,loop.git.repository=https://x/y")
    found = containers(helm.template("--set", values))
    assert len(found) == 13
    for name, (container, pod) in found.items():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert container["resources"]["requests"]
        assert container["resources"]["limits"]["memory"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes, name


def test_each_part_is_reached_by_who_needs_it(helm: Any) -> None:
    objects = helm.template("--set", EVERYTHING)
    policies = {name: one["spec"] for (kind, name), one in objects.items() if kind == "NetworkPolicy"}
    assert set(policies) == {"loopwright-trigger", "loopwright-jobs", *SERVICES}
    assert policies["loopwright-jobs"]["ingress"] == []
    ours = {"app.kubernetes.io/name": "loopwright", "app.kubernetes.io/instance": "loopwright"}
    for name, port in SERVICES.items():
        selected = policies[name]["podSelector"]["matchLabels"]
        assert selected == objects["Deployment", name]["spec"]["template"]["metadata"]["labels"]
        (rule,) = policies[name]["ingress"]
        assert rule["ports"] == [{"port": port, "protocol": "TCP"}]
        any_ = {"app.kubernetes.io/name": "loopwright"}
        from_ = {} if name.endswith("store") else {"matchLabels": any_}
        assert rule["from"] == [{"podSelector": from_}]
        assert policies[name]["policyTypes"] == ["Ingress", "Egress"]
        called = [{"podSelector": {"matchLabels": any_}}]
        assert [to["to"] for to in policies[name]["egress"] if "to" in to] == ([called] if "mlflow" in name else [])
        names = [{port["port"] for port in to["ports"]} for to in policies[name]["egress"] if "to" not in to]
        assert names == ([{53}] if "mlflow" in name else []), "nobody else but DNS"
    # The pods that call are ours by these labels.
    for name in ("loopwright-trigger", "loopwright-mlflow"):
        assert ours.items() <= objects["Deployment", name]["spec"]["template"]["metadata"]["labels"].items()
    job = objects["CronJob", "loopwright-report"]["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"]
    assert ours.items() <= job.items()


def test_jobs_run_the_command_with_the_trigger_s_settings(helm: Any) -> None:
    objects = helm.template(
        *("--set", EVERYTHING, "--set", "data.existingClaim=rows"),
        *("--set-json", 'jobs.more=[{"name": "retention", "schedule": "@daily", "args": ["events", "list", "/loop"]}]'),
    )
    args = {
        name: objects["CronJob", f"loopwright-{name}"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        for name in ("report", "labels", "retention")
    }
    assert args["report"]["containers"][0]["args"] == ["report", "/loop", "--to=/state/report.html"]
    assert args["retention"]["containers"][0]["args"] == ["events", "list", "/loop"]
    trigger, pod = containers(objects)["loopwright-trigger/trigger"]
    for spec in args.values():
        assert variables(spec["containers"][0]) == variables(trigger)
        assert spec["containers"][0]["image"] == trigger["image"]
        assert {one["name"]: one for one in spec["volumes"]} == {one["name"]: one for one in pod["volumes"]}


def test_the_arguments_of_the_jobs_are_the_command_s(helm: Any) -> None:
    from loopwright.cli.labels import join
    from loopwright.cli.report import report

    objects = helm.template("--set", EVERYTHING, "--set", "jobs.labels.query=SELECT 1,jobs.labels.arguments={--by=id}")
    for name, words, command in (("report", 1, report), ("labels", 2, join)):
        spec = objects["CronJob", f"loopwright-{name}"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        # Raises where an option is unknown, and for a value that it does not take.
        parameters = command.make_context(name, list(spec["containers"][0]["args"][words:])).params
        assert parameters["loop"] == "/loop"


def test_the_monitors_of_the_operator_select_what_there_is(helm: Any) -> None:
    values = "serviceMonitor.enabled=true,podMonitor.enabled=true,serviceMonitor.labels.release=stack"
    objects = helm.template("--set", values)
    monitor = objects["ServiceMonitor", "loopwright-trigger"]
    service = objects["Service", "loopwright-trigger"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
    assert monitor["metadata"]["labels"]["release"] == "stack"
    own = pod_monitor(declaration.load(ROOT / "examples" / "churn"))["spec"]
    made = objects["PodMonitor", "loopwright"]["spec"]
    assert made["selector"] == own["selector"]
    for endpoint in made["podMetricsEndpoints"]:
        assert endpoint.pop("interval") == "15s"
    assert made == own


def test_a_loop_from_git_is_checked_out_before_the_trigger_starts(helm: Any) -> None:
    values = "loop.git.repository=https://git.example/loops,loop.git.path=prices,loop.git.revision=v3"
    objects = helm.template("--set", f"{values},loop.git.existingSecret=git")
    assert ("ConfigMap", "loopwright-loop") not in objects
    trigger, pod = containers(objects)["loopwright-trigger/trigger"]
    assert trigger["args"][0] == "/loop"
    checkout, copy = pod["initContainers"]
    assert {"--repo=https://git.example/loops", "--ref=v3", "--one-time"} <= set(checkout["args"])
    assert variables(checkout)["GITSYNC_PASSWORD"]["valueFrom"]["secretKeyRef"] == {"name": "git", "key": "password"}
    assert copy["args"] == ["/git/loop/prices", "/loop"]
    assert {"name": "loop", "mountPath": "/loop"} in trigger["volumeMounts"]


def test_rows_on_a_claim_lie_where_a_relative_source_of_a_loop_from_git_looks(helm: Any) -> None:
    objects = helm.template("--set", "loop.git.repository=https://git.example/loops,data.existingClaim=rows")
    trigger, pod = containers(objects)["loopwright-trigger/trigger"]
    mounts = {mount["mountPath"]: mount["name"] for mount in trigger["volumeMounts"]}
    assert (mounts["/loop"], mounts["/loop/data"]) == ("loop", "data")
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["loop"] == {"name": "loop", "emptyDir": {}}
    assert volumes["data"]["persistentVolumeClaim"]["claimName"] == "rows"
    assert not mounts.get("/git"), "nothing can be mounted in a checkout, to which a link leads"


@pytest.mark.parametrize("path", [".", "prices"])
def test_the_copy_of_a_checkout_is_the_loop_s_folder(helm: Any, tmp_path: Path, path: str) -> None:
    """The command of the chart, by this machine's cp: git-sync's link leads to the checkout."""
    objects = helm.template("--set", f"loop.git.repository=https://git.example/loops,loop.git.path={path}")
    _, pod = containers(objects)["loopwright-trigger/trigger"]
    copy = pod["initContainers"][1]
    checkout = tmp_path / "git" / ".worktrees" / "abc" / ("" if path == "." else path)
    checkout.mkdir(parents=True)
    (checkout / "loop.yaml").write_text("kind: Loop\n")
    (checkout / "tables").mkdir()
    (tmp_path / "git" / ".worktrees" / "abc" / "shared.py").write_text("x = 1\n")
    (checkout / "tables" / "shared.py").symlink_to("../shared.py" if path == "." else "../../shared.py")
    (checkout / "nowhere").symlink_to("gone/for/long")
    (tmp_path / "git" / "loop").symlink_to(".worktrees/abc")
    (tmp_path / "loop").mkdir()
    command = [*copy["command"], *(f"{tmp_path}{argument}" for argument in copy["args"])]
    subprocess.run(command, check=True, timeout=60)
    assert (tmp_path / "loop" / "loop.yaml").read_text() == "kind: Loop\n"
    assert not (tmp_path / "loop" / "loop.yaml").is_symlink()
    assert (tmp_path / "loop" / "tables" / "shared.py").read_text() == "x = 1\n"
    assert not (tmp_path / "loop" / "tables" / "shared.py").is_symlink()
    assert not (tmp_path / "loop" / "nowhere").is_symlink()


@pytest.mark.parametrize("values", ["", EVERYTHING])
def test_helm_test_asks_the_trigger_with_its_own_settings(helm: Any, values: str) -> None:
    answer = helm.try_template(*(["--set", values] if values else []))
    assert answer.returncode == 0, answer.stderr
    objects = {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(answer.stdout) if one}
    pod = objects["Pod", "loopwright-test"]
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    container = pod["spec"]["containers"][0]
    assert container["args"][-1] == "--trigger=http://loopwright-trigger:8080"
    assert variables(container) == variables(containers(objects)["loopwright-trigger/trigger"][0])
    from loopwright.cli.doctor import doctor

    assert doctor.make_context("doctor", list(container["args"][1:])).params["places"] == "machine"


def test_a_job_that_runs_the_pipeline_beside_the_trigger_s_local_engine_is_refused(helm: Any) -> None:
    more = ("--set-json", 'jobs.more=[{"name": "nightly", "schedule": "@daily", "args": ["run", "/loop"]}]')
    answer = helm.try_template(*more)
    assert answer.returncode != 0
    assert 'jobs.more "nightly" starts `loopwright run` with engine=local' in answer.stderr
    argo = ("--set", "engine=argo,persistence.enabled=true", "--api-versions", "argoproj.io/v1alpha1/WorkflowTemplate")
    assert ("CronJob", "loopwright-nightly") in helm.template(*more, *argo)


@pytest.mark.parametrize(("revision", "given"), [("main", False), ("a" * 40, True)])
def test_a_commit_of_a_loop_from_git_is_the_revision_of_its_runs(helm: Any, revision: str, given: bool) -> None:
    source = f"loop.git.repository=https://example.org/loop.git,loop.git.revision={revision}"
    trigger, _ = containers(helm.template("--set", source))["loopwright-trigger/trigger"]
    assert variables(trigger).get("LOOPWRIGHT_REVISION", {}).get("value") == (revision if given else None)
