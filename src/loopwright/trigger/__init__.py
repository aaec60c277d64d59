"""From an alert or a person to exactly one run, and from the run to the rollout.

The service's HTTP is `app.make_app`, which is not imported here: who runs a pipeline needs none.
"""

from loopwright.trigger.execute import AskEngine, RunResult, StartRun
from loopwright.trigger.rollouts import Rollout
from loopwright.trigger.service import Outcome, Trigger

__all__ = ["AskEngine", "Outcome", "Rollout", "RunResult", "StartRun", "Trigger"]
