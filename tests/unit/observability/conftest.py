"""A loop with a window of an hour."""

import pytest

from loopwright.declaration import parse

MONITOR = "monitor: {window: 1h, false_alarms: 1 per 90d, min_effect: 0.1, min_events: 500, persistence: 2}"


@pytest.fixture
def loop(churn_declaration):
    return parse(churn_declaration + MONITOR)
