"""Performance from tables: predictions and late labels joined as a job, exactly, where the monitor has sums only.

`sources` reads labels from where a team keeps them, `join` finds the prediction that each belongs to, and `measure`
says how good each version was, with intervals.
"""
