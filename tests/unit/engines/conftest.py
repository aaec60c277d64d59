import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

STAND_IN = Path(__file__).parents[2] / "standins" / "kfp.py"


@pytest.fixture(scope="session")
def stand_in() -> ModuleType:
    """The module of the stand-in of Kubeflow Pipelines' API; tests are no package, so it is loaded by its path."""
    spec = importlib.util.spec_from_file_location("kfp_stand_in", STAND_IN)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def backend(stand_in: ModuleType) -> Iterator[Any]:
    """A stand-in of Kubeflow Pipelines that listens."""
    backend = stand_in.Backend().start()
    yield backend
    backend.stop()
