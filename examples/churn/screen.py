"""What a person watches during the demo: a live picture in a terminal, and plain lines where there is none."""

import time
from typing import TYPE_CHECKING, Any

import httpx
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from loopwright.cli.context import Context
from loopwright.ledger import Entry
from loopwright.report.story import sentence, tone
from loopwright.rollout.state import running

if TYPE_CHECKING:
    from traffic import Traffic

BAR = 40
COLOURS = ("cyan", "magenta", "yellow", "green")
# The steps inside a run would drown the story; they are in the ledger and in the report.
QUIET = frozenset({"snapshot", "validated", "split", "trained", "run_ended", "started", "stopped", "decision"})


class Screen:
    """The demo's output."""

    def __init__(self, context: Context) -> None:
        self._context, self.console = context, Console(highlight=False)
        self._began = self._zero = time.time()
        self._onset = False
        self._live: Live | None = None
        self._traffic: Traffic | None = None
        self._drift: dict[str, Any] = {}
        self._asked = self._drawn = 0.0
        self._rates: dict[str, float] = {}
        self._counted: tuple[float, dict[str, int]] = (0.0, {})
        self.doing = ""

    def chapter(self, number: int, title: str) -> None:
        """Begin a part of the story."""
        self.console.print()
        self.console.print(Rule(f"[bold]{number}  {title}[/]", align="left", style="dim"))

    def say(self, text: str) -> None:
        """A line of the narrator's."""
        self.console.print(f"{self._stamp(time.time())} {escape(text)}", soft_wrap=True)

    def command(self, text: str) -> None:
        """A command that is called."""
        self.console.print(f"{self._stamp(time.time())} [bold cyan]$ {escape(text)}[/]", soft_wrap=True)

    def output(self, text: str) -> None:
        """A line that a command printed."""
        self.console.print(f"{'':>9} [dim]│[/] {escape(text)}", soft_wrap=True)

    def entry(self, entry: Entry) -> None:
        """An entry of the ledger, in words."""
        if entry.kind in QUIET and not (entry.kind == "decision" and entry.facts["action"] == "no"):
            return
        colour = {"good": "bold green", "bad": "bold red", "plain": "default"}[tone(entry)]
        cause = f" [dim](because of {entry.cause})[/]" if entry.cause is not None else ""
        text = f"[dim]{entry.number:>3}[/] [{colour}]{escape(sentence(entry))}[/]{cause}"
        self.console.print(f"{self._stamp(entry.at.timestamp())} {text}", soft_wrap=True)

    def onset(self, at: float) -> None:
        """From here on times are since the drift began."""
        self._zero, self._onset = at, True

    def watch(self, traffic: "Traffic") -> None:
        """Show the traffic, the weights and the drift, live where there is a terminal."""
        self._traffic = traffic
        if self.console.is_terminal:
            self._live = Live(console=self.console, auto_refresh=False, transient=True)
            self._live.start()

    def unwatch(self) -> None:
        """End the live picture."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def refresh(self) -> None:
        """Draw the live picture again, a few times a second."""
        if self._live is None or time.time() - self._drawn < 0.25:
            return
        self._drawn = time.time()
        self._live.update(self._picture(), refresh=True)

    def timeline(self, marks: list[tuple[str, float]], onset: float) -> None:
        """The moments of the story, in seconds since the drift began."""
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(justify="right")
        table.add_column()
        last = max(at for _, at in marks) - onset
        for name, seconds in seconds_since(marks, onset):
            table.add_row(f"{seconds:6.1f} s", Text("─" * round(BAR * seconds / last) + "● " + name, style="bold"))
        self.console.print(table)

    def _picture(self) -> Group:
        status = running(self._context.settings.live)
        weights = dict(status.weights) if status else {}
        self._measure(status.endpoints.get("monitor") if status else None)
        assert self._traffic is not None
        snapshot = self._traffic.snapshot()
        rows: list[Any] = [Rule(style="dim"), Text(f"{self.doing} ...", style="italic")]
        for at, version in enumerate(sorted({*weights, *(int(v) for v in snapshot["by_version"])})):
            share, rate = weights.get(version, 0), self._rates.get(str(version), 0.0)
            if share == 0 and rate == 0:
                continue
            bar = "█" * round(BAR * share / 100)
            rows.append(Text(f"version {version} {bar:<{BAR}} {share:>3} %  {rate:5.0f}/s", COLOURS[at % len(COLOURS)]))
        failed = sum(snapshot["failed"].values())
        rows.append(Text(f"{snapshot['sent']:,} requests, {failed} failed", "red" if failed else "dim"))
        features = sorted(self._drift.get("features", {}).items(), key=lambda item: -item[1]["distance"])[:4]
        limit = self._context.loop.monitor.min_effect
        for name, one in features:
            length = min(BAR, round(BAR * one["distance"] / 0.5))
            bar = "█" * length + "·" * (BAR - length)
            at = round(BAR * limit / 0.5)
            bar = bar[:at] + "│" + bar[at + 1 :]
            rows.append(Text(f"{name:<22} {bar} {one['distance']:.2f}", "red" if one["drifted"] else "dim"))
        return Group(*rows)

    def _measure(self, monitor: str | None) -> None:
        assert self._traffic is not None
        now, counts = time.time(), dict(self._traffic.snapshot()["by_version"])
        before, counted = self._counted
        if now - before >= 1.0:
            self._rates = {one: (counts[one] - counted.get(one, 0)) / (now - before) for one in counts}
            self._counted = now, counts
        if monitor and now - self._asked > 1.0:
            self._asked = now
            try:
                self._drift = httpx.get(f"{monitor}/v1/drift", timeout=1, trust_env=False).json()
            except (httpx.HTTPError, ValueError):
                self._drift = {}

    def _stamp(self, at: float) -> str:
        return f"[dim]{'+' if self._onset else ' '}{at - self._zero:6.1f} s[/]"


def seconds_since(marks: list[tuple[str, float]], onset: float) -> list[tuple[str, float]]:
    """The marks in seconds since the onset."""
    return [(name, round(at - onset, 2)) for name, at in marks]
