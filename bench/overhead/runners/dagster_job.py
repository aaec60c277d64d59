"""A chain of ops in a job, on a new instance's storage: `python dagster_job.py STEPS [processes]`.

In one process by default; with `processes`, each op is one, as by the executor that jobs have by default.
"""

import sys
import tempfile

from dagster import DagsterInstance, execute_job, job, op, reconstructable

STEPS = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdecimal() else 0


@op
def zero() -> int:
    """Where the chain begins."""
    return 0


@op
def add(value: int) -> int:
    """One more."""
    return value + 1


def _chain(steps: int) -> None:
    value = zero()
    for _ in range(steps - 1):
        value = add(value)


@job
def chain_1():
    """One step."""
    _chain(1)


@job
def chain_6():
    """Six steps."""
    _chain(6)


@job
def chain_21():
    """So many that one of them can be told from the start."""
    _chain(21)


if __name__ == "__main__":
    chain = {1: chain_1, 6: chain_6, 21: chain_21}[STEPS]
    with tempfile.TemporaryDirectory() as folder, DagsterInstance.local_temp(folder) as instance:
        if "processes" in sys.argv:
            found = execute_job(reconstructable(chain), instance)
        else:
            found = chain.execute_in_process(instance=instance)
        if not found.success:
            sys.exit("it failed")
