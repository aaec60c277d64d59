"""Batch scoring, from Parquet to Parquet, beside MLflow's pyfunc on frames of pandas; and two workers beside one."""
