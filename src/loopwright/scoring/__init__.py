"""Batch scoring: a registered version's predictions for all rows of an input.

    source -> plan: units that are read on their own -> rows: columns from Arrow, held against the contract
           -> model -> one partition a part of a unit, with a receipt -> manifest

A partition appears whole or not at all, and its receipt after it: what has a receipt is done, whoever did it, and is
not done again. All that a job is (version, input, options) is fixed in the manifest when it begins.
"""
