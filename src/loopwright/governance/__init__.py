"""What a version is answered for with: which data, code, environment and cause made it, who said yes, what it can do.

Everything here is read from the registry, the ledger and the version's bundle; nothing is remembered besides.
"""
