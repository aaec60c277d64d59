"""A loop's objects on KServe, as plain dictionaries: pure functions of the declaration and the version."""
