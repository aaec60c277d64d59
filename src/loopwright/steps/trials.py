"""Trials of a search as MLflow runs: one parent a pipeline's run, and a child run a trial, as each is done."""

import logging
from collections.abc import Mapping
from typing import Any

from loopwright.errors import RegistryError
from loopwright.registry import TAG, Registry

log = logging.getLogger(__name__)


class Trials:
    """Is told of each trial. MLflow that is away costs its copy of a trial, not the training."""

    def __init__(self, registry: Registry, loop: str, run: str) -> None:
        self._registry, self._loop, self._run = registry, loop, run
        self._parent: tuple[str, str] | None = None

    def __call__(
        self, number: int, parameters: Mapping[str, Any], value: float | None, state: str, seconds: float
    ) -> None:
        """Log one trial."""
        try:
            with self._registry.connected() as client:
                experiment, parent = self._parent or self._find(client)
                tags = {"mlflow.parentRunId": parent, f"{TAG}run": self._run, f"{TAG}trial": str(number)}
                child = client.create_run(experiment, tags=tags, run_name=f"{self._run} trial {number}").info.run_id
                for name, chosen in parameters.items():
                    client.log_param(child, name, chosen)
                client.log_metric(child, "seconds", seconds)
                if value is not None:
                    client.log_metric(child, "value", value)
                ended = {"complete": "FINISHED", "pruned": "KILLED"}.get(state, "FAILED")
                client.set_terminated(child, ended)
        except RegistryError as error:
            log.warning("trial %d is not in MLflow: %s", number, error)

    def _find(self, client: Any) -> tuple[str, str]:
        """The experiment and the parent run, of an attempt before this one where there was one."""
        experiment = self._registry.experiment(client, self._loop)
        wanted = f"tags.`{TAG}search` = '{self._run}'"
        found = client.search_runs([experiment], wanted, max_results=1)
        if found:
            parent = found[0].info.run_id
        else:
            tags = {f"{TAG}search": self._run, f"{TAG}run": self._run}
            parent = client.create_run(experiment, tags=tags, run_name=f"{self._run} search").info.run_id
            client.set_terminated(parent)
        self._parent = experiment, parent
        return self._parent
