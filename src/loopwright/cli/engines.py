"""The engine that a command runs pipelines on: by its option, else by LOOPWRIGHT_ENGINE."""

from typing import TYPE_CHECKING

from loopwright.errors import RolloutError, RunError

if TYPE_CHECKING:
    from loopwright.engines.kfp import KfpEngine
    from loopwright.engines.protocol import Engine
    from loopwright.settings import Settings


def opened(settings: "Settings", name: str = "") -> "Engine":
    """The engine of this name, by default the settings'. Raises RunError where its cluster cannot be reached."""
    if (name or settings.engine) == "local":
        from loopwright.engines.local import LocalEngine

        return LocalEngine(settings)
    if (name or settings.engine) == "kfp":
        return kubeflow(settings)
    from loopwright import cluster
    from loopwright.engines.argo import ArgoEngine

    try:
        return ArgoEngine(cluster.connect(settings.namespace), settings.training_template)
    except RolloutError as error:
        raise RunError(error.found, expected=error.expected, do=error.do) from error


def kubeflow(settings: "Settings") -> "KfpEngine":
    """The engine for Kubeflow Pipelines. Raises StateError for an option that cannot be used."""
    from loopwright.engines import kfp
    from loopwright.ledger import Ledger

    return kfp.KfpEngine(kfp.read(), kfp.LedgerOutcomes(Ledger(settings.ledger_url)))
