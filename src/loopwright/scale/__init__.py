"""Rows that are gone through part by part, in this process or in several: no process holds all of them.

    Parquet file -> parts (its row groups) -> a function of each, here or on Dask workers -> results in the parts' order

Steps are written once, over parts. With `scale: dask` in loop.yaml the same functions run on workers, and LightGBM is
trained by several of them together.
"""
