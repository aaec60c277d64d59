"""The loop closing, in about three minutes: `make demo`, or `python examples/churn/demo.py --seed 7`.

What you see are the commands that a user has, on the churn example: `run`, `up`, `rollout`, `trigger`, `report`. The
demo plays the rest of the world: customers who ask for predictions, a market that changes, and a bug in the export of
labels. It decides nothing: the alarm, the gates and the verdicts come from the events that flow. A day of the loop
passes in a second, so the durations in loop.yaml are those of a company.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import httpx  # noqa: E402
from generator import ChurnProcess, history, write_history  # noqa: E402
from screen import Screen, seconds_since  # noqa: E402
from traffic import Traffic  # noqa: E402

from loopwright import settings as loop_settings  # noqa: E402
from loopwright.cli.context import Context  # noqa: E402
from loopwright.ledger import Entry  # noqa: E402
from loopwright.local import token  # noqa: E402
from loopwright.report.story import sentence  # noqa: E402
from loopwright.rollout.state import Status, running  # noqa: E402

# A day of the loop in a second.
SPEED = 86_400.0
HISTORY_ROWS = 12_000
# Seconds of ordinary life before the market changes: a drift window and a little more.
CALM = 12.0


class DemoError(Exception):
    """The story did not come to its end; the message says where it stopped and why."""


@dataclass
class Story:
    """What the demo measured, for the last lines and for --json."""

    onset: float = 0.0
    marks: list[tuple[str, float]] = field(default_factory=list)

    def mark(self, name: str, at: float) -> None:
        """Remember a moment, in seconds since the epoch."""
        self.marks.append((name, at))


class Demo:
    """One run of the demo in one folder."""

    def __init__(self, folder: Path, seed: int, rate: float, port: int) -> None:
        self.folder, self.seed, self.rate, self.port = folder, seed, rate, port
        self.story = Story()
        self.process = ChurnProcess(seed)
        self.seen = 0
        self.up: subprocess.Popen[bytes] | None = None
        self.traffic: Traffic | None = None

    def prepare(self) -> None:
        """A fresh loop: the declaration, the feature code, and the history that the warehouse has so far."""
        if self.folder.exists():
            if not (self.folder / "loop.yaml").exists() and any(self.folder.iterdir()):
                raise DemoError(f"{self.folder} is not a demo of before; name an empty folder with --folder")
            before = running(self.folder / ".loopwright" / "live")
            if before is not None:
                raise DemoError(f"a demo runs in {self.folder} (pid {before.pid}); end it, or name another folder")
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True)
        for name in ("loop.yaml", "features.py"):
            shutil.copy(HERE / name, self.folder / name)
        origin = time.time()
        os.environ.update({"LOOPWRIGHT_SPEED": repr(SPEED), "LOOPWRIGHT_ORIGIN": repr(origin)})
        os.environ.pop("LOOPWRIGHT_STATE", None)
        now = datetime.fromtimestamp(origin, UTC)
        write_history(self.process, history(self.process, HISTORY_ROWS, now), self.folder / "data")
        self.context = Context.of(str(self.folder))
        loop_settings.prepare(self.context.settings)
        self.clock = self.context.settings.clock
        self.screen = Screen(self.context)

    def tell(self) -> None:
        """The whole story."""
        screen = self.screen
        screen.chapter(1, "A first version, trained through the pipeline, judged, and taken live")
        self.command("run", "--reason", "the first version")
        with self.everything_up() as status, self.customers(status) as traffic:
            self.command("rollout")
            # What the commands did they have told themselves.
            self.seen = self.context.ledger.entries(newest=1)[0].number
            traffic.start()
            screen.watch(traffic)
            screen.say(f"customers ask for {self.rate:.0f} predictions a second at {status.endpoints['gateway']}")
            self.calm()
            self.drift(traffic)
            self.bad_version(traffic)
            self.close(traffic)

    def calm(self) -> None:
        """Ordinary days: the monitor fills its window and finds nothing."""
        end = time.time() + CALM
        self.until(_never, CALM + 1, "ordinary days pass", at_end=lambda: time.time() >= end)

    def drift(self, traffic: Traffic) -> None:
        """Chapters 2 and 3: the market changes; what follows is the loop's own doing."""
        self.screen.chapter(2, "The market changes: prices rise, a new segment comes, and monthly customers mind")
        traffic.drift("covariate")
        traffic.drift("concept")
        self.story.onset = time.time()
        self.story.mark("drift begins", self.story.onset)
        self.screen.onset(self.story.onset)
        # Whatever the monitor said before the market changed would be a false alarm.
        alarm = self.until(_is("alarm"), 60, "waiting for the monitor's alarm")
        self.story.mark("alarm", alarm.at.timestamp())
        run = self.until(_is("run"), 90, "the trigger waits for new labelled rows")
        self.story.mark("run begins", run.at.timestamp())
        registered = self.until(_is("registered"), 120, "a run is under way")
        self.story.mark(f"version {registered.facts['version']} registered", registered.at.timestamp())
        self.screen.chapter(3, f"Version {registered.facts['version']} takes real requests, each step on a verdict")
        promoted = self.until(_is("promoted"), 180, "the rollout is under way")
        self.story.mark(f"version {promoted.facts['version']} promoted", promoted.at.timestamp())

    def bad_version(self, traffic: Traffic) -> None:
        """Chapter 4: labels are exported wrong, so a bad version looks good until its predictions meet the truth."""
        self.screen.chapter(4, "A bug in the label export: a version looks good on paper, and is wrong in life")
        before = traffic.snapshot()["export"].get("files", 0)
        traffic.drift("labels")
        self.screen.say("the warehouse now exports labels of annual contracts inverted, and restates 40 days")
        self.until(
            _never,
            30,
            "the broken export runs",
            at_end=lambda: traffic.snapshot()["export"].get("files", 0) >= before + 2,
        )
        while self.command("trigger", "--reason", "the new label export is here", accepted=(0, 6)) == 6:
            # The loop is at something of its own, such as an alarm about the newest version: one run at a time.
            again = time.time() + 5
            self.until(_never, 6, "another run is under way", at_end=lambda again=again: time.time() >= again)
        registered = self.until(_is("registered"), 120, "a run is under way")
        version = registered.facts["version"]
        self.story.mark(f"version {version} registered", registered.at.timestamp())
        taken_back = self.until(
            lambda entry: entry.kind in ("rolled_back", "promoted") and entry.facts["version"] == version,
            180,
            "the rollout is under way",
        )
        if taken_back.kind == "promoted":
            raise DemoError(f"version {version} was promoted although its labels were wrong")
        traffic.repair("labels")
        self.story.mark(f"version {version} taken back", taken_back.at.timestamp())
        facts = taken_back.facts
        self.screen.say(
            f"what it cost: {facts['requests']:,} requests answered by version {version}, {facts['errors']} failed; "
            f"back after {facts['seconds']:.1f} s, its traffic gone {facts['seconds_to_zero']:.2f} s after the verdict"
        )

    def close(self, traffic: Traffic) -> None:
        """Chapter 5: the timeline, the ledger's proof, and the report."""
        self.final = traffic.stop()
        self.envoy = _envoy(self.context)
        self.screen.unwatch()
        self.screen.chapter(5, "What happened, and why")
        self.screen.timeline(self.story.marks, self.story.onset)
        failed = sum(self.final["failed"].values())
        self.screen.say(
            f"{self.final['sent']:,} requests, {failed} failed; p50 {self.final['latency_ms']['p50']:.1f} ms, "
            f"p99 {self.final['latency_ms']['p99']:.1f} ms, with training on the same cores"
        )
        for version, score in sorted(self.final["brier"].items()):
            self.screen.say(f"version {version}: Brier score {score['mean']:.3f} on {score['labels']:,} true labels")
        self.screen.say(f"the ledger verifies: {self.context.ledger.verify()} entries, each with its cause")
        from loopwright.cli.report import write

        page = write(self.context, self.folder / "report.html", self.story.marks)
        self.screen.say(f"the report, with pictures: {page}")
        self.screen.say(f"read on: loopwright history {os.path.relpath(self.folder)}")

    def until(
        self,
        ends: Callable[[Entry], bool],
        timeout: float,
        doing: str,
        at_end: Callable[[], bool] = lambda: False,
    ) -> Any:
        """Tell the ledger's new entries as they come until one `ends` it, which is returned, or `at_end` is true.

        Raises DemoError when a run fails, when `up` ends by itself, or after `timeout` seconds.
        """
        deadline = time.time() + timeout
        self.screen.doing = doing
        while True:
            for entry in self.context.ledger.entries(self.context.loop.name, after=self.seen):
                self.seen = entry.number
                self.screen.entry(entry)
                if ends(entry):
                    return entry
                _stop_at_failure(entry)
            if at_end():
                return None
            if time.time() > deadline:
                raise DemoError(f"nothing came of it in {timeout:.0f} s: {doing}")
            if self.up is not None and self.up.poll() is not None:
                raise DemoError(f"`loopwright up` ended with exit code {self.up.returncode}")
            self.screen.refresh()
            time.sleep(0.1)

    def command(self, name: str, *arguments: str, accepted: tuple[int, ...] = (0,)) -> int:
        """Call a loopwright command as a user would, and show what it prints; returns its exit code."""
        self.screen.command(
            f"loopwright {name} {os.path.relpath(self.folder)} {' '.join(map(_quoted, arguments))}".strip()
        )
        call = [sys.executable, "-m", "loopwright.cli.main", name, str(self.folder), *arguments]
        result = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert result.stdout is not None
        for line in result.stdout:
            self.screen.output(line.rstrip())
        if result.wait() not in accepted:
            raise DemoError(f"`loopwright {name}` ended with exit code {result.returncode}")
        return result.returncode

    @contextlib.contextmanager
    def everything_up(self) -> Iterator[Status]:
        """`loopwright up` for as long as the story lasts."""
        self.screen.command(f"loopwright up {os.path.relpath(self.folder)} --port {self.port} --no-mlflow")
        call = [sys.executable, "-m", "loopwright.cli.main", "up", str(self.folder)]
        call += ["--port", str(self.port), "--no-mlflow"]
        with (self.folder / "up.log").open("wb") as log:
            # A group of its own: Ctrl-C reaches the demo first, which then ends it in order.
            self.up = subprocess.Popen(call, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            yield self.ready()
        finally:
            self.up.send_signal(signal.SIGINT)
            try:
                self.up.wait(30)
            except subprocess.TimeoutExpired:
                self.up.kill()

    def ready(self) -> Status:
        """Wait until the gateway, the monitor and the trigger answer."""
        assert self.up is not None
        deadline = time.time() + 60
        while time.time() < deadline:
            started = self.context.ledger.entries(self.context.loop.name, kind="started")
            status = running(self.context.settings.live)
            if started and status is not None:
                return status
            if self.up.poll() is not None:
                raise DemoError(f"`loopwright up` did not start:\n{(self.folder / 'up.log').read_text()}")
            time.sleep(0.1)
        raise DemoError("`loopwright up` did not become ready in 60 s")

    @contextlib.contextmanager
    def customers(self, status: Status) -> Iterator[Traffic]:
        """The customers' requests, their labels a week later, and the warehouse's daily export."""
        self.traffic = Traffic(
            self.process,
            status.endpoints["gateway"],
            status.endpoints["monitor"],
            token.find(self.context.settings),
            self.folder / "data",
            self.clock,
            rate=self.rate,
            seed=self.seed,
        )
        try:
            yield self.traffic
        finally:
            self.traffic.stop()
            self.screen.unwatch()

    def result(self) -> dict[str, Any]:
        """What was measured, as JSON."""
        entries = self.context.ledger.entries(self.context.loop.name)
        return {
            "seed": self.seed,
            "folder": str(self.folder),
            "marks": seconds_since(self.story.marks, self.story.onset),
            "traffic": self.final,
            "envoy": self.envoy,
            "entries": [
                {"number": one.number, "kind": one.kind, "cause": one.cause, "text": sentence(one)} for one in entries
            ],
        }


def _never(_entry: Entry) -> bool:
    """No entry ends it."""
    return False


def _is(kind: str) -> Callable[[Entry], bool]:
    return lambda entry: entry.kind == kind


def _stop_at_failure(entry: Entry) -> None:
    if entry.kind == "run_ended" and entry.facts["state"] != "succeeded":
        raise DemoError(sentence(entry))
    if entry.kind == "rolled_back":
        raise DemoError(sentence(entry))


def _envoy(context: Context) -> dict[str, dict[str, int | None]]:
    """What Envoy itself counted, a version each."""
    from loopwright.rollout.local import LocalGateway

    with httpx.Client(trust_env=False) as client:
        counts = LocalGateway(context.loop, context.settings, client).counts()
    return {str(version): {"requests": arm.requests, "errors": arm.errors} for version, arm in counts.items()}


def _quoted(text: str) -> str:
    return f"'{text}'" if " " in text else text


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 when the story came to its end, 1 when it did not, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(description="Watch the loop close on the churn example.")
    parser.add_argument("--seed", type=int, default=7, help="another seed, another story (%(default)s)")
    parser.add_argument("--folder", type=Path, default=Path("demo/churn"), help="where the loop is made (%(default)s)")
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second (%(default)s)")
    parser.add_argument("--port", type=int, default=0, help="the gateway's port; 0 takes a free one")
    parser.add_argument("--json", type=Path, help="write what was measured to this file")
    options = parser.parse_args(arguments)
    began = time.time()
    # Ended from outside, the demo ends what it started, as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    demo = Demo(options.folder.resolve(), options.seed, options.rate, options.port)
    try:
        demo.prepare()
        demo.tell()
    except DemoError as error:
        print(f"the demo stopped: {error}\nlogs: {demo.folder}/.loopwright/live/logs", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; everything was ended", file=sys.stderr)
        return 130
    demo.screen.say(f"the demo took {time.time() - began:.0f} s")
    if options.json:
        options.json.write_text(json.dumps(demo.result(), indent=2, default=str))
    return 0


if __name__ == "__main__":
    sys.exit(main())
