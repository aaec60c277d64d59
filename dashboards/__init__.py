"""Grafana dashboards as code: what people look at when a loop runs on a cluster."""
