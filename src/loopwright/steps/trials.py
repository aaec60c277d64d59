"""Who is told of a search's trials, as each is done: MLflow, a child run each, and whoever follows the run."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from loopwright.errors import RegistryError
from loopwright.loop import LOWER_IS_BETTER
from loopwright.registry import TAG, Registry

log = logging.getLogger(__name__)


class Progress:
    """How far a search is: the trials done, of so many, and the best value so far; of those told of here."""

    def __init__(self, of: int, metric: str, going: Callable[[int, int, str], None]) -> None:
        self._of, self._metric, self._going = of, metric, going
        self._best: float | None = None

    def __call__(self, number: int, value: float | None, state: str) -> None:
        """Tell of one trial."""
        if value is not None and state == "complete":
            better = min if self._metric in LOWER_IS_BETTER else max
            self._best = value if self._best is None else better(self._best, value)
        this = state if value is None or state != "complete" else f"{self._metric} {value:.4f}"
        best = "none yet" if self._best is None else f"{self._best:.4f}"
        self._going(number, self._of, f"trial {number} of {self._of}: {this}, best {best}")


class Trials:
    """Is told of each trial, for MLflow. One that is away costs its copy of a trial, not the training."""

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
