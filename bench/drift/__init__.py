"""Drift alarms by simulation: how often nothing is announced as drift, and how soon drift is found."""
