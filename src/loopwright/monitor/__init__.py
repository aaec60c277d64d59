"""The drift monitor: prediction events come in, counts, distances and alarms go out.

A predictor sends its profile once and its events in batches. They are acknowledged, queued and counted in the
profile's bins (`counters`); labels that come later are joined by prediction id (`labels`). At every look the window's
counts are held against the profile (`drift`, pure), and an alarm is posted as Alertmanager would (`alerts`). Prometheus
reads the same counts (`exposition`), so on a cluster Prometheus and Alertmanager can do the looking.
"""
