"""`loopwright doctor`: what keeps a loop from running here or on a cluster, and what to do for each finding.

Settings, a loop if there is one, and a cluster go in; findings come out. Nothing is changed: the only objects that are
made are access reviews, which the API server answers and does not keep. One module a place that is looked at.
"""

from loopwright.doctor.findings import PROBLEM, Finding, worst

__all__ = ["PROBLEM", "Finding", "worst"]
