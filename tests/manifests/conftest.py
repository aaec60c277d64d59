"""Rendering the chart and the kustomizations, and reading what came out."""

import importlib.util
import shutil
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "loopwright"

Objects = dict[tuple[str, str], dict[str, Any]]


def run(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT)


def objects(text: str) -> Objects:
    """The objects in YAML, by kind and name."""
    return {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(text) if one}


class Helm:
    """`helm template` of the chart, as release `loopwright` in the namespace `somewhere`."""

    def __init__(self, binary: str) -> None:
        self.binary = binary

    def try_template(self, *arguments: str, release: str = "loopwright") -> "subprocess.CompletedProcess[str]":
        return run(self.binary, "template", release, str(CHART), "--namespace", "somewhere", *arguments)

    def template(self, *arguments: str, release: str = "loopwright") -> Objects:
        # `helm test`'s pod is a hook, no part of what is installed.
        answer = self.try_template("--skip-tests", *arguments, release=release)
        assert answer.returncode == 0, answer.stderr
        return objects(answer.stdout)


@pytest.fixture(scope="session")
def helm() -> Helm:
    found = shutil.which("helm")
    if found is None:
        pytest.skip("helm is not on PATH")
    return Helm(found)


@pytest.fixture(scope="session")
def kubectl() -> str:
    found = shutil.which("kubectl")
    if found is None:
        pytest.skip("kubectl is not on PATH")
    return found


@pytest.fixture(scope="session")
def kustomize(kubectl: str) -> Any:
    """The objects of a kustomization."""

    def build(folder: str) -> Objects:
        answer = run(kubectl, "kustomize", str(ROOT / "manifests" / folder))
        assert answer.returncode == 0, answer.stderr
        assert "deprecated" not in answer.stderr, answer.stderr
        return objects(answer.stdout)

    return build


@pytest.fixture(scope="session")
def load() -> Any:
    """A script of the repository, by its path there, as a module."""

    def module(path: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
        assert spec is not None
        assert spec.loader is not None
        made = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(made)
        return made

    return module
