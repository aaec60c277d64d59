"""Runs as Argo Workflows, for clusters that have Argo and no Kubeflow Pipelines.

A run is a Workflow of the run's name, so that submitting it twice, or by two triggers at once, makes one. It goes on
without whoever submitted it; following, cancelling and listing read and write the Workflow, from anywhere that
reaches the cluster's API. An API server that is away for a while is waited for.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TypeVar

from loopwright.cluster.api import Cluster
from loopwright.cluster.argo import LOOP_LABEL, OF_WORKFLOW, TEMPLATE, WORKFLOW
from loopwright.cluster.objects import POD, Object
from loopwright.cluster.refusals import Conflict, Forbidden
from loopwright.engines import argo_objects, argo_status
from loopwright.engines.protocol import CANCELLED, ENDED, FAILED, PENDING, RunRequest, RunStatus, StepStatus
from loopwright.errors import EngineAway, GatewayLost, RolloutError, RunError

T = TypeVar("T")

POLL = 1.0
LOST = 600.0
"""Real seconds that the API server may be away before whoever follows a run gives up; the run goes on."""
STUCK = 180.0
"""Real seconds that a pod may be unable to start (no such image, no Secret, no node) before its run is failed."""
GRACE = 120.0
"""Real seconds that Argo and the kubelet have to end a run's pods."""
LINES = 500
"""Of a pod's log: a step says when it starts and ends, and its libraries say little."""


class ArgoEngine:
    """Runs pipelines by the WorkflowTemplate `template` in the cluster's namespace; `pause` waits so many seconds."""

    def __init__(
        self,
        cluster: Cluster,
        template: str = argo_objects.NAME,
        *,
        pause: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster, self._template, self._pause, self._clock = cluster, template, pause, clock

    @property
    def place(self) -> str:
        """The namespace and its cluster."""
        return self._cluster.place

    def submit(self, request: RunRequest) -> RunStatus:
        """Make the run's Workflow. A second submission of the same run id starts nothing."""
        content = argo_objects.workflow(request, self._template)

        def create() -> None:
            if self._cluster.get(TEMPLATE, self._template) is None:
                raise RunError(
                    f"there is no WorkflowTemplate {self._template} in the namespace {self._cluster.namespace}",
                    expected="Argo Workflows on the cluster, and the chart's `engine=argo`",
                    do="see docs/argo.md; LOOPWRIGHT_TRAINING_TEMPLATE names another one",
                )
            # An answer that was lost on its way is no reason not to ask again: the name is taken once.
            with suppress(Conflict):
                self._cluster.create(WORKFLOW, content)

        with _as_run():
            self._reached(create)
            return self._reached(lambda: self._status(request.run))

    def status(self, run: str) -> RunStatus:
        """How a run is. Raises RunError when there is no such run."""
        with _as_run():
            return self._status(run)

    def runs(self, loop: str) -> list[RunStatus]:
        """The runs of a loop that are in the namespace, the oldest first; Argo deletes them a week after their end."""
        with _as_run():
            found = self._cluster.list(WORKFLOW, f"{LOOP_LABEL}={loop},{argo_objects.RUN_LABEL}=training")
            listed = [self._read(one) for one in found]
        return sorted(listed, key=lambda status: status.started)

    def follow(self, run: str, progress: Callable[[RunStatus], None]) -> RunStatus:
        """Wait for a run to end, telling `progress` of every change. One that is deleted has failed."""
        before: tuple[str, tuple[StepStatus, ...]] | None = None
        known: RunStatus | None = None
        stuck: float | None = None
        with _as_run():
            while True:
                found = self._reached(lambda: self._cluster.get(WORKFLOW, run))
                if found is None:
                    if known is None:
                        raise _unknown(run, self._cluster.namespace)
                    return replace(
                        known, state=FAILED, error="its Workflow was deleted while it ran", exit_code=RunError.exit_code
                    )
                known = self._read(found)
                if (known.state, known.steps) != before:
                    before = (known.state, known.steps)
                    progress(known)
                if known.state in ENDED:
                    return known
                # The kubelet says it in turns in other words, so what counts is that there is a reason.
                why = argo_status.waits(found)
                stuck = (self._clock() if stuck is None else stuck) if why else None
                if stuck is not None and self._clock() - stuck > STUCK:
                    self._end(run, FAILED, why)
                self._pause(POLL)

    def cancel(self, run: str) -> RunStatus:
        """End a run that has not ended, and wait until nothing of it is left."""
        with _as_run():
            status = self._reached(lambda: self._status(run))
            return status if status.state in ENDED else self._end(run, CANCELLED, "cancelled")

    def _end(self, run: str, state: str, error: str) -> RunStatus:
        """Terminate a Workflow, with the reason written on it, and wait for it and its pods."""
        why = json.dumps({"state": state, "error": error})
        patch = {"metadata": {"annotations": {argo_status.CLOSED: why}}, "spec": {"shutdown": "Terminate"}}
        self._reached(lambda: self._cluster.patch(WORKFLOW, run, patch))
        deadline = self._clock() + GRACE
        while True:
            status = self._reached(lambda: self._status(run))
            if status.state in ENDED and not self._reached(lambda: self._living(run)):
                return status
            if self._clock() > deadline:
                if status.state == PENDING:
                    # No controller reads it, so none runs it either.
                    return replace(status, state=state, error=error)
                raise RunError(
                    f"the run {run} was told to end and has not, after {GRACE:.0f} s",
                    expected="Argo's controller and the nodes to be well",
                    do=f"see `kubectl -n {self._cluster.namespace} describe workflow {run}`",
                )
            self._pause(POLL / 2)

    def _living(self, run: str) -> bool:
        phases = [pod.get("status", {}).get("phase") for pod in self._cluster.list(POD, f"{OF_WORKFLOW}={run}")]
        return any(phase not in ("Succeeded", "Failed") for phase in phases)

    def _status(self, run: str) -> RunStatus:
        found = self._cluster.get(WORKFLOW, run)
        if found is None:
            raise _unknown(run, self._cluster.namespace)
        return self._read(found)

    def _read(self, found: Object) -> RunStatus:
        return argo_status.read(found, lambda node: self._log(found["metadata"]["name"], node))

    def _log(self, run: str, node: Object) -> str:
        for pod in self._cluster.list(POD, f"{OF_WORKFLOW}={run}"):
            if pod["metadata"].get("annotations", {}).get("workflows.argoproj.io/node-id") == node["id"]:
                return self._cluster.log(pod["metadata"]["name"], "main", lines=LINES, previous=False)
        return ""

    def _reached(self, ask: Callable[[], T]) -> T:
        """What the API server says, which may be away for a while."""
        deadline = self._clock() + LOST
        while True:
            try:
                return ask()
            except GatewayLost:
                if self._clock() > deadline:
                    raise
            self._pause(POLL)


@contextmanager
def _as_run() -> Iterator[None]:
    """The cluster's errors are those of a rollout; here they are a run's."""
    try:
        yield
    except (GatewayLost, Forbidden) as error:
        raise EngineAway(error.found, expected=error.expected, do=error.do) from error
    except RolloutError as error:
        raise RunError(error.found, expected=error.expected, do=error.do) from error


def _unknown(run: str, namespace: str) -> RunError:
    return RunError(f"there is no run {run}", expected=f"one of those in the namespace {namespace}")
