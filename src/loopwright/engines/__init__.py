"""Where pipelines run. One protocol, one module an engine: a laptop's is `local`."""
