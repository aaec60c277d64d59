"""Verdicts by simulation: how often an equal challenger is rolled back, and how soon a worse one is."""
