"""Retraining by simulation: a year of traffic under several policies, accuracy and runs side by side."""
