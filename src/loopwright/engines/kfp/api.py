"""Kubeflow Pipelines' API, by kfp's own client: what the engine asks of it, and errors that say what to do.

Lists are read whole, in pages.
"""

import json
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from loopwright.engines import protocol
from loopwright.engines.kfp import options as reading
from loopwright.engines.kfp.options import Options
from loopwright.errors import EngineAway, RunError

T = TypeVar("T")
PAGE = 100


class Unreachable(EngineAway):
    """The API does not answer, or answers that it cannot now: asking again later may help."""


class Api:
    """One connection. `client` is a kfp.Client, or None to make one by the options."""

    def __init__(self, options: Options, client: Any = None) -> None:
        self._options, self._client = options, client

    def ask(self, call: Callable[[Any], T]) -> T:
        """What `call` returns of the client. Raises Unreachable, or RunError when the API refuses."""
        try:
            import kfp  # noqa: F401 - what the connection is made with
            import kfp_server_api
            import urllib3
        except ModuleNotFoundError as error:
            raise protocol.uninstalled("kfp", "kfp", error) from error
        try:
            return call(self._connect())
        except kfp_server_api.ApiException as error:
            raise self._refused(error) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._unreachable(str(error)) from error

    def find_runs(self, key: str, value: str, namespace: str | None = None) -> list[Any]:
        """The runs whose `display_name`, `experiment_id` or the like is `value`, the oldest first."""
        wanted = json.dumps({"predicates": [{"operation": "EQUALS", "key": key, "string_value": value}]})
        return self.pages(
            "runs",
            lambda client, token: client.list_runs(
                page_token=token,
                page_size=PAGE,
                sort_by="created_at",
                namespace=namespace or self._options.namespace or None,
                filter=wanted,
            ),
        )

    def pages(self, what: str, read: Callable[[Any, str], Any]) -> list[Any]:
        """All items `what` of a list that comes in pages."""
        found: list[Any] = []
        token = ""
        while True:
            answer = self.ask(partial(_page, read, token))
            found += getattr(answer, what) or []
            token = answer.next_page_token or ""
            if not token:
                return found

    def link(self, run: str) -> str:
        """Where people see a run."""
        return f"{(self._options.ui or self._options.host).rstrip('/')}/#/runs/details/{run}"

    def _connect(self) -> Any:
        if self._client is None:
            import kfp
            from kfp.client import client as module
            from kfp.client.set_volume_credentials import ServiceAccountTokenVolumeCredentials

            class Client(kfp.Client):  # type: ignore[misc]
                def get_kfp_healthz(self, sleep_duration: int = 0) -> Any:
                    # The client's own asks five times, five seconds apart, and hides what the API said.
                    return self._healthz_api.healthz_service_get_healthz()

            module.print = _silent
            # It says that it is for KFP 2, as it was said to be when that was new.
            warnings.filterwarnings("ignore", category=FutureWarning, message="This client only works with Kubeflow")
            path = reading.token(self._options)
            self._client = Client(
                host=self._options.host,
                ui_host=self._options.ui or None,
                namespace=self._options.namespace or "kubeflow",
                existing_token=self._options.token or None,
                credentials=ServiceAccountTokenVolumeCredentials(str(path)) if path else None,
                ssl_ca_cert=self._options.ca or None,
            )
        return self._client

    def _refused(self, error: Any) -> RunError:
        status, host = error.status, self._options.host
        if status in (401, 403):
            return EngineAway(
                f"Kubeflow Pipelines at {host} does not let us in ({status}): {_reason(error)}",
                expected="a token that is valid and a namespace that it may use",
                do="renew LOOPWRIGHT_KFP_TOKEN, or let the service account run pipelines; docs/kfp.md says how",
            )
        if status is None or status >= 500 or status == 429:
            return self._unreachable(f"{status}: {_reason(error)}")
        return RunError(f"Kubeflow Pipelines at {host} refuses ({status}): {_reason(error)}")

    def _unreachable(self, why: str) -> Unreachable:
        return Unreachable(
            f"Kubeflow Pipelines at {self._options.host} does not answer: {why}",
            expected="its API",
            do="set LOOPWRIGHT_KFP_HOST; from outside of the cluster "
            "`kubectl -n kubeflow port-forward svc/ml-pipeline 8888` and http://localhost:8888",
        )


def _page(read: Callable[[Any, str], Any], token: str, client: Any) -> Any:
    return read(client, token)


def _silent(*_: Any, **__: Any) -> None:
    """In the place of print in kfp's client, which prints a link at each call: programs read our output.

    Standard output itself is not redirected, for that is the whole process's, and a trigger has several threads.
    """


def _reason(error: Any) -> str:
    """The API's own words, without its stack of functions."""
    try:
        body = json.loads(error.body)
        text = str(body.get("error_message") or body.get("message") or body.get("error") or error.reason)
    except (TypeError, ValueError, AttributeError):
        text = str(error.reason)
    return text.strip().splitlines()[0][:400] if text.strip() else "no reason given"
