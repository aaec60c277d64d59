"""Peers in environments of their own, made from the files in requirements/: a process each, a line a task."""

import json
import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from bench import venvs
from bench.drift.streams import Floats
from bench.venvs import PeerError

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
NAMES = ("evidently", "nannyml", "river")


class Peers:
    """The processes of all peers, started when first asked; a context manager that ends them."""

    def __init__(self, work: Path) -> None:
        self._work, self._running = work, dict[str, "subprocess.Popen[str]"]()
        (work / "arrays").mkdir(parents=True, exist_ok=True)

    def hand_over(self, reference: Floats, stream: Floats) -> None:
        """Write the arrays that the next tasks are about."""
        np.save(self._work / "arrays" / "reference.npy", reference)
        np.save(self._work / "arrays" / "stream.npy", stream)

    def ask(self, name: str, **task: Any) -> dict[str, Any]:
        """One task's answer, see runners/peer.py. Raises PeerError when the peer cannot be had or has ended."""
        process = self._running.get(name) or self._start(name)
        arrays = {one: str(self._work / "arrays" / f"{one}.npy") for one in ("reference", "stream")}
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps({**arrays, **task}) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            said = (self._work / f"{name}.log").read_text(errors="replace").strip().splitlines()
            raise PeerError(f"{name} ended: {said[-1] if said else 'it said nothing'}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _start(self, name: str) -> "subprocess.Popen[str]":
        python = venvs.python(self._work / "venvs" / name, HERE / "requirements" / f"{name}.txt")
        single = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        single |= {"DO_NOT_TRACK": "1", "NML_DISABLE_USAGE_LOGGING": "1"}
        with (self._work / f"{name}.log").open("w") as log:
            process = subprocess.Popen(
                [str(python), str(HERE / "runners" / "peer.py"), name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**{k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}, **single},
            )
        self._running[name] = process
        return process

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for process in self._running.values():
            if process.stdin:
                process.stdin.close()
            process.wait()
