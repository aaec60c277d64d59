"""The steps of the pipeline: pure functions of paths and values that know nothing of where they run.

    snapshot -> validate -> split -> train -> evaluate -> register

A KFP component, an Argo template and a test call the same function. Each returns the facts that `recording` writes to
the ledger as one entry, caused by the entry of the step before it.
"""
