"""Dask workers are reached: started on this machine for as long as a step needs them, or those of a scheduler.

Whoever reaches a scheduler can run code on its workers: those of this machine take nobody without the keys made for
them (TLS), and a cluster's are for its administrator to close.
"""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from loopwright import processes
from loopwright.errors import RunError
from loopwright.loop import Scale
from loopwright.scale.workers import ATTEMPTS, PATIENCE, Workers

ADDRESS = "LOOPWRIGHT_DASK"
"""The environment variable with the address of a scheduler, for a loop that names none."""
_CONFIGURED = {
    "distributed.scheduler.allowed-failures": ATTEMPTS - 1,
    # A worker near its memory would be paused, some for ever: it is ended, and its work is done again.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
    # No pages of what workers do: they ask nobody for a key.
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}
_FOLDER = "loopwright-dask-"


@contextmanager
def workers(scale: Scale, *, beside: bool = False) -> Iterator[Workers]:
    """Workers of a declared scale, `beside` this process or where its address says. Raises RunError for none."""
    try:
        import dask
        import distributed
    except ImportError as error:
        raise RunError(
            "`scale: dask` needs Dask, which is not installed here",
            expected="the extra `dask`",
            do="pip install 'loopwright[dask]'; for images see docs/scale.md",
        ) from error
    # Every connection is a line of its own in the step's log otherwise.
    logging.getLogger("distributed").setLevel(logging.WARNING)
    address = "" if beside else scale.address or os.environ.get(ADDRESS) or ""
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(_CONFIGURED))
        try:
            if address:
                keys = distributed.Security().get_connection_args("client")["ssl_context"]
                if address.startswith("tls:") and keys is None:
                    raise ValueError("the step has no keys for it (DASK_DISTRIBUTED__COMM__TLS__..., docs/scale.md)")
                client = distributed.Client(address, timeout=PATIENCE, set_as_default=False)
            else:
                security = distributed.Security.temporary()
                folder = stack.enter_context(_folder())
                cluster = distributed.LocalCluster(
                    n_workers=scale.workers, threads_per_worker=1, processes=True, host="127.0.0.1", protocol="tls",
                    security=security, memory_limit=scale.memory or "auto", dashboard_address="127.0.0.1:0",
                    local_directory=folder, silence_logs=logging.CRITICAL,
                )  # fmt: skip
                stack.enter_context(cluster)
                client = distributed.Client(cluster, security=security, set_as_default=False)
            stack.enter_context(client)
            client.wait_for_workers(scale.workers, timeout=PATIENCE)
        except (OSError, TimeoutError, ValueError, RuntimeError) as error:
            raise RunError(
                f"the Dask workers {f'of {address}' if address else 'of this machine'} are not there: {error}",
                expected=f"{scale.workers} workers within {PATIENCE:.0f} s (`scale.workers`)",
                do="see to the scheduler and its workers" if address else "see to memory and processes here",
            ) from error
        yield Workers(client, scale.workers, shared=not address)


@contextmanager
def _folder() -> Iterator[str]:
    """A folder for what workers of this machine put on disk: rows. What a process that was killed left is removed."""
    root = Path(tempfile.gettempdir())
    for old in root.glob(f"{_FOLDER}*-*"):
        pid = old.name.removeprefix(_FOLDER).partition("-")[0]
        if pid.isdecimal() and not processes.alive(int(pid), None):
            shutil.rmtree(old, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{_FOLDER}{os.getpid()}-") as folder:
        yield folder
