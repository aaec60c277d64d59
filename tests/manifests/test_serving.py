"""The KServe manifests of the churn example, and the four strategies' steps."""

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SERVING = ROOT / "serving"


def manifest(name: str) -> Any:
    return yaml.safe_load((SERVING / name).read_text())


def test_the_folder_is_as_generated(load: Any) -> None:
    texts = load("serving/generate.py").rendered()
    for name, text in texts.items():
        assert (SERVING / name).read_text() == text, f"serving/{name} differs; run `python serving/generate.py`"
    kinds = ("*.yaml", "*.yml", "*.tmpl")
    there = {str(path.relative_to(SERVING)) for kind in kinds for path in SERVING.rglob(kind)}
    assert there == {*texts, "loop.yaml"}


@pytest.mark.parametrize("strategy", ["canary", "blue-green", "ab", "shadow"])
def test_every_step_names_the_command_that_applies_it(strategy: str) -> None:
    for path in sorted((SERVING / strategy).glob("*.yaml")):
        head = "".join(line for line in path.read_text().splitlines(keepends=True) if line.startswith("#"))
        verb = "apply -f" if "kind" in manifest(f"{strategy}/{path.name}") else "--type merge --patch-file"
        assert f"{verb} serving/{strategy}/{path.name}\n" in head


def test_a_switch_and_its_way_back_keep_both_versions_under_their_names() -> None:
    switch, back = (manifest(f"blue-green/{name}.yaml")["spec"] for name in ("30-switch", "40-restore"))
    for spec, first, second in ((switch, "v2", "v1"), (back, "v1", "v2")):
        assert spec["predictor"]["name"] == first
        assert [(one["trafficPercent"], one["predictor"]["name"]) for one in spec["canary"]] == [(0, second)]
        # Without pods there is no way back.
        assert spec["canary"][0]["predictor"]["minReplicas"] == 1


@pytest.mark.parametrize("name", ["ab/20-split.yaml", "shadow/20-mirror.yaml"])
def test_own_rules_take_precedence_over_kserve_s(name: str) -> None:
    kserve = {"^/.*$", r"^/inference\.GRPCInferenceService/.*$"}
    own = {match["path"]["value"] for rule in manifest(name)["spec"]["rules"] for match in rule["matches"]}
    # A gateway orders rules of one host name by the length of the path first.
    assert sorted(map(len, own)) == sorted(len(path) + 2 for path in kserve)
    assert {path.replace("(", "").replace(")", "") for path in own} == kserve


def test_a_split_sets_the_cookie_by_which_a_caller_stays() -> None:
    rules = manifest("ab/20-split.yaml")["spec"]["rules"]
    first = next(rule for rule in rules if "headers" not in rule["matches"][0])
    assert [one["weight"] for one in first["backendRefs"]] == [50, 50]
    for one, version in zip(first["backendRefs"], ("1", "2"), strict=True):
        added = one["filters"][0]["responseHeaderModifier"]["add"]
        assert added == [{"name": "Set-Cookie", "value": f"loopwright-churn={version}; Path=/; HttpOnly; SameSite=Lax"}]
        assert one["name"] == f"churn-v{version}-predictor"


def test_a_mirror_s_answers_come_from_the_champion() -> None:
    for rule in manifest("shadow/20-mirror.yaml")["spec"]["rules"]:
        assert [one["name"] for one in rule["backendRefs"]] == ["churn-v1-predictor"]
        assert rule["filters"][0]["requestMirror"]["backendRef"]["name"] == "churn-v2-predictor"
