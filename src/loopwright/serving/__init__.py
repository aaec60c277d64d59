"""The predictor: one process a version, a KServe ModelServer that answers V1 and V2 (HTTP and gRPC).

A request comes in through `front` (limits, headers, counts), is routed by KServe's own application to `predictor`,
and leaves as an answer; what was asked and answered goes to the monitor through `events`, off the request's path.
"""
