"""The predictor beside other servers of LightGBM models: the same model, requests and load, in one run.

A model is made (`model`), every server starts with it and stays up (`servers`), requests are prebuilt (`payloads`) and
sent round by round (`load`), each server in turn, while the processes' own CPU time is read (`measure`); the table
says what came out (`report`).
"""
