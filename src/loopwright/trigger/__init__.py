"""From an alert or a person to exactly one run, and from the run to the rollout."""

from loopwright.trigger.app import make_app
from loopwright.trigger.execute import AskEngine, RunResult, StartRun
from loopwright.trigger.rollouts import Rollout
from loopwright.trigger.service import Outcome, Trigger

__all__ = ["AskEngine", "Outcome", "Rollout", "RunResult", "StartRun", "Trigger", "make_app"]
