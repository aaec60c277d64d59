"""A chain of tasks in a flow: `python prefect_flow.py STEPS`. Without a server named it starts one of its own."""

import sys

from prefect import flow, task


@task
def add(value: int) -> int:
    """One more."""
    return value + 1


@flow
def chain(steps: int) -> int:
    """The chain."""
    value = 0
    for _ in range(steps):
        value = add(value)
    return value


if __name__ == "__main__":
    found = chain(int(sys.argv[1]))
    if found != int(sys.argv[1]):
        sys.exit(f"found {found}")
