"""The examples are no packages: their modules are loaded from their files."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

CHURN = Path(__file__).parents[3] / "examples" / "churn"


@pytest.fixture(scope="session")
def churn_folder() -> Path:
    return CHURN


@pytest.fixture(scope="session")
def churn() -> Callable[[str], ModuleType]:
    """A module of the churn example by its name."""

    def load(name: str) -> ModuleType:
        full = f"churn_example_{name}"
        if full not in sys.modules:
            spec = importlib.util.spec_from_file_location(full, CHURN / f"{name}.py")
            assert spec is not None
            assert spec.loader is not None
            sys.modules[full] = module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        return sys.modules[full]

    return load
