"""The archive: prediction events as Parquet files in a bucket or a folder, for reports and for joins with labels.

The monitor beside every replica writes it (`loopwright.monitor.archive`), and everything else reads it here. What both
agree on is `layout`: where a file is put, and what its columns are. `store` is the way to the place, which may be a
bucket or a folder, `retention` deletes what is too old, and `reader` gives rows back.
"""

from loopwright.archive.reader import objects, read

__all__ = ["objects", "read"]
