"""The model as a file: what training writes, and what evaluation, MLflow and the predictor load.

`fit` turns a matrix into a fitted estimator, `bundle` writes and verifies the folder it is kept in, `columns` turns
requests and data frames into columns, `features` turns columns into the matrix, and `model` puts them together to
predict. Training and serving use the same functions, so they cannot disagree.
"""
