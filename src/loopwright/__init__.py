"""Loopwright closes the machine-learning loop on Kubeflow Pipelines and KServe."""

__version__ = "0.1.0"

__all__ = ["__version__"]
