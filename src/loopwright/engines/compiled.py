"""Where the compiled pipelines are, which Kubeflow Pipelines is given."""

from pathlib import Path


def pipeline(name: str) -> Path:
    """The compiled pipeline: in the wheel, or at the root of the checkout."""
    package = Path(__file__).parent.parent
    packed = package / "_pipelines" / f"{name}.yaml"
    return packed if packed.exists() else package.parent.parent / "pipelines" / f"{name}.yaml"
