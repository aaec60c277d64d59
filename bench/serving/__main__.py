"""`python -m bench.serving`: measure all servers, or some, and write the table.

Samples are kept as they come; the same command goes on where it stopped, and begins anew once everything is measured.
"""

import argparse
import itertools
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from bench.serving import measure, model, report, servers
from bench.serving.load import LoadError
from bench.serving.measure import Case
from bench.serving.servers import ROOT, SERVERS, Running, Server, ServerError
from bench.venvs import PeerError

PROTOCOLS = ("v1", "v2", "binary", "grpc")


def main() -> int:
    """Measure what is not measured yet; the exit code says whether all of it could be."""
    arguments = _arguments()
    chosen = [server for server in SERVERS if not arguments.only or server.key in arguments.only]
    arguments.work.mkdir(parents=True, exist_ok=True)
    store = Store(arguments.work / "samples.json", [arguments.seconds, arguments.rounds])
    if arguments.fresh or store.complete:
        store.forget([server.key for server in chosen])
    other, core = sorted(os.sched_getaffinity(0))[:2]
    os.sched_setaffinity(0, {other})
    made = model.make(arguments.work / "model")
    running = _start(chosen, arguments.work, core, other, store)
    try:
        _measure(running, made, store, arguments)
    finally:
        for one in running:
            one.end()
    store.complete = not store.missing and not arguments.only
    store.save()
    report.write(store.result(), arguments.docs, arguments.json)
    print(f"written: {arguments.docs.name}, {arguments.json.name}")
    for key, why in store.missing.items():
        print(f"not measured: {key}: {why}", file=sys.stderr)
    return 1 if store.missing else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.serving", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=[server.key for server in SERVERS], help="these servers")
    parser.add_argument("--protocols", nargs="+", choices=PROTOCOLS, default=PROTOCOLS, help="these protocols")
    parser.add_argument("--rows", nargs="+", type=int, choices=model.SIZES, default=model.SIZES, help="rows a request")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each of a sample's two phases (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="samples of each case (%(default)s)")
    parser.add_argument("--fresh", action="store_true", help="forget the samples of the servers that are measured")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "bench" / "serving", help="environments, samples")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs" / "benchmarks.md", help="where the table goes")
    parser.add_argument("--json", type=Path, default=ROOT / "bench" / "serving" / "result.json", help="the numbers")
    arguments = parser.parse_args()
    arguments.work = arguments.work.resolve()
    # KServe, whose messages are used, reads the command line while it is imported.
    sys.argv = sys.argv[:1]
    return arguments


def _start(chosen: list[Server], work: Path, core: int, other: int, store: "Store") -> list[Running]:
    """All that can be started; what cannot is noted."""
    running: list[Running] = []
    try:
        for at, server in enumerate(chosen, 1):
            print(f"starting {at}/{len(chosen)}: {server.key}", flush=True)
            store.missing.pop(server.key, None)
            try:
                python = servers.environment(server, work)
                store.versions[server.key] = servers.versions(server, python)
                running.append(servers.start(server, python, work, core, other))
            except (PeerError, ServerError) as error:
                store.missing[server.key] = str(error)
                print(f"  {error}", flush=True)
    except BaseException:
        for one in running:
            one.end()
        raise
    return running


def _measure(running: list[Running], made: model.Made, store: "Store", arguments: argparse.Namespace) -> None:
    """Round by round and case by case, each server in turn, so that what the machine does meanwhile meets them all."""
    cases = [Case(protocol, rows) for rows in arguments.rows for protocol in arguments.protocols]
    plan = [
        (number, case, one)
        for number in range(arguments.rounds)
        for case in cases
        for one in running
        if case.protocol in one.server.forms and case.rows in one.server.sizes
    ]
    began = time.monotonic()
    for number, rows in itertools.product(range(arguments.rounds), arguments.rows):
        for key, predict in measure.engines(made, rows).items():
            if not store.has(number, Case("alone", rows), key):
                found = measure.alone(predict, made, rows, min(arguments.seconds, 1))
                store.add(number, Case("alone", rows), key, found)
    for at, (number, case, one) in enumerate(plan, 1):
        key = one.server.key
        if key in store.missing or store.has(number, case, key):
            continue
        try:
            found = measure.sample(one, case, made, arguments.seconds)
        except (LoadError, ValueError, OSError, TimeoutError) as error:
            store.missing[key] = f"{case.protocol}, {case.rows} rows: {type(error).__name__}: {error}"[:300]
            print(f"{at}/{len(plan)} {key} failed: {store.missing[key]}", flush=True)
            continue
        store.add(number, case, key, found)
        full = found["full"]
        told = f"{full['cpu_us']:9.1f} us CPU  {full['per_second']:8.0f}/s  p99 {full['p99_ms']:8.2f} ms"
        what = f"round {number + 1}  {case.protocol:>6} x {case.rows:<4} {key:<12}"
        print(f"{at}/{len(plan)} {time.monotonic() - began:4.0f} s  {what} {told}", flush=True)


class Store:
    """The samples in a file, saved after each."""

    def __init__(self, path: Path, settings: list[float]) -> None:
        self._path, self._settings = path, settings
        kept: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        if kept.get("settings") != settings:
            kept = {}
        self.samples: list[dict[str, Any]] = kept.get("samples", [])
        self.versions: dict[str, dict[str, str]] = kept.get("versions", {})
        self.missing: dict[str, str] = kept.get("missing", {})
        self.complete: bool = kept.get("complete", False)

    def has(self, number: int, case: Case, key: str) -> bool:
        """Whether this sample is there."""
        wanted = (number, case.protocol, case.rows, key)
        return any((one["round"], one["protocol"], one["rows"], one["server"]) == wanted for one in self.samples)

    def add(self, number: int, case: Case, key: str, found: dict[str, Any]) -> None:
        """Keep a sample."""
        self.samples.append({"round": number, "protocol": case.protocol, "rows": case.rows, "server": key, **found})
        self.save()

    def forget(self, keys: list[str]) -> None:
        """Drop the samples of these servers."""
        self.samples = [one for one in self.samples if one["server"] not in keys]
        self.complete = False

    def result(self) -> dict[str, Any]:
        """Everything that the report is made of."""
        return {"machine": report.machine(), "settings": self._settings} | {
            "versions": self.versions,
            "missing": self.missing,
            "samples": self.samples,
        }

    def save(self) -> None:
        """Write the file, whole or not at all."""
        content = {"settings": self._settings, "samples": self.samples, "versions": self.versions}
        content |= {"missing": self.missing, "complete": self.complete}
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps(content))
        partial.replace(self._path)


if __name__ == "__main__":
    sys.exit(main())
