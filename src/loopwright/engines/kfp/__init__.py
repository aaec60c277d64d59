"""The engine for Kubeflow Pipelines: the compiled pipeline, bound to a cluster, uploaded, run and followed there."""

from loopwright.engines.kfp.engine import KfpEngine
from loopwright.engines.kfp.options import Options, read
from loopwright.engines.kfp.outcomes import LedgerOutcomes, Outcomes

__all__ = ["KfpEngine", "LedgerOutcomes", "Options", "Outcomes", "read"]
