"""Runs on Kubeflow Pipelines: the compiled pipeline, bound to the cluster, uploaded once and run by its API.

    submit: experiment (the loop) -> pipeline and version (by content) -> run, whose name is the run's id
    status: the run and its tasks, read by the API -> the same states as on a laptop
    outcomes: the ledger -> the version that came of it, or why a step failed

A run's id is looked for before it is submitted. KFP lets two runs have one name, so that of two submitters at once each
looks again afterwards: the oldest run stays and the other is ended. Runs are polled here, as kfp's own wait never
returns for a run that was cancelled.
"""

import json
import re
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from loopwright.engines.compiled import pipeline
from loopwright.engines.kfp import binding, states
from loopwright.engines.kfp.api import Api, Unreachable
from loopwright.engines.kfp.options import Options
from loopwright.engines.kfp.outcomes import Outcomes
from loopwright.engines.protocol import CANCELLED, ENDED, FAILED, RunRequest, RunStatus, StepStatus
from loopwright.errors import RunError
from loopwright.settings import redacted

# Real seconds between two looks at a run; a step takes about ten in KFP.
POLL = 2.0
# Real seconds for which an API that does not answer is put up with while a run is followed: an upgrade's length.
PATIENCE = 300.0
# Real seconds within which a cancelled run has ended.
GRACE = 120.0
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
TIMEOUT = RunRequest.timeout.total_seconds()


class KfpEngine:
    """Runs pipelines on Kubeflow Pipelines; `outcomes` says what came of them, which KFP's API does not."""

    def __init__(
        self,
        options: Options,
        outcomes: Outcomes,
        *,
        client: Any = None,
        compiled: Path | None = None,
        poll: float = POLL,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.options, self._outcomes = options, outcomes
        self.api = Api(options, client)
        self._compiled = compiled or pipeline("training")
        self._poll, self._clock = poll, clock
        self._told = states.ToldToEnd()

    @property
    def place(self) -> str:
        """The API and the profile's namespace."""
        return redacted(f"{self.options.host}/{self.options.namespace}".rstrip("/"))

    def submit(self, request: RunRequest) -> RunStatus:
        """Start a run. A second submission of the same run id starts nothing."""
        if self._find(request.run) is None:
            experiment = self.experiment(request.name)
            pipeline_id, version_id = self.upload(request.name)
            # It is looked for again: an upload may take a while, and whoever asked for the same has not waited.
            self._made(
                lambda: self._find(request.run),
                lambda client: client.run_pipeline(
                    experiment_id=experiment,
                    job_name=request.run,
                    params=self.parameters(request),
                    pipeline_id=pipeline_id,
                    version_id=version_id,
                    service_account=self.options.service_account or None,
                ),
            )
            self._settle(request.run)
        return self.status(request.run)

    def status(self, run: str) -> RunStatus:
        """How a run is. Raises RunError when there is no such run, or the API cannot be asked."""
        found = self._find(run)
        if found is None:
            raise RunError(f"there is no run {run}", expected=f"one of those at {self.options.host}")
        # A list has no tasks in it.
        return self._status(self.api.ask(lambda client: client.get_run(found.run_id)))

    def runs(self, loop: str) -> list[RunStatus]:
        """All runs of a loop, the oldest first; a list has no steps in it."""
        experiment = self._find_experiment(loop)
        if experiment is None:
            return []
        read = self.api.pages(
            "runs",
            lambda client, token: client.list_runs(
                page_token=token, page_size=100, sort_by="created_at", experiment_id=experiment
            ),
        )
        seen: dict[str, RunStatus] = {}
        versions = self._outcomes.versions(loop)
        for one in sorted(read, key=_age):
            status = self._read(one)
            seen.setdefault(status.run, replace(status, version=versions.get(status.run)))
        return list(seen.values())

    def follow(self, run: str, progress: Callable[[RunStatus], None]) -> RunStatus:
        """Wait for a run to end, telling `progress` of every change."""
        before: tuple[str, tuple[StepStatus, ...]] | None = None
        answered = self._clock()
        while True:
            try:
                status = self.status(run)
                answered = self._clock()
            except Unreachable:
                if self._clock() - answered > PATIENCE:
                    raise
            else:
                if (status.state, status.steps) != before:
                    before = (status.state, status.steps)
                    progress(status)
                if status.state in ENDED:
                    return status
                if status.seconds > TIMEOUT:
                    why = f"it did not end within {RunRequest.timeout}"
                    return replace(self.cancel(run), state=FAILED, error=why, exit_code=RunError.exit_code)
            time.sleep(self._poll)

    def cancel(self, run: str) -> RunStatus:
        """End a run that has not ended, and wait until nothing of it is left."""
        status = self.status(run)
        if status.state in ENDED:
            return status
        found = self._find(run)
        # It may have ended since it was looked at, which is no error.
        with suppress(RunError):
            self.api.ask(partial(_terminate, found.run_id))
        deadline = self._clock() + GRACE
        while (status := self.status(run)).state not in ENDED:
            if self._clock() > deadline:
                raise RunError(
                    f"the run {run} was told to end and has not within {GRACE:.0f} s",
                    do=f"see it at {status.log}, or delete its Workflow",
                )
            time.sleep(self._poll)
        # Argo ends a terminated Workflow as failed, and KFP 2.17 says so of the run, whatever it was told.
        ended_so = status.state == FAILED
        return replace(status, state=CANCELLED, error="cancelled", exit_code=0) if ended_so else status

    def upload(self, loop: str) -> tuple[str, str]:
        """The pipeline's id and its version's, uploaded if this content is not there yet."""
        text = binding.bind(self._compiled, self.options)
        pipeline_name, version_name = f"loopwright-{loop}", f"{loop}-{binding.name_of(text)}"
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "training.yaml"
            file.write_text(text, encoding="utf-8")
            namespace = self.options.namespace or None
            pipeline_id = self._made(
                lambda: self.api.ask(lambda client: client.get_pipeline_id(pipeline_name)),
                lambda client: client.upload_pipeline(str(file), pipeline_name, namespace=namespace),
            )
            version_id = self._made(
                lambda: self._uploaded(pipeline_id, version_name),
                lambda client: client.upload_pipeline_version(str(file), version_name, pipeline_id=pipeline_id),
            )
        return pipeline_id, version_id

    def parameters(self, request: RunRequest) -> dict[str, Any]:
        """What a run is started with."""
        return {
            "loop": request.loop,
            "features": request.features,
            "root": self.options.root,
            "run": request.run,
            "cause": request.cause,
        }

    def experiment(self, loop: str) -> str:
        """The loop's experiment, made if it is not there."""
        namespace = self.options.namespace or None
        return str(
            self._made(
                lambda: self._find_experiment(loop),
                lambda client: client.create_experiment(loop, namespace=namespace),
            )
        )

    def _made(self, find: Callable[[], Any], make: Callable[[Any], Any]) -> Any:
        """What `find` finds, made if it is not there; somebody else may make it meanwhile, or the answer get lost."""
        if (found := find()) is not None:
            return found
        try:
            self.api.ask(make)
        except RunError:
            if (found := find()) is None:
                raise
            return found
        return find()

    def _uploaded(self, identity: str, name: str) -> str | None:
        versions = self.api.pages(
            "pipeline_versions",
            lambda client, token: client.list_pipeline_versions(identity, page_token=token, page_size=100),
        )
        return next((one.pipeline_version_id for one in versions if one.display_name == name), None)

    def _settle(self, run: str) -> None:
        """Leave one run of this name: the oldest, by the server's clock and then by its id, as everybody decides."""
        for other in self._named(run)[1:]:
            with suppress(RunError):
                self.api.ask(partial(_terminate, other.run_id))

    def _named(self, run: str) -> list[Any]:
        found = [one for one in self.api.find_runs("display_name", run) if one.display_name == run]
        return sorted(found, key=_age)

    def _find(self, run: str) -> Any:
        found = next(iter(self._named(run)), None)
        if found is None and (scheduled := _UUID.search(run)):
            # A recurring run, whose name in KFP is not its id.
            with suppress(RunError):
                found = self.api.ask(partial(_get, scheduled[0]))
        return found

    def _find_experiment(self, loop: str) -> str | None:
        wanted = json.dumps({"predicates": [{"operation": "EQUALS", "key": "display_name", "string_value": loop}]})
        namespace = self.options.namespace or None
        found = self.api.ask(lambda client: client.list_experiments(filter=wanted, namespace=namespace))
        return next((str(one.experiment_id) for one in found.experiments or []), None)

    def _read(self, found: Any) -> RunStatus:
        link = self.api.link(found.run_id)
        return states.status(found, self._clock(), link, told_to_end=self._told.of(found))

    def _status(self, found: Any) -> RunStatus:
        status = self._read(found)
        if status.state in ENDED and status.state != CANCELLED:
            status = replace(status, version=self._outcomes.versions(status.loop).get(status.run))
        if status.state != FAILED:
            return status
        step, message, code = self._outcomes.failure(status.loop, status.run) or (
            "",
            status.error or "a step failed without saying why, or somebody ended the run in Kubeflow Pipelines",
            0,
        )
        steps = tuple(replace(one, state=FAILED) if one.name == step else one for one in status.steps)
        return replace(status, steps=steps, error=message, exit_code=code or RunError.exit_code)


def _age(run: Any) -> tuple[Any, str]:
    return run.created_at, run.run_id


def _terminate(run: str, client: Any) -> None:
    client.terminate_run(run)


def _get(run: str, client: Any) -> Any:
    return client.get_run(run)
