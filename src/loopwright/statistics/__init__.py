"""Numbers in, numbers out: the profile of the training data, distances between binned counts, tests and verdicts.

Nothing here knows of files, processes or the declaration, so the same code judges in the training step, in the
monitor and in a rollout. It needs numpy alone; the tests compare it with scipy and with simulation.
"""
