"""Compile every component and pipeline into the YAML beside its definition: `python -m pipelines.compile`."""

from pathlib import Path

import components
from kfp import compiler

from pipelines.scoring import scoring
from pipelines.training import training

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Write components/*.yaml and pipelines/*.yaml."""
    for name in components.__all__:
        compiler.Compiler().compile(getattr(components, name), str(ROOT / "components" / f"{name}.yaml"))
    for pipeline in (scoring, training):
        compiler.Compiler().compile(pipeline, str(ROOT / "pipelines" / f"{pipeline.name}.yaml"))


if __name__ == "__main__":
    main()
