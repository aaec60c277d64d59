"""What people's own Prometheus, Alertmanager and Grafana are given: rules, a route with its texts, dashboards.

Everything here is a pure function of a loop: files to read and commit. Nothing of it is needed by a loop that runs.
"""
