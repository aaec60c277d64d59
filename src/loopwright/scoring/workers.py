"""The units of a job over some processes, each with a model of its own, which a pipe tells what to do.

Threads would share one interpreter, and preparing rows takes a good part of the time. A process that is killed (by
want of memory, mostly) ends the job with what it was at; all parts that are done stay done.
"""

import multiprocessing
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from loopwright import processes
from loopwright.errors import LoopwrightError, RunError
from loopwright.scoring.job import Done, Job, Scorer
from loopwright.scoring.manifest import Receipt, by_unit
from loopwright.scoring.plan import Unit

Tell = Callable[[Receipt], None]


def score(job: Job, units: Sequence[Unit], done: Done, tell: Tell, workers: int = 1) -> None:
    """Score what is not done of these units; `tell` is given each part's receipt, in this process.

    Raises what scoring a unit raises, and RunError for a worker that was killed.
    """
    if workers > 1 and len(units) > 1:
        _in_processes(job, units, done, tell, min(workers, len(units)))
    elif units:
        scorer = Scorer(job)
        for unit in units:
            scorer.score(unit, done, tell)


def _in_processes(job: Job, units: Sequence[Unit], done: Done, tell: Tell, workers: int) -> None:
    # A copy of this process would have its locks without the threads that hold them.
    context = multiprocessing.get_context("spawn")
    left, running, known = deque(units), dict[Connection, BaseProcess](), by_unit(done)
    at = dict[Connection, Unit]()

    def give(pipe: Connection) -> None:
        if left:
            at[pipe] = left.popleft()
            pipe.send((at[pipe], known.get(at[pipe].number, {})))
        else:
            pipe.send(None)
            running.pop(pipe).join()

    try:
        for _ in range(workers):
            ours, theirs = context.Pipe()
            process: BaseProcess = context.Process(target=_work, args=(job, theirs), daemon=True)
            process.start()
            theirs.close()
            running[ours] = process
            give(ours)
        while running:
            for pipe in wait(list(running)):
                assert isinstance(pipe, Connection)
                told = _received(pipe, running[pipe], at[pipe])
                if isinstance(told, BaseException):
                    raise told
                if isinstance(told, Receipt):
                    tell(told)
                else:
                    give(pipe)
    finally:
        for pipe, process in running.items():
            process.terminate()
            process.join()
            pipe.close()


def _received(pipe: Connection, process: BaseProcess, unit: Unit) -> Any:
    try:
        return pipe.recv()
    except (EOFError, OSError) as error:
        process.join(5)
        code = process.exitcode
        raise RunError(
            f"a worker was killed ({f'signal {-code}' if code and code < 0 else f'exit code {code}'}) at {unit.name}",
            expected="enough memory for each worker, about 500 MB and what the model takes",
            do="run the same command again, with fewer --workers: what is finished is not scored again",
        ) from error


def _work(job: Job, pipe: Connection) -> None:
    """A worker: units come, receipts go, None after each unit; or the error that ends it. It ends with its parent."""
    import signal

    if (parent := multiprocessing.parent_process()) is not None and parent.pid is not None:
        processes.end_with_parent(parent.pid)
    # Ctrl-C goes to all processes of a terminal; the one that asked ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(_NobodyThere):
        try:
            scorer = Scorer(job)
            while (given := _asked(pipe)) is not None:
                unit, done = given
                scorer.score(unit, done, partial(_send, pipe))
                _send(pipe, None)
        except LoopwrightError as error:
            _send(pipe, error)
        except _NobodyThere:
            raise
        except Exception as error:
            _send(pipe, RunError(f"a worker failed: {type(error).__name__}: {error}"[:500]))


class _NobodyThere(Exception):
    """The process that asked has ended, where the kernel does not end its workers with it."""


def _asked(pipe: Connection) -> Any:
    try:
        return pipe.recv()
    except (EOFError, OSError) as error:
        raise _NobodyThere from error


def _send(pipe: Connection, told: Any) -> None:
    try:
        pipe.send(told)
    except OSError as error:
        raise _NobodyThere from error
