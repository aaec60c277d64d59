"""The engine that a command runs pipelines on: by its option, else by LOOPWRIGHT_ENGINE."""

from typing import TYPE_CHECKING

from loopwright.errors import RolloutError, RunError

if TYPE_CHECKING:
    from loopwright.engines.kfp import KfpEngine
    from loopwright.engines.protocol import Engine
    from loopwright.settings import Settings


def opened(settings: "Settings", name: str = "") -> "Engine":
    """The engine of this name, by default the settings'.

    Raises RunError where its cluster cannot be reached, or its client is not installed.
    """
    from loopwright.engines import protocol

    kind = name or settings.engine
    try:
        return _opened(settings, kind)
    except ModuleNotFoundError as error:
        raise protocol.uninstalled(kind, "kubernetes" if kind == "argo" else kind, error) from error


def _opened(settings: "Settings", kind: str) -> "Engine":
    if kind == "local":
        from loopwright.engines.local import LocalEngine

        return LocalEngine(settings)
    if kind == "kfp":
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
